//! `str.maketrans` ([`table`]) and `str.translate` ([`translated`]), which replace characters by a table of code
//! points.

use minijinja::value::{Serde, ValueKind, from_args};
use minijinja::{Error, State, Value};
use serde::{Serialize, Serializer};

use super::arguments::invalid;
use super::numbers::integer;

/// A table with numbers as keys, in the order in which they were given.
struct Table(Vec<(u32, Value)>);

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, it)| (key, it)))
    }
}

/// `str.maketrans(table)`, or `str.maketrans(from, to, deleted)`.
pub(super) fn table(state: &State, args: &[Value]) -> Result<Value, Error> {
    let (from, to, deleted): (&Value, Option<&str>, Option<&str>) = from_args(args)?;
    let n_entries = from.len().unwrap_or(0) + deleted.map_or(0, str::len);
    state.consume_fuel(n_entries as u64)?;
    let mut table = Vec::new();
    match (from.as_str(), to) {
        (Some(from), Some(to)) => {
            if from.chars().count() != to.chars().count() {
                return Err(invalid("the first two maketrans arguments must have equal length"));
            }
            table.extend(from.chars().zip(to.chars()).map(|(from, to)| (from, Value::from(u32::from(to)))));
            table.extend(deleted.unwrap_or_default().chars().map(|it| (it, Value::from(()))));
        }
        (None, None) if from.kind() == ValueKind::Map => {
            for key in from.try_iter()? {
                let mut name = key.as_str().unwrap_or_default().chars();
                let it = match (integer(&key), name.next(), name.next()) {
                    (Some(code), ..) => character(code)?,
                    (None, Some(one), None) => one,
                    _ => {
                        return Err(invalid(
                            "keys of a translate table must be integers or single characters",
                        ));
                    }
                };
                table.push((it, from.get_item(&key)?));
            }
        }
        _ => return Err(invalid("`maketrans` takes one mapping, or two strings of equal length")),
    }
    Ok(Value::from(Serde(&Table(table.into_iter().map(|(it, to)| (it.into(), to)).collect()))))
}

/// `text.translate(table)`. Characters that are not in the table stay unchanged.
pub(super) fn translated(text: &str, table: &Value) -> Result<String, Error> {
    let is_table = matches!(table.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::String);
    if !is_table {
        return Err(invalid(format!("`translate` takes a table, got {}", table.kind())));
    }
    let mut written = String::with_capacity(text.len());
    for it in text.chars() {
        let found = table.get_item(&Value::from(u32::from(it)))?;
        match (found.kind(), integer(&found)) {
            (ValueKind::Undefined, _) => written.push(it),
            (ValueKind::None, _) => {}
            (ValueKind::String, _) => written.push_str(found.as_str().unwrap_or_default()),
            (_, Some(code)) => written.push(character(code)?),
            (kind, None) => {
                return Err(invalid(format!(
                    "a translate table must hold integers, none or strings, got {kind}"
                )));
            }
        }
    }
    Ok(written)
}

/// The character with this code point.
fn character(code: i128) -> Result<char, Error> {
    let found = u32::try_from(code).ok().and_then(char::from_u32);
    found.ok_or_else(|| invalid(format!("{code} is no character")))
}
