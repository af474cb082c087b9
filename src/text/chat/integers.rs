//! JSON of a request as template values, with integers of any length. Read [`Exact`] first.
//!
//! `serde_json::Value` rounds integers beyond 64 bits to floats, so the types of the protocol keep each one as the object
//! `{"__integer__": "digits"}`. Here it becomes a number again: up to 128 bits one of minijinja's, beyond that a
//! [`LongInteger`], which can be written and compared but not calculated with.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{DynObject, Object, ObjectRepr};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

/// The only key of the object that represents an integer beyond 64 bits.
const TAG: &str = "__integer__";

/// An integer beyond 128 bits, as its decimal digits with their sign.
#[derive(Debug)]
pub(super) struct LongInteger(String);

impl LongInteger {
    /// The digits of `value` with their sign; `None` if it is not a long integer.
    pub(super) fn digits(value: &Value) -> Option<&str> {
        Some(&value.downcast_object_ref::<Self>()?.0)
    }
}

impl Object for LongInteger {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        let key = |it: &str| (!it.starts_with('-'), it.len(), it.to_owned());
        let order = key(&self.0).cmp(&key(&other.0));
        let are_negative = self.0.starts_with('-') && other.0.starts_with('-');
        Some(if are_negative { order.reverse() } else { order })
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The digits of an integer that is represented by a tagged object; `None` for any other value.
pub(super) fn tagged(json: &Json) -> Option<&str> {
    let fields = json.as_object().filter(|it| it.len() == 1)?;
    let text = fields.get(TAG)?.as_str()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_integer = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    // Shorter integers are never tagged, so such an object is the client's own.
    let fits = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    (is_integer && !fits).then_some(text)
}

/// A JSON value whose tagged integers are serialized as numbers; for [`minijinja::value::Serde`].
pub(super) struct Exact<'a>(pub(super) &'a Json);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(digits) = tagged(self.0) {
            return integer(digits).serialize(serializer);
        }
        match self.0 {
            Json::Array(items) => serializer.collect_seq(items.iter().map(Exact)),
            Json::Object(fields) => serializer.collect_map(fields.iter().map(|(name, it)| (name, Exact(it)))),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => self.0.serialize(serializer),
        }
    }
}

fn integer(digits: &str) -> Value {
    if let Ok(it) = digits.parse::<i128>() {
        return Value::from(it);
    }
    match digits.parse::<u128>() {
        Ok(it) => Value::from(it),
        Err(_) => Value::from_object(LongInteger(digits.to_owned())),
    }
}
