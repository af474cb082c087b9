//! What a frame is: request, notification, response, batch, or none of them.
//!
//! Classifying is strict, since the mild reading of a broken message is the worst one: a request whose id is not
//! understood must not pass as a notification, for then the client waits forever. Nothing here recurses with
//! the input's nesting: values stay raw text until somebody wants them.

use std::fmt;

use jsonrpsee::types::error::{
    INVALID_REQUEST_CODE, OVERSIZED_REQUEST_CODE, PARSE_ERROR_CODE, TOO_BIG_BATCH_REQUEST_CODE,
};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::framing::BadFrame;
use crate::id::RequestId;

/// An id comes back with every notification of its request, and is remembered beyond its answer.
const MAX_ID_BYTES: usize = 1024;

/// One frame, or one entry of a batch.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Request {
        id: RequestId,
        method: String,
        params: Option<&'a RawValue>,
    },
    Notification {
        method: String,
        params: Option<&'a RawValue>,
    },
    /// An answer to a request that this side never made.
    Response,
    /// Never empty, and no batch among its entries.
    Batch(Vec<Message<'a>>),
    /// To be answered with the error, under the id where it could be told.
    Invalid {
        id: Option<RequestId>,
        error: Malformed,
    },
}

/// The rule that a message breaks.
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
    RequestAndResponse(&'static str),
    #[error("request `{0}` is still in flight")]
    DuplicateId(RequestId),
}

impl Malformed {
    fn code(&self) -> i32 {
        match self {
            Malformed::Frame(BadFrame::TooLarge { .. }) => OVERSIZED_REQUEST_CODE,
            Malformed::Frame(_) | Malformed::Utf8(_) | Malformed::Json(_) => PARSE_ERROR_CODE,
            Malformed::BatchTooLarge { .. } => TOO_BIG_BATCH_REQUEST_CODE,
            _ => INVALID_REQUEST_CODE,
        }
    }

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
}

fn got(value: Option<&str>) -> String {
    value.map_or_else(|| ", got none".to_owned(), |value| format!(", got {value}"))
}

/// Tells what `frame` is. A batch may have up to `max_batch_entries`.
pub(crate) fn classify(frame: &[u8], max_batch_entries: usize) -> Message<'_> {
    let invalid = |error| Message::Invalid { id: None, error };
    let text = match std::str::from_utf8(frame) {
        Ok(text) => text,
        Err(error) => return invalid(Malformed::Utf8(error)),
    };
    let raw: &RawValue = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) => return invalid(Malformed::Json(error)),
    };
    if kind(raw) != "an array" {
        return classify_entry(raw);
    }
    match EntriesUpTo(max_batch_entries).deserialize(&mut serde_json::Deserializer::from_str(raw.get())) {
        Ok(Entries { n_entries: 0, .. }) => invalid(Malformed::EmptyBatch),
        Ok(Entries { n_entries, .. }) if n_entries > max_batch_entries => {
            invalid(Malformed::BatchTooLarge { limit: max_batch_entries, got: n_entries })
        }
        Ok(Entries { kept, .. }) => Message::Batch(kept.into_iter().map(classify_entry).collect()),
        Err(error) => invalid(Malformed::Json(error)),
    }
}

fn classify_entry(raw: &RawValue) -> Message<'_> {
    if kind(raw) != "an object" {
        return Message::Invalid { id: None, error: Malformed::NotAnObject { got: kind(raw) } };
    }
    let members: Members<'_> = match serde_json::from_str(raw.get()) {
        Ok(members) => members,
        Err(error) => return Message::Invalid { id: None, error: Malformed::Members(error) },
    };
    if let Some(raw) = members.id
        && raw.get().len() > MAX_ID_BYTES
    {
        return Message::Invalid { id: None, error: Malformed::IdTooLong(raw.get().len()) };
    }
    let id = members.id.and_then(RequestId::from_raw);
    match members.into_message(id.clone()) {
        Ok(message) => message,
        Err(error) => Message::Invalid { id, error },
    }
}

/// The members that mean something; a repeated one is an error, others are passed over.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from an absent member.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Members<'a> {
    fn into_message(self, id: Option<RequestId>) -> Result<Message<'a>, Malformed> {
        let answer = self.result.map(|_| "result").or(self.error.map(|_| "error"));
        let method = match (self.method, answer) {
            (None, Some(_)) => return Ok(Message::Response),
            (Some(_), Some(answer)) => return Err(Malformed::RequestAndResponse(answer)),
            (method, None) => method,
        };
        if text_of(self.jsonrpc).as_deref() != Some("2.0") {
            return Err(Malformed::Version(self.jsonrpc.map(excerpt)));
        }
        let Some(method) = text_of(method) else {
            return Err(Malformed::Method(method.map(excerpt)));
        };
        // `null` is what some clients send for "none".
        let params = self.params.filter(|raw| kind(raw) != "null");
        if let Some(raw) = params
            && !matches!(kind(raw), "an object" | "an array")
        {
            return Err(Malformed::Params(kind(raw)));
        }
        match (self.id, id) {
            (None, _) => Ok(Message::Notification { method, params }),
            (Some(_), Some(id)) => Ok(Message::Request { id, method, params }),
            (Some(raw), None) => Err(Malformed::Id(kind(raw))),
        }
    }
}

/// The text of a JSON string.
fn text_of(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// What a JSON value is, for error messages.
pub(crate) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().trim_ascii_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') | None => "null",
        Some(_) => "a number",
    }
}

/// A small value as it is written, a large one by its kind.
fn excerpt(raw: &RawValue) -> String {
    const MAX_BYTES: usize = 40;
    if raw.get().len() <= MAX_BYTES { raw.get().to_owned() } else { kind(raw).to_owned() }
}

/// The entries of a batch, no more of them kept than are allowed.
struct Entries<'a> {
    kept: Vec<&'a RawValue>,
    n_entries: usize,
}

/// Reads [`Entries`], keeping so many.
struct EntriesUpTo(usize);

impl<'de> DeserializeSeed<'de> for EntriesUpTo {
    type Value = Entries<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntriesUpTo {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Entries { kept: Vec::new(), n_entries: 0 };
        while let Some(entry) = seq.next_element()? {
            entries.n_entries += 1;
            if entries.n_entries <= self.0 {
                entries.kept.push(entry);
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
