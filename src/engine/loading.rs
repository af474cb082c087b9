//! Loading a model: its result, its progress reports, and its errors.

use std::sync::Arc;

use runabout_text::Tokenizer;

use crate::{job::JobError, model::LanguageModel};

/// The result of loading a model.
pub struct Loaded {
    pub models: Models,
    pub tokenizer: Arc<Tokenizer>,
}

/// What an engine runs.
pub struct Models {
    pub model: Box<dyn LanguageModel>,
    /// A smaller model with the same vocabulary on the same device, which drafts tokens for the model to check.
    pub draft: Option<Box<dyn LanguageModel>>,
}

/// The progress of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    pub stage: LoadStage,
    /// In bytes.
    pub done: u64,
    /// In bytes; 0 while unknown.
    pub total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStage {
    Download,
    Load,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// `message` is meant for users: the whole chain of causes, with a hint on its own line.
    #[error("{message}")]
    Failed { message: String },
    /// The model would not fit in memory, so it was not loaded.
    #[error("at most {available_bytes} bytes of memory may be used, got a model of {needed_bytes}")]
    OutOfMemory { needed_bytes: u64, available_bytes: u64 },
}

impl From<LoadError> for JobError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Failed { message } => Self::LoadFailed { message },
            LoadError::OutOfMemory { needed_bytes, available_bytes } => {
                Self::ModelTooLarge { needed_bytes, available_bytes }
            }
        }
    }
}
