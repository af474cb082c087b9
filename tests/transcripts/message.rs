//! Messages as text and as values. The text only matters for ids: as values, `1e2` and `100.0` are equal.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Anything with an id: a message, or the params of a `delta`.
#[derive(Deserialize)]
pub(super) struct WithId<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
}

pub(super) fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("raw values are JSON")
}

/// The entries of a batch, or the single message.
pub(super) fn entries(raw: &RawValue) -> Vec<Value> {
    match value(raw) {
        Value::Array(entries) => entries,
        message => vec![message],
    }
}

/// The ids of the entries of a batch, or of the single message, exactly as written; `None` if absent or null.
pub(super) fn ids(raw: &RawValue) -> Vec<Option<String>> {
    let entries = serde_json::from_str(raw.get()).unwrap_or_else(|_| vec![raw]);
    let id =
        |it: &RawValue| serde_json::from_str::<WithId<'_>>(it.get()).ok()?.id.map(|id| id.get().to_owned());
    entries.into_iter().map(id).collect()
}

pub(super) fn is_notification(raw: &RawValue) -> bool {
    let message = value(raw);
    message.get("method").is_some() && message.get("id").is_none()
}
