//! Values as numbers in Python's sense: [`integer`] and [`number`].

use minijinja::Value;
use minijinja::value::ValueKind;

/// The value of an integer or a boolean; `None` for anything else.
pub(super) fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(value.is_true().into()),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// The value of a number or a boolean; `None` for anything else.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => f64::try_from(value.clone()).ok().or_else(|| integer(value).map(|it| it as f64)),
        _ => None,
    }
}
