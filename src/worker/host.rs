//! The model, from a reference to a running engine.
//!
//! Everything happens on the engine's thread: fetching, the tokenizer, loading. So the program answers from the first
//! moment, and whoever needs the model waits for [`Host::model`].

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use runabout_engine::{
    Engine, EngineOptions, JobError, LanguageModel, LoadError, LoadProgress, LoadStage, Loaded,
    ModelDescription, State,
};
use runabout_mlx::LoadOptions;
use runabout_store::{ModelFolder, ModelRef, Options, Stage, Store};
use runabout_text::{FimFormat, Tokenizer};

use crate::cli::ModelArgs;
use crate::defaults::SamplingDefaults;
use crate::memory;

/// A model that is being loaded, or is there, or will never be. Clones share it.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) engine: Engine,
    facts: Arc<OnceLock<Facts>>,
}

/// What the rest of the program needs to know of a loaded model.
pub(crate) struct Model {
    pub(crate) facts: Facts,
    pub(crate) description: ModelDescription,
}

/// What is known before the weights are there.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// How the model fills in the middle, if it does.
    pub(crate) fim: Option<FimFormat>,
    pub(crate) defaults: SamplingDefaults,
}

impl Host {
    /// Starts to load, and returns at once.
    pub(crate) fn start(args: &ModelArgs, options: EngineOptions) -> anyhow::Result<Self> {
        let reference: ModelRef = args.model.parse()?;
        let draft: Option<ModelRef> = args.draft_model.as_deref().map(str::parse).transpose()?;
        let load_options = LoadOptions {
            device: args.device.into(),
            threads: args.threads,
            precision: args.precision,
            kv_bits: args.kv_bits,
        };
        let is_offline = args.offline;
        let memory_limit_bytes = options.memory_limit_bytes;
        let facts = Arc::new(OnceLock::new());
        let known = Arc::clone(&facts);
        let engine = Engine::spawn(options, move |progress| {
            let wanted = Wanted {
                reference: &reference,
                draft: draft.as_ref(),
                options: &load_options,
                is_offline,
                memory_limit_bytes,
            };
            load(&wanted, &known, progress).map_err(|error| {
                error.downcast().unwrap_or_else(|error| {
                    // The chain of causes in one line, as all that is left of it is text.
                    LoadError::Failed { message: format!("{error:#}") }
                })
            })
        })
        .context("cannot start the engine's thread")?;
        Ok(Self { engine, facts })
    }

    /// Waits until the model is there, or is known never to be.
    pub(crate) async fn model(&self) -> Result<Model, JobError> {
        let mut state = self.engine.watch_state();
        let state = state.wait_for(|it| !matches!(it, State::Loading(_))).await;
        match state.as_deref() {
            Ok(State::Ready(description)) => {
                let facts = self.facts.get().expect("they are set before the engine is ready").clone();
                Ok(Model { facts, description: description.clone() })
            }
            Ok(State::Failed(error)) => Err(error.clone()),
            Ok(State::Loading(_)) | Err(_) => Err(JobError::ShuttingDown),
        }
    }

    /// What is known by now.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }
}

/// What is to be loaded, and how.
struct Wanted<'a> {
    reference: &'a ModelRef,
    draft: Option<&'a ModelRef>,
    options: &'a LoadOptions,
    is_offline: bool,
    memory_limit_bytes: Option<u64>,
}

fn load(
    wanted: &Wanted<'_>,
    facts: &OnceLock<Facts>,
    progress: &mut dyn FnMut(LoadProgress),
) -> anyhow::Result<Loaded> {
    let mut resolve = |reference: &ModelRef| -> anyhow::Result<ModelFolder> {
        let options = store_options(wanted.is_offline);
        let folder = open_store()?.resolve(reference, &options, &mut |it| {
            let stage = match it.stage {
                Stage::Download => LoadStage::Download,
                Stage::Import | Stage::Verify => LoadStage::Load,
            };
            progress(LoadProgress { stage, done: it.done, total: it.total.unwrap_or(0) });
        })?;
        Ok(folder)
    };
    let folder = resolve(wanted.reference)?;
    let draft = wanted.draft.map(&mut resolve).transpose()?;
    let n_bytes = memory::weights_bytes(&folder.path)?;
    let n_draft_bytes = draft.as_ref().map_or(Ok(0), |it| memory::weights_bytes(&it.path))?;
    let total = n_bytes + n_draft_bytes;
    memory::check_weights(total, wanted.memory_limit_bytes)?;
    let known = read_facts(&folder.path, folder.name)?;
    let tokenizer = Arc::clone(&known.tokenizer);
    if let Some(draft) = &draft {
        check_vocabulary(&tokenizer, &known.name, draft)?;
    }
    // Fails only if it is set, and nobody else sets it.
    let _ = facts.set(known);
    let mut told = |done: u64| progress(LoadProgress { stage: LoadStage::Load, done, total });
    let model = runabout_mlx::load(&folder.path, wanted.options, &mut |done, _| told(done))?;
    warn_of_unknown(&tokenizer, model.description());
    let mut load_draft = |it: ModelFolder| {
        let draft = runabout_mlx::load_beside(&model, &it.path, &mut |done, _| told(n_bytes + done))?;
        Ok::<Box<dyn LanguageModel>, runabout_mlx::LoadError>(Box::new(draft))
    };
    let draft = draft.map(&mut load_draft).transpose()?;
    Ok(Loaded { model: Box::new(model), draft, tokenizer })
}

/// Tokens that the tokenizer has and the model has not: they never come, and prompts that have one are refused.
fn warn_of_unknown(tokenizer: &Tokenizer, description: &ModelDescription) {
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
        tracing::warn!(?ends, n_known, "end tokens that the model has not can not end a text");
    }
}

/// A draft model's tokens must be the model's.
fn check_vocabulary(tokenizer: &Tokenizer, name: &str, draft: &ModelFolder) -> anyhow::Result<()> {
    let of_draft = Tokenizer::from_folder(&draft.path)?;
    if let Some(token) = tokenizer.first_difference(&of_draft) {
        bail!(
            "the draft model must have the vocabulary of `{name}`, but token {token} of `{}` is another one\nhint: choose a smaller model of the same family",
            draft.name
        );
    }
    Ok(())
}

fn read_facts(folder: &Path, name: String) -> anyhow::Result<Facts> {
    let tokenizer = Arc::new(Tokenizer::from_folder(folder)?);
    let fim = FimFormat::detect(&tokenizer);
    let defaults = SamplingDefaults::read(folder, &tokenizer);
    Ok(Facts { name, tokenizer, fim, defaults })
}

pub(crate) fn open_store() -> anyhow::Result<Store> {
    Ok(Store::open(Store::default_home(|it| std::env::var_os(it))?)?)
}

pub(crate) fn store_options(is_offline: bool) -> Options {
    let options = Options::from_env(|it| std::env::var_os(it));
    if is_offline { options.offline() } else { options }
}
