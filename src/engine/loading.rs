//! Loading a model: what it yields, how it reports progress, and how it fails.

use std::sync::Arc;

use runabout_text::Tokenizer;

use crate::{job::JobError, model::LanguageModel};

/// What loading a model yields.
pub struct Loaded {
    pub model: Box<dyn LanguageModel>,
    /// A smaller model of the same vocabulary on the same device, which drafts tokens for the model to check.
    pub draft: Option<Box<dyn LanguageModel>>,
    pub tokenizer: Arc<Tokenizer>,
}

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    pub stage: LoadStage,
    /// Bytes.
    pub done: u64,
    /// Bytes; 0 while that is not known.
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
    /// `message` is for people: the whole chain of causes, with a remedy on a line of its own.
    #[error("{message}")]
    Failed { message: String },
    /// The model would not fit in memory, so loading was not tried.
    #[error("at most {available_bytes} bytes of memory may be used, got a model of {needed_bytes}")]
    OutOfMemory { needed_bytes: u64, available_bytes: u64 },
}

impl From<LoadError> for JobError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Failed { message } => Self::LoadFailed { message },
            LoadError::OutOfMemory { needed_bytes, available_bytes } => {
                Self::OutOfMemory { needed_bytes, available_bytes }
            }
        }
    }
}
