//! Loads a model by its reference: gets its files from the store, then reads its tokenizer and its weights at the same
//! time; see [`ModelHandle::spawn`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use runabout_assist::{Facts, LoadError, LoadProgress, LoadStage, ModelHandle, Models};
use runabout_engine::{EngineOptions, LanguageModel};
use runabout_mlx::LoadOptions;
use runabout_ranks::{Hosts, LaunchOptions};
use runabout_store::{ModelFolder, ModelRef, Options, Stage, Store};
use runabout_text::{FimFormat, SamplingDefaults, Tokenizer};

use crate::cli::ModelArgs;
use crate::memory;

/// Fails if a model's reference cannot be parsed, as [`start`] does.
pub(crate) fn check(args: &ModelArgs) -> anyhow::Result<()> {
    args.model.parse::<ModelRef>()?;
    args.draft_model.as_deref().map(str::parse::<ModelRef>).transpose()?;
    Ok(())
}

/// Starts loading a model once it is `wanted`, and returns without waiting for it. Fails only if a reference cannot be
/// parsed or the engine's thread cannot be started.
pub(crate) fn start(
    args: &ModelArgs,
    options: EngineOptions,
    wanted: Arc<OnceLock<()>>,
) -> anyhow::Result<ModelHandle> {
    let request = Request {
        reference: args.model.parse()?,
        draft: args.draft_model.as_deref().map(str::parse).transpose()?,
        options: LoadOptions {
            packed_folder: (!args.no_packed_cache)
                .then(store_folder)
                .flatten()
                .map(|it| Store::packed_folder(&it)),
            ..args.into()
        },
        is_offline: args.offline,
        memory_limit_bytes: options.memory_limit_bytes,
        ranks: args.hosts.as_deref().map(|it| Ranks::of(it, args)).transpose()?,
    };
    ModelHandle::spawn(options, move |progress| {
        wanted.wait();
        let files = find(&request, progress).map_err(into_load_error)?;
        let (folder, draft) = (files.folder.clone(), files.draft.clone());
        let read = move || read_facts(&folder, draft.as_ref()).map_err(into_load_error);
        let load = move |progress: &mut dyn FnMut(LoadProgress)| match &request.ranks {
            Some(ranks) => load_in_ranks(ranks, progress).map_err(into_load_error),
            None => load(files, &request.options, progress).map_err(into_load_error),
        };
        Ok((read, load))
    })
    .context("cannot start the engine's thread")
}

/// Where models are kept; `None` if the user has no home folder.
pub(crate) fn store_folder() -> Option<PathBuf> {
    Store::default_home(|it| std::env::var_os(it)).ok()
}

/// The cache that is shared with the hub's own tools; `None` if there is no place for it.
pub(crate) fn hub_cache_folder() -> Option<PathBuf> {
    Store::hub_cache_folder(|it| std::env::var_os(it))
}

pub(crate) fn open_store() -> anyhow::Result<Store> {
    Ok(Store::from_env(|it| std::env::var_os(it))?)
}

pub(crate) fn store_options(is_offline: bool) -> Options {
    let options = Options::from_env(|it| std::env::var_os(it));
    if is_offline { options.offline() } else { options }
}

/// What to load, and how.
struct Request {
    reference: ModelRef,
    draft: Option<ModelRef>,
    options: LoadOptions,
    is_offline: bool,
    memory_limit_bytes: Option<u64>,
    /// The processes that have the model, if this one does not.
    ranks: Option<Ranks>,
}

/// Several processes that have the model together.
struct Ranks {
    hosts: PathBuf,
    arguments: Vec<String>,
}

impl Ranks {
    fn of(hosts: &Path, args: &ModelArgs) -> anyhow::Result<Self> {
        if args.draft_model.is_some() {
            bail!(
                "a model in several processes cannot have a draft model\nhint: leave out `--draft-model` or `--hosts`"
            );
        }
        Ok(Self { hosts: hosts.to_owned(), arguments: args.of_ranks()? })
    }
}

/// A model's files, all of them on this machine.
struct Files {
    folder: ModelFolder,
    draft: Option<ModelFolder>,
    /// The sizes of the model's weights and of its draft model's; the latter is 0 without one.
    n_bytes: u64,
    n_draft_bytes: u64,
}

/// A model's folder on this machine. What is missing is fetched.
pub(crate) fn resolve(
    reference: &ModelRef,
    is_offline: bool,
    progress: &mut dyn FnMut(LoadProgress),
) -> anyhow::Result<ModelFolder> {
    // A folder needs no store, and so no home.
    if let ModelRef::Folder(path) = reference {
        return Ok(ModelFolder::open(path)?);
    }
    let folder = open_store()?.resolve(reference, &store_options(is_offline), &mut |it| {
        let stage = match it.stage {
            Stage::Download => LoadStage::Download,
            Stage::Import | Stage::Verify => LoadStage::Load,
        };
        progress(LoadProgress { stage, done: it.done, total: it.total.unwrap_or(0) });
    })?;
    Ok(folder)
}

/// Gets the files, and checks before weights are read that they fit.
fn find(request: &Request, progress: &mut dyn FnMut(LoadProgress)) -> anyhow::Result<Files> {
    let mut resolve = |reference: &ModelRef| resolve(reference, request.is_offline, progress);
    let folder = resolve(&request.reference)?;
    let draft = request.draft.as_ref().map(&mut resolve).transpose()?;
    let n_adapter_bytes = request.options.adapter.as_deref().map_or(Ok(0), memory::weights_bytes)?;
    let n_bytes = memory::weights_bytes(&folder.path)? + n_adapter_bytes;
    let n_draft_bytes = draft.as_ref().map_or(Ok(0), |it| memory::weights_bytes(&it.path))?;
    // Each rank checks whether its part fits where it is.
    if request.ranks.is_none() {
        memory::check_weights(n_bytes + n_draft_bytes, request.memory_limit_bytes)?;
    }
    Ok(Files { folder, draft, n_bytes, n_draft_bytes })
}

fn load(
    files: Files,
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadProgress),
) -> anyhow::Result<Models> {
    let Files { folder, draft, n_bytes, n_draft_bytes } = files;
    let total = n_bytes + n_draft_bytes;
    let mut report = |done: u64| progress(LoadProgress { stage: LoadStage::Load, done, total });
    let model = runabout_mlx::load(&folder.path, options, &mut |done, _| report(done))?;
    let mut load_draft = |it: ModelFolder| {
        let draft = runabout_mlx::load_beside(&model, &it.path, &mut |done, _| report(n_bytes + done))?;
        Ok::<Box<dyn LanguageModel>, runabout_mlx::LoadError>(Box::new(draft))
    };
    let draft = draft.map(&mut load_draft).transpose()?;
    Ok(Models { model: Box::new(model), draft })
}

fn load_in_ranks(ranks: &Ranks, progress: &mut dyn FnMut(LoadProgress)) -> anyhow::Result<Models> {
    let mut report = |done, total| progress(LoadProgress { stage: LoadStage::Load, done, total });
    let options = LaunchOptions {
        program: std::env::current_exe().context("cannot find the program")?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arguments: ranks.arguments.clone(),
    };
    let model = runabout_ranks::launch(&Hosts::read(&ranks.hosts)?, &options, &mut report)?;
    Ok(Models { model: Box::new(model), draft: None })
}

/// Returns a [`LoadError`] as it is; any other error becomes one with its chain of causes as the message.
fn into_load_error(error: anyhow::Error) -> LoadError {
    error.downcast().unwrap_or_else(|error| LoadError::Failed { message: format!("{error:#}") })
}

/// Reads the tokenizer and what depends on it. `draft` is the draft model, which must have the same tokens.
fn read_facts(folder: &ModelFolder, draft: Option<&ModelFolder>) -> anyhow::Result<Facts> {
    let ModelFolder { path, name, .. } = folder;
    let tokenizer = Arc::new(Tokenizer::from_folder(path)?);
    let fim = FimFormat::detect(&tokenizer);
    let defaults = SamplingDefaults::read(path, &tokenizer);
    let facts = Facts { name: name.clone(), tokenizer, fim, defaults };
    if let Some(draft) = draft {
        check_vocabulary(&facts, draft)?;
    }
    Ok(facts)
}

/// Refuses a draft model whose tokens are not those of the model.
fn check_vocabulary(facts: &Facts, draft: &ModelFolder) -> anyhow::Result<()> {
    let of_draft = Tokenizer::from_folder(&draft.path)?;
    if let Some(token) = facts.tokenizer.first_difference(&of_draft) {
        bail!(
            "the draft model must have the vocabulary of `{}`, but token {token} of `{}` is another one\nhint: choose a smaller model of the same family",
            facts.name,
            draft.name
        );
    }
    Ok(())
}
