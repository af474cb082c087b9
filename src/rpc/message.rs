//! Classifies a frame: a request, a notification, an answer, a batch, or none of them.
//!
//! Classification is strict, because leniency would do harm: if a request whose id cannot be read were taken for a
//! notification, the client would wait forever. Nothing here recurses with the nesting of the input: values stay raw
//! text until they are read.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::id::RequestId;
use crate::malformed::{MAX_ID_BYTES, Malformed};

/// Which deviations from JSON-RPC 2.0 a connection accepts. The default accepts none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictness {
    /// Whether batches are accepted. If not, a batch is answered with one error -32600, and only the answers in it are
    /// used.
    pub takes_batches: bool,
    /// Whether a request or notification must contain `"jsonrpc": "2.0"`. If not, the member is ignored.
    pub requires_version: bool,
}

impl Default for Strictness {
    fn default() -> Self {
        Self { takes_batches: true, requires_version: true }
    }
}

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
    /// An answer to a request of ours, well-formed or not. It is never answered.
    Answer(Answer<'a>),
    /// A message with only an id. If a request of ours with this id is pending, this is the answer of a JavaScript
    /// client whose result is `undefined`, and counts as `null`; otherwise it is invalid.
    NullAnswer {
        id: RequestId,
        error: Malformed,
    },
    /// Never empty, and contains no batches.
    Batch(Vec<Message<'a>>),
    /// Must be answered with `error`, under the id if there is a valid one.
    Invalid {
        id: Option<RequestId>,
        error: Malformed,
    },
}

/// The members of an answer, as written. A repeated member counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer<'a> {
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) result: Option<&'a RawValue>,
    pub(crate) error: Option<&'a RawValue>,
}

/// Classifies `frame`. A batch may have up to `max_batch_entries`. Its entries are classified even if `strictness` does
/// not accept batches, because it may contain answers.
pub(crate) fn classify(frame: &[u8], max_batch_entries: usize, strictness: Strictness) -> Message<'_> {
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
        return classify_entry(raw, strictness);
    }
    match EntriesUpTo(max_batch_entries).deserialize(&mut serde_json::Deserializer::from_str(raw.get())) {
        Ok(Entries { n_entries: 0, .. }) => invalid(Malformed::EmptyBatch),
        Ok(Entries { n_entries, .. }) if n_entries > max_batch_entries => {
            invalid(if strictness.takes_batches {
                Malformed::BatchTooLarge { limit: max_batch_entries, got: n_entries }
            } else {
                Malformed::Batch
            })
        }
        Ok(Entries { kept, .. }) => {
            Message::Batch(kept.into_iter().map(|entry| classify_entry(entry, strictness)).collect())
        }
        Err(error) => invalid(Malformed::Json(error)),
    }
}

fn classify_entry(raw: &RawValue, strictness: Strictness) -> Message<'_> {
    if kind(raw) != "an object" {
        return Message::Invalid { id: None, error: Malformed::NotAnObject { got: kind(raw) } };
    }
    let members: Members<'_> = match serde_json::from_str(raw.get()) {
        Ok(members) => members,
        Err(_) if is_answer_with_repeated_members(raw) => return Message::Answer(Answer::default()),
        Err(error) => return Message::Invalid { id: None, error: Malformed::Members(error) },
    };
    if let Some(answer) = members.answer() {
        return Message::Answer(answer);
    }
    if let Some(raw) = members.id
        && raw.get().len() > MAX_ID_BYTES
    {
        return Message::Invalid { id: None, error: Malformed::IdTooLong(raw.get().len()) };
    }
    let id = members.id.and_then(RequestId::from_raw);
    let is_only_an_id = members.is_only_an_id();
    match (members.into_message(id.clone(), strictness), id) {
        (Ok(message), _) => message,
        (Err(error @ Malformed::Method(None)), Some(id)) if is_only_an_id => {
            Message::NullAnswer { id, error }
        }
        (Err(error), id) => Message::Invalid { id, error },
    }
}

/// The members that have a meaning. A repeated one is an error, others are ignored.
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

/// Tells `null` from an absent member.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whether an object whose members cannot be read is an answer nevertheless, which must not be answered.
fn is_answer_with_repeated_members(raw: &RawValue) -> bool {
    serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()).is_ok_and(|members| {
        !members.contains_key("method") && (members.contains_key("result") || members.contains_key("error"))
    })
}

impl<'a> Members<'a> {
    fn answer(&self) -> Option<Answer<'a>> {
        let is_answer = self.method.is_none() && (self.result.is_some() || self.error.is_some());
        is_answer.then_some(Answer { id: self.id, result: self.result, error: self.error })
    }

    fn is_only_an_id(&self) -> bool {
        self.method.is_none() && self.params.is_none()
    }

    fn into_message(self, id: Option<RequestId>, strictness: Strictness) -> Result<Message<'a>, Malformed> {
        if let Some(answer) = self.result.map(|_| "result").or(self.error.map(|_| "error")) {
            return Err(Malformed::RequestAndAnswer(answer));
        }
        if strictness.requires_version && text_of(self.jsonrpc).as_deref() != Some("2.0") {
            return Err(Malformed::Version(self.jsonrpc.map(excerpt)));
        }
        let Some(method) = text_of(self.method) else {
            return Err(Malformed::Method(self.method.map(excerpt)));
        };
        // Some clients send `null` instead of leaving `params` out.
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

/// The type of a JSON value, for error messages.
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

/// A short value as it is written, a long one by its type.
fn excerpt(raw: &RawValue) -> String {
    const MAX_BYTES: usize = 40;
    if raw.get().len() <= MAX_BYTES { raw.get().to_owned() } else { kind(raw).to_owned() }
}

/// The entries of a batch: all are counted, but only as many kept as are allowed.
struct Entries<'a> {
    kept: Vec<&'a RawValue>,
    n_entries: usize,
}

/// Reads [`Entries`] and keeps at most this number.
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
