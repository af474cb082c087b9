//! The rules that a message can violate, and the error with which each is answered: [`Malformed`].

use jsonrpsee::types::error::{
    INVALID_REQUEST_CODE, OVERSIZED_REQUEST_CODE, PARSE_ERROR_CODE, TOO_BIG_BATCH_REQUEST_CODE,
};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};

use crate::framing::BadFrame;
use crate::id::RequestId;

/// The longest id that is accepted, in bytes. An id is repeated in every notification of its request, and kept after
/// the answer.
pub(crate) const MAX_ID_BYTES: usize = 1024;

/// The rule that a message violates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(transparent)]
    Frame(#[from] BadFrame),
    #[error("message must be UTF-8: {0}")]
    Utf8(std::str::Utf8Error),
    #[error("message must be JSON: {0}")]
    Json(serde_json::Error),
    #[error("message must be an object or an array of objects, got {got}")]
    NotAnObject { got: &'static str },
    #[error("batches are not supported")]
    Batch,
    #[error("batch must have at least one entry")]
    EmptyBatch,
    #[error("batch must have at most {limit} entries, got {got}")]
    BatchTooLarge { limit: usize, got: usize },
    #[error("message is not a request: {0}")]
    Members(serde_json::Error),
    #[error("`jsonrpc` must be \"2.0\"{}", got(.0.as_deref()))]
    Version(Option<String>),
    #[error("`method` must be a string{}", got(.0.as_deref()))]
    Method(Option<String>),
    #[error("`params` must be an object or an array, got {0}")]
    Params(&'static str),
    #[error("`id` must be a string or a number, got {0}")]
    Id(&'static str),
    #[error("`id` must have at most {MAX_ID_BYTES} bytes, got {0}")]
    IdTooLong(usize),
    #[error("message must not have both `method` and `{0}`")]
    RequestAndAnswer(&'static str),
    #[error("request `{0}` is still in flight")]
    DuplicateId(RequestId),
}

impl Malformed {
    pub(crate) fn to_error(&self) -> ErrorObjectOwned {
        let data = match self {
            Malformed::Frame(BadFrame::TooLarge { limit }) => {
                Some(serde_json::json!({ "max_frame_bytes": limit }))
            }
            Malformed::BatchTooLarge { limit, .. } => Some(serde_json::json!({ "max_batch_entries": limit })),
            _ => None,
        };
        ErrorObject::owned(self.code(), self.to_string(), data)
    }

    fn code(&self) -> i32 {
        match self {
            Malformed::Frame(BadFrame::TooLarge { .. }) => OVERSIZED_REQUEST_CODE,
            Malformed::Frame(_) | Malformed::Utf8(_) | Malformed::Json(_) => PARSE_ERROR_CODE,
            Malformed::BatchTooLarge { .. } => TOO_BIG_BATCH_REQUEST_CODE,
            _ => INVALID_REQUEST_CODE,
        }
    }
}

fn got(value: Option<&str>) -> String {
    value.map_or_else(|| ", got none".to_owned(), |value| format!(", got {value}"))
}
