//! The model behind an [`Assistant`](crate::Assistant): it is loading, ready, or failed to load.
//!
//! The caller says where the model's files come from and how it is loaded. Both happen on the engine's thread, and
//! reading the tokenizer on another one beside it, so the program can answer immediately; requests wait for
//! [`ModelHandle::ready`].

use std::sync::{Arc, OnceLock};
use std::{fmt, io, panic, thread};

use runabout_engine::{
    Engine, EngineOptions, JobError, LoadError, LoadProgress, Loaded, ModelDescription, Models, State,
};
use runabout_text::{FimFormat, SamplingDefaults, Tokenizer};

/// A model that is loading, is ready, or failed to load. Clones share it.
#[derive(Clone)]
pub struct ModelHandle {
    engine: Engine,
    facts: Arc<OnceLock<Facts>>,
}

/// A model that is ready.
#[derive(Clone)]
pub struct Model {
    pub facts: Facts,
    pub description: ModelDescription,
}

/// What a model's configuration and tokenizer say. Mostly known before the weights are loaded.
#[derive(Clone)]
pub struct Facts {
    pub name: String,
    pub tokenizer: Arc<Tokenizer>,
    /// The format for fill-in-the-middle; `None` if the model can only continue text.
    pub fim: Option<FimFormat>,
    pub defaults: SamplingDefaults,
}

impl ModelHandle {
    /// Starts the engine's thread and returns immediately. On that thread `find` gets the model's files. Of the two
    /// functions that it returns, the first reads the facts, on a thread of its own; the second loads the weights at the
    /// same time, on the engine's thread. Fails only if no thread can be created.
    pub fn spawn<F, R, L>(options: EngineOptions, find: F) -> io::Result<Self>
    where
        F: FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<(R, L), LoadError> + Send + 'static,
        R: FnOnce() -> Result<Facts, LoadError> + Send,
        L: FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<Models, LoadError>,
    {
        let facts = Arc::new(OnceLock::new());
        let found = Arc::clone(&facts);
        let engine = Engine::spawn(options, move |progress| {
            let (read, load) = find(progress)?;
            let read = || {
                let facts = read()?;
                let tokenizer = Arc::clone(&facts.tokenizer);
                found.set(facts).unwrap_or_else(|_| unreachable!("the engine calls its loader once"));
                Ok(tokenizer)
            };
            thread::scope(|scope| {
                let reading = thread::Builder::new().name("tokenizer".to_owned()).spawn_scoped(scope, read);
                let reading = reading.map_err(|err| LoadError::Failed {
                    message: format!("cannot start a thread to read the tokenizer: {err}"),
                })?;
                let models = load(progress);
                // What is wrong with the tokenizer is likely to be the cause of what is wrong with the model.
                let tokenizer = reading.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?;
                let models = models?;
                warn_of_unknown_tokens(&tokenizer, models.model.description());
                Ok(Loaded { models, tokenizer })
            })
        })?;
        Ok(Self { engine, facts })
    }

    /// Waits until the model is ready or has failed to load.
    pub async fn ready(&self) -> Result<Model, JobError> {
        let mut state = self.engine.watch_state();
        let state = state.wait_for(|it| !matches!(it, State::Loading(_))).await;
        match state.as_deref() {
            Ok(State::Ready(description)) => {
                let facts = self.facts.get().expect("the facts are set before the model is ready").clone();
                Ok(Model { facts, description: description.clone() })
            }
            Ok(State::Failed(error)) => Err(error.clone()),
            Ok(State::Loading(_)) | Err(_) => Err(JobError::ShuttingDown),
        }
    }

    /// The model's facts, once they are known.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }

    /// The engine that runs the model, with its state, its status and its shutdown.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl fmt::Debug for ModelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelHandle").field("name", &self.facts().map(|it| &it.name)).finish_non_exhaustive()
    }
}

/// Warns if the tokenizer has tokens that the model does not have: they are never generated, and prompts that contain
/// one are refused.
fn warn_of_unknown_tokens(tokenizer: &Tokenizer, description: &ModelDescription) {
    let n_known = description.vocabulary_size;
    if tokenizer.vocabulary_size() > n_known {
        tracing::warn!(
            n_known,
            n_tokens = tokenizer.vocabulary_size(),
            "the tokenizer has tokens that the model has not"
        );
    }
    let ends = tokenizer.end_tokens().iter().filter(|it| **it as usize >= n_known).collect::<Vec<_>>();
    if !ends.is_empty() {
        tracing::warn!(?ends, n_known, "end tokens that the model has not cannot end a text");
    }
}
