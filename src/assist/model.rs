//! The model behind an [`Assistant`](crate::Assistant): it is loading, ready, or failed to load.
//!
//! The caller says where the model's files come from and how it is loaded. Both happen on the engine's thread, so the
//! program can answer immediately; requests wait for [`ModelHandle::ready`].

use std::fmt;
use std::sync::{Arc, OnceLock};

use runabout_engine::{
    Engine, EngineOptions, JobError, LoadError, LoadProgress, Loaded, ModelDescription, State,
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

/// What a model's configuration and tokenizer say. Known before the weights are loaded.
#[derive(Clone)]
pub struct Facts {
    pub name: String,
    pub tokenizer: Arc<Tokenizer>,
    /// The format for fill-in-the-middle; `None` if the model can only continue text.
    pub fim: Option<FimFormat>,
    pub defaults: SamplingDefaults,
}

impl ModelHandle {
    /// Starts the engine's thread and returns immediately. On that thread `find` gets the model's files and reads the
    /// facts, then the loader it returns loads the weights. Fails only if no thread can be created.
    pub fn spawn<F, L>(options: EngineOptions, find: F) -> std::io::Result<Self>
    where
        F: FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<(Facts, L), LoadError> + Send + 'static,
        L: FnOnce(&mut dyn FnMut(LoadProgress)) -> Result<Loaded, LoadError>,
    {
        let facts = Arc::new(OnceLock::new());
        let found = Arc::clone(&facts);
        let engine = Engine::spawn(options, move |progress| {
            let (facts, load) = find(progress)?;
            found.set(facts).unwrap_or_else(|_| unreachable!("the engine calls its loader once"));
            load(progress)
        })?;
        Ok(Self { engine, facts })
    }

    /// Waits until the model is ready or has failed to load.
    pub async fn ready(&self) -> Result<Model, JobError> {
        let mut state = self.engine.watch_state();
        let state = state.wait_for(|it| !matches!(it, State::Loading(_))).await;
        match state.as_deref() {
            Ok(State::Ready(description)) => {
                let facts =
                    self.facts.get().expect("the facts are set before the weights are loaded").clone();
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
