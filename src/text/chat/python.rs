//! Python's way to write values, which chat templates rely on: `str`, `json.dumps`, `strftime`.
//!
//! A prompt that differs in a space is another prompt to a model, so separators, floats and quotes are Python's to
//! the character.

mod arguments;
mod escape;
pub(super) mod filters;
mod format;
pub(super) mod methods;
mod numbers;
pub(super) mod operators;
mod translate;
mod urlize;

use std::fmt::Write;

use chrono::{DateTime, Local, TimeZone};
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;
use serde::ser::Error as _;
use serde_json::ser::{CharEscape, Formatter, Serializer};
use serde_json::value::RawValue;

use super::integers::{Exact, LongInteger};
use super::limits::{Layout, check_layout, check_value};

/// `str(value)`.
pub(super) fn str(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Undefined => String::new(),
        _ => repr(value),
    }
}

/// [`str`], for which the template pays.
fn paid_str(state: &State, value: &Value) -> Result<String, Error> {
    check_value(state, value)?;
    Ok(str(value))
}

/// `repr(value)` for what JSON can hold.
fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => repr_str(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|it| repr(&it)).collect();
            match items.as_slice() {
                [one] if value.is_tuple() => format!("({one},)"),
                items if value.is_tuple() => format!("({})", items.join(", ")),
                items => format!("[{}]", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let field = |key: Value| {
                let field = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", repr(&key), repr(&field))
            };
            let fields: Vec<String> = value.try_iter().into_iter().flatten().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
        _ => value.to_string(),
    }
}

fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut written = String::from(quote);
    for it in text.chars() {
        match it {
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\\' => written.push_str("\\\\"),
            it if it == quote => written.extend(['\\', it]),
            it if u32::from(it) < 0x20 || (0x7F..0xA0).contains(&u32::from(it)) => {
                // Writing to a string does not fail.
                let _ = write!(written, "\\x{:02x}", u32::from(it));
            }
            it => written.push(it),
        }
    }
    written.push(quote);
    written
}

/// A float as Python writes it: the shortest digits that read back the same, `1e+16` from there on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) || value == 0.0 {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `json.dumps(value, ensure_ascii=False)`.
pub(super) fn dumps(json: &serde_json::Value) -> String {
    let formatter = PythonJson {
        indent: None,
        item_separator: ", ".to_owned(),
        key_separator: ": ".to_owned(),
        ensure_ascii: false,
        depth: 0,
        has_value: false,
    };
    let mut written = Vec::new();
    let value = Value::from(Serde(Exact(json)));
    // Writing a JSON value into memory does not fail, and what is written is UTF-8.
    let _ =
        Json { value, sort_keys: false }.serialize(&mut Serializer::with_formatter(&mut written, formatter));
    String::from_utf8(written).unwrap_or_default()
}

/// No template indents JSON further.
const MAX_INDENT: usize = 64;

/// transformers' `tojson`: `json.dumps` with `ensure_ascii` off, and nothing escaped for HTML.
#[allow(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
pub(super) fn tojson(
    state: &State,
    value: &Value,
    ensure_ascii: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let invalid = |reason: String| Error::new(ErrorKind::InvalidOperation, reason);
    let indent = kwargs.get::<Option<Value>>("indent")?.filter(|it| !it.is_none());
    let indent = indent.map(|it| match (it.as_str(), it.as_usize()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some(n_spaces)) => Ok(" ".repeat(n_spaces.min(MAX_INDENT + 1))),
        (None, None) => Err(invalid(format!("`indent` must be a number or a string, got {it}"))),
    });
    let indent: Option<String> = indent.transpose()?;
    let separators = kwargs.get::<Option<Vec<String>>>("separators")?;
    let ensure_ascii = ensure_ascii.or(kwargs.get("ensure_ascii")?).unwrap_or(false);
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    kwargs.assert_all_used()?;

    let (item_separator, key_separator) = match separators.as_deref() {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(invalid("`separators` must be a pair of strings".to_owned())),
    };
    let layout = Layout {
        per_item: item_separator.len().saturating_add(key_separator.len()),
        per_level: indent.as_ref().map_or(0, String::len),
    };
    if layout.per_level > MAX_INDENT {
        return Err(invalid(format!("`indent` must be at most {MAX_INDENT} characters")));
    }
    check_layout(state, value, layout)?;
    let formatter =
        PythonJson { indent, item_separator, key_separator, ensure_ascii, depth: 0, has_value: false };
    let mut written = Vec::new();
    Json { value: value.clone(), sort_keys }
        .serialize(&mut Serializer::with_formatter(&mut written, formatter))
        .map_err(|err| invalid(err.to_string()))?;
    String::from_utf8(written).map_err(|err| invalid(err.to_string()))
}

/// A value as `json.dumps` takes it: no undefined ones, no generators, integers of any size.
struct Json {
    value: Value,
    sort_keys: bool,
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { value, sort_keys } = self;
        let inner = |value: Value| Self { value, sort_keys: *sort_keys };
        match value.kind() {
            ValueKind::None => serializer.serialize_unit(),
            ValueKind::Bool => serializer.serialize_bool(value.is_true()),
            ValueKind::Number => match (numbers::integer(value), numbers::number(value)) {
                (Some(whole), _) => serializer.serialize_i128(whole),
                (None, Some(float)) if !value.is_integer() => serializer.serialize_f64(float),
                _ => serializer.serialize_u128(u128::try_from(value.clone()).unwrap_or(u128::MAX)),
            },
            ValueKind::String => serializer.serialize_str(value.as_str().unwrap_or_default()),
            ValueKind::Seq => serializer.collect_seq(value.try_iter().map_err(S::Error::custom)?.map(inner)),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter().map_err(S::Error::custom)?.collect();
                if *sort_keys {
                    keys.sort();
                }
                serializer.collect_map(keys.into_iter().map(|key| {
                    let field = value.get_item(&key).unwrap_or_default();
                    let name = match key.kind() {
                        ValueKind::None => "null".to_owned(),
                        ValueKind::Bool => key.is_true().to_string(),
                        _ => str(&key),
                    };
                    (name, inner(field))
                }))
            }
            kind => match LongInteger::digits(value) {
                Some(digits) => {
                    RawValue::from_string(digits.to_owned()).map_err(S::Error::custom)?.serialize(serializer)
                }
                None => Err(S::Error::custom(format_args!("{kind} cannot be written as JSON"))),
            },
        }
    }
}

/// `json.dumps`' layout.
struct PythonJson {
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    ensure_ascii: bool,
    depth: usize,
    has_value: bool,
}

impl PythonJson {
    fn open<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, bracket: u8) -> std::io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(&[bracket])
    }

    fn close<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, bracket: u8) -> std::io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.new_line(writer)?;
        }
        self.has_value = true;
        writer.write_all(&[bracket])
    }

    fn begin_item<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if !first {
            writer.write_all(self.item_separator.as_bytes())?;
        }
        self.new_line(writer)
    }

    fn new_line<W: ?Sized + std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let Some(indent) = &self.indent else { return Ok(()) };
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(indent.as_bytes()))
    }
}

impl Formatter for PythonJson {
    fn begin_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.open(writer, b'[')
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.close(writer, b']')
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.begin_item(writer, first)
    }

    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.open(writer, b'{')
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.close(writer, b'}')
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.begin_item(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.key_separator.as_bytes())
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn write_f64<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, value: f64) -> std::io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        if !self.ensure_ascii {
            return writer.write_all(fragment.as_bytes());
        }
        for it in fragment.chars() {
            if it.is_ascii() {
                write!(writer, "{it}")?;
            } else {
                let mut units = [0; 2];
                it.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> std::io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

/// transformers' `strftime_now`: the local time.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    strftime(&Local::now(), format)
}

fn strftime<Tz: TimeZone<Offset: std::fmt::Display>>(
    at: &DateTime<Tz>,
    format: &str,
) -> Result<String, Error> {
    let mut written = String::new();
    write!(written, "{}", at.format(format)).map_err(|_| {
        Error::new(ErrorKind::InvalidOperation, format!("`strftime_now` does not know the format {format:?}"))
    })?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::{FixedOffset, TimeZone};
    use minijinja::Environment;
    use serde_json::json;

    use super::*;

    fn render(expression: &str, value: &serde_json::Value) -> String {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        let context = json!({"it": value});
        environment.render_str(&format!("{{{{ {expression} }}}}"), Serde(&context)).unwrap()
    }

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value =
            json!([null, true, 1, 1.0, 1e16, 1e-5, 0.1, "it's", "\"it's\"\n\u{1}é", {"k": [false]}, []]);
        assert_eq!(
            str(&Value::from(Serde(&value))),
            r#"[None, True, 1, 1.0, 1e+16, 1e-05, 0.1, "it's", '"it\'s"\n\x01é', {'k': [False]}, []]"#
        );
        assert_eq!(str(&Value::from("it's")), "it's");
        assert_eq!(str(&Value::UNDEFINED), "");
    }

    // The expected strings are json.dumps' of Python 3.11.
    #[test]
    fn tojson_is_json_dumps_without_ascii_escapes() {
        let value = json!({"b": [1, 2.0, 1e20, "<é🦀>\n\u{7f}"], "a": {}, "c": []});
        let cases = [
            ("it|tojson", "{\"b\": [1, 2.0, 1e+20, \"<é🦀>\\n\u{7f}\"], \"a\": {}, \"c\": []}"),
            (
                "it|tojson(indent=2)",
                "{\n  \"b\": [\n    1,\n    2.0,\n    1e+20,\n    \"<é🦀>\\n\u{7f}\"\n  ],\n  \"a\": {},\n  \"c\": []\n}",
            ),
            (
                "it|tojson(separators=(',', ':'), sort_keys=true)",
                "{\"a\":{},\"b\":[1,2.0,1e+20,\"<é🦀>\\n\u{7f}\"],\"c\":[]}",
            ),
            (
                "it|tojson(ensure_ascii=true)",
                "{\"b\": [1, 2.0, 1e+20, \"<\\u00e9\\ud83e\\udd80>\\n\u{7f}\"], \"a\": {}, \"c\": []}",
            ),
        ];
        for (expression, expected) in cases {
            assert_eq!(render(expression, &value), expected, "{expression}");
        }
    }

    #[test]
    fn strftime_is_cs_and_refuses_what_it_does_not_know() {
        let moment = FixedOffset::east_opt(3600).unwrap().with_ymd_and_hms(2026, 3, 7, 9, 5, 0).unwrap();
        assert_eq!(strftime(&moment, "%d %b %Y %H:%M %A").unwrap(), "07 Mar 2026 09:05 Saturday");
        assert!(strftime(&moment, "%Q").unwrap_err().to_string().contains("%Q"));
    }
}
