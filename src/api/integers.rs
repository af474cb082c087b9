//! JSON values of any shape, read without rounding their integers.
//!
//! A `serde_json::Value` holds integers of up to 64 bits and rounds longer ones to floats; its `arbitrary_precision`
//! feature would change how every crate of the program reads numbers. So a longer integer is kept as the object
//! `{"__integer__": "18446744073709551616"}`, which becomes a number again when a chat template is rendered.

use std::fmt::{self, Write};

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The only key of the object that represents an integer beyond 64 bits; the value is its digits.
const INTEGER_TAG: &str = "__integer__";

/// Every integer of fewer digits has at most 64 bits.
const MIN_DIGITS: usize = 19;

/// Reads an object with values of any shape.
pub(crate) fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Map<String, Value>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
            let mut read = Map::new();
            while let Some((name, text)) = fields.next_entry::<String, Box<RawValue>>()? {
                read.insert(name, from_text(text.get()).map_err(|it| without_position(&it))?);
            }
            Ok(read)
        }
    }

    deserializer.deserialize_map(Fields)
}

/// Reads an object that may be missing.
pub(crate) fn maybe_object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    #[derive(Deserialize)]
    struct Object(#[serde(deserialize_with = "object")] Map<String, Value>);

    Ok(Option::<Object>::deserialize(deserializer)?.map(|it| it.0))
}

/// A JSON text as a value, long integers as tagged objects.
pub(crate) fn from_text<T: for<'de> Deserialize<'de>>(json: &str) -> serde_json::Result<T> {
    match with_tags(json) {
        Some(tagged) => serde_json::from_str(&tagged),
        None => serde_json::from_str(json),
    }
}

/// A position within the value alone means nothing to the client.
pub(crate) fn without_position<E: Error>(error: &serde_json::Error) -> E {
    let message = error.to_string();
    E::custom(&message[..message.rfind(" at line ").unwrap_or(message.len())])
}

/// The text with tagged objects for integers beyond 64 bits; `None` if there are none.
fn with_tags(json: &str) -> Option<String> {
    let mut tagged = String::new();
    let (mut n_copied, mut at) = (0, 0);
    let mut is_inside_string = false;
    let bytes = json.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let mut end = at + 1;
        match byte {
            b'"' => is_inside_string = !is_inside_string,
            b'\\' if is_inside_string => end += 1,
            b'-' | b'0'..=b'9' if !is_inside_string => {
                end = at + bytes[at..].iter().take_while(|it| b"+-.eE0123456789".contains(it)).count();
                let number = &json[at..end];
                if is_long_integer(number) {
                    tagged.push_str(&json[n_copied..at]);
                    // Writing to a string does not fail.
                    let _ = write!(tagged, "{{\"{INTEGER_TAG}\":\"{number}\"}}");
                    n_copied = end;
                }
            }
            _ => {}
        }
        at = end;
    }
    (n_copied > 0).then(|| tagged + &json[n_copied..])
}

fn is_long_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    // JSON has no leading zeros; what is not JSON is left to its reader to refuse.
    digits.len() >= MIN_DIGITS
        && digits.bytes().all(|it| it.is_ascii_digit())
        && !digits.starts_with('0')
        && number.parse::<u64>().is_err()
        && number.parse::<i64>().is_err()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn integers_beyond_64_bits_keep_their_digits_and_nothing_else_changes() {
        let read = |json: &str| from_text::<Value>(json).unwrap();
        for digits in
            ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890123456789012"]
        {
            let expected = json!({"a": [{"__integer__": digits}, 1]});
            assert_eq!(read(&format!("{{\"a\": [{digits}, 1]}}")), expected);
            assert_eq!(read(digits), json!({"__integer__": digits}));
        }
        for same in [
            "18446744073709551615",
            "-9223372036854775808",
            "12345678901234567890.5",
            "1e25",
            r#"{"k\"1": "\\99999999999999999999\"99999999999999999999"}"#,
        ] {
            assert_eq!(read(same), serde_json::from_str::<Value>(same).unwrap(), "{same}");
        }
        assert!(from_text::<Value>("099999999999999999999").is_err());
    }
}
