//! Reads the JSON files of a model folder as Python's `json` and transformers write them: [`parse`], [`fields`].
//!
//! Such files are not quite JSON: `Infinity` and `NaN` occur bare or as transformers' `{"__float__": "Infinity"}`, a
//! count may be `64.0`, and a field that was never set is null. [`parse`] reads all of that, and [`fields`]
//! deserializes a struct from the result, treating null as absent. Errors name the field by its path from the top of
//! the file; the caller adds the file's name.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Number, Value};

/// The key of the object that transformers writes for a number that JSON lacks.
const TAG: &str = "__float__";

/// The numbers that JSON lacks, spelt as in Python.
const NON_FINITE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Below this, every whole number has an exact float of its own (2^53).
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelJsonError {
    /// The path of the field, such as `rope_parameters.factors[2]`; empty if the error concerns the file as a whole.
    pub field: String,
    pub reason: String,
}

impl fmt::Display for ModelJsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => out.write_str(&self.reason),
            field => write!(out, "`{field}` {}", self.reason),
        }
    }
}

impl std::error::Error for ModelJsonError {}

/// Parses a file. Whole numbers become integers however they are written, so `as_u64` accepts `64.0`. Numbers that JSON
/// lacks become transformers' tagged objects, which [`float`] and [`fields`] understand.
pub fn parse(json: &[u8]) -> Result<Value, ModelJsonError> {
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let read = serde_json::from_slice(json).or_else(|_| serde_json::from_slice(&with_tags(json)));
    let mut value = read.map_err(|err| ModelJsonError {
        field: String::new(),
        reason: format!("must be JSON, got an error: {err}"),
    })?;
    with_integers(&mut value);
    Ok(value)
}

/// A number of any kind as a float, including the numbers that JSON lacks; `None` if `value` is no number.
pub fn float(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_object().and_then(tagged))
}

/// Deserializes a struct from a value returned by [`parse`]. Null members are skipped, so the struct's defaults apply
/// to them.
pub fn fields<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, ModelJsonError> {
    T::deserialize(Lenient(value))
}

/// The number that a tagged object stands for; `None` for other objects.
fn tagged(fields: &Map<String, Value>) -> Option<f64> {
    let text = fields.get(TAG).filter(|_| fields.len() == 1)?.as_str()?;
    text.parse().ok()
}

/// Replaces bare `NaN`, `Infinity` and `-Infinity` by tagged objects.
fn with_tags(json: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Vec::new();
    let mut n_copied = 0;
    let mut at = 0;
    let mut is_inside_string = false;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => is_inside_string = !is_inside_string,
            b'\\' if is_inside_string => at += 1,
            b'N' | b'I' | b'-' if !is_inside_string => {
                if let Some(name) = NON_FINITE.iter().find(|it| json[at..].starts_with(it.as_bytes())) {
                    text.extend_from_slice(&json[n_copied..at]);
                    text.extend_from_slice(format!("{{\"{TAG}\":\"{name}\"}}").as_bytes());
                    at += name.len();
                    n_copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if n_copied == 0 {
        return Cow::Borrowed(json);
    }
    text.extend_from_slice(&json[n_copied..]);
    Cow::Owned(text)
}

/// Turns whole numbers that are floats into integers.
fn with_integers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or(f64::NAN);
            if float.fract() == 0.0 && float.abs() < MAX_EXACT {
                #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
                let whole = float as i64;
                *number = u64::try_from(whole).map_or_else(|_| Number::from(whole), Number::from);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(with_integers),
        Value::Object(fields) => fields.values_mut().for_each(with_integers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl ModelJsonError {
    /// The same error, seen from the object or list that contains the field.
    fn inside(mut self, outer: &str) -> Self {
        let joint = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{outer}{joint}{}", self.field);
        self
    }
}

impl de::Error for ModelJsonError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self { field: String::new(), reason: reason.to_string() }
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}, got {got}"))
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}, got {got}"))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}, got {length}"))
    }

    fn unknown_variant(got: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("must be one of `{}`, got `{got}`", expected.join("`, `")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { field: field.to_owned(), reason: "is missing".to_owned() }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self { field: field.to_owned(), reason: "is there twice".to_owned() }
    }
}

/// Deserializes a [`Value`], treating null as absent and understanding tagged numbers.
#[derive(Clone, Copy)]
struct Lenient<'de>(&'de Value);

impl<'de> de::Deserializer<'de> for Lenient<'de> {
    type Error = ModelJsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ModelJsonError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(it) => visitor.visit_bool(*it),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(it), ..) => visitor.visit_u64(it),
                (None, Some(it), _) => visitor.visit_i64(it),
                (None, None, it) => visitor.visit_f64(it.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => {
                let mut items = Items(items.iter().enumerate());
                let read = visitor.visit_seq(&mut items)?;
                match items.0.next() {
                    None => Ok(read),
                    Some((idx, _)) => {
                        Err(de::Error::custom(format_args!("must have {idx} items and no more")))
                    }
                }
            }
            Value::Object(fields) => match tagged(fields) {
                Some(float) => visitor.visit_f64(float),
                None => visitor.visit_map(Members::new(fields)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ModelJsonError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ModelJsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ModelJsonError> {
        match self.0 {
            Value::String(text) => {
                BorrowedStrDeserializer::new(text).deserialize_enum(name, variants, visitor)
            }
            Value::Object(fields) => visitor.visit_enum(MapAccessDeserializer::new(Members::new(fields))),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The items of a list. Errors in an item name its index.
struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for &mut Items<'de> {
    type Error = ModelJsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ModelJsonError> {
        let Some((idx, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Lenient(item)).map(Some).map_err(|err| err.inside(&format!("[{idx}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The members of an object that are not null. Errors in a member name its key.
struct Members<'de> {
    rest: serde_json::map::Iter<'de>,
    current: Option<(&'de str, &'de Value)>,
}

impl<'de> Members<'de> {
    fn new(fields: &'de Map<String, Value>) -> Self {
        Self { rest: fields.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = ModelJsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ModelJsonError> {
        let Some((key, value)) = self.rest.find(|(_, value)| !value.is_null()) else { return Ok(None) };
        self.current = Some((key, value));
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ModelJsonError> {
        let (key, value) =
            self.current.take().ok_or_else(|| de::Error::custom("a value came before its key"))?;
        seed.deserialize(Lenient(value)).map_err(|err: ModelJsonError| err.inside(key))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Config {
        hidden_size: u32,
        #[serde(default)]
        eps: f64,
        #[serde(default)]
        limits: Vec<f32>,
        rope: Option<Rope>,
        #[serde(default)]
        kind: Kind,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Rope {
        factors: Vec<usize>,
        #[serde(flatten)]
        others: Map<String, Value>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        #[default]
        Plain,
        Fancy,
    }

    fn read(json: &str) -> Result<Config, ModelJsonError> {
        fields(&parse(json.as_bytes())?)
    }

    fn message(json: &str) -> String {
        read(json).unwrap_err().to_string()
    }

    #[test]
    fn numbers_that_json_lacks_are_read_bare_and_tagged() {
        let json =
            r#"{"hidden_size": 1, "eps": -Infinity, "limits": [{"__float__": "Infinity"}, NaN, 1e-6]}"#;
        let config = read(json).unwrap();
        assert!(
            config.eps == f64::NEG_INFINITY && config.limits[0] == f32::INFINITY && config.limits[1].is_nan()
        );
        let value = parse(br#"{"a": Infinity, "b": "Infinity", "c": "\"NaN", "d": -1}"#).unwrap();
        assert_eq!(float(&value["a"]), Some(f64::INFINITY));
        assert_eq!((&value["b"], &value["c"]), (&json!("Infinity"), &json!("\"NaN")));
        assert_eq!(float(&value["d"]), Some(-1.0));
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        let config = read(r#"{"hidden_size": 64.0, "eps": 2.0, "rope": {"factors": [1e3, 2]}}"#).unwrap();
        assert_eq!((config.hidden_size, config.eps, config.rope.unwrap().factors), (64, 2.0, vec![1000, 2]));
        assert_eq!(parse(b"[-2.0, 2.5, 1e300]").unwrap(), json!([-2, 2.5, 1e300]));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let config = read(
            r#"{"hidden_size": 1, "eps": null, "limits": null, "rope": {"factors": [], "x": null}, "kind": null}"#,
        );
        let rope = Rope { factors: Vec::new(), others: Map::new() };
        let expected =
            Config { hidden_size: 1, eps: 0.0, limits: Vec::new(), rope: Some(rope), kind: Kind::Plain };
        assert_eq!(config.unwrap(), expected);
        assert_eq!(message(r#"{"hidden_size": null}"#), "`hidden_size` is missing");
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(message(r#"{"hidden_size": "64"}"#), "`hidden_size` must be u32, got string \"64\"");
        assert_eq!(
            message(r#"{"hidden_size": 1, "limits": [1, true]}"#),
            "`limits[1]` must be f32, got boolean `true`"
        );
        assert_eq!(message(r#"{"hidden_size": 1, "rope": {}}"#), "`rope.factors` is missing");
        assert_eq!(
            message(r#"{"hidden_size": 1, "kind": "odd"}"#),
            "`kind` must be one of `plain`, `fancy`, got `odd`"
        );
        assert_eq!(
            message(r#"{"hidden_size": 1,"#),
            "must be JSON, got an error: EOF while parsing a value at line 1 column 18"
        );
    }
}
