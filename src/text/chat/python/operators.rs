//! Python's operators and Jinja2's tests where those of minijinja differ.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::escape::escaped;
use super::numbers::{integer, number};
use super::{format, str};
use crate::chat::compile;
use crate::chat::integers::LongInteger;
use crate::chat::limits::{check_bytes, check_comparison, check_value, is_namespace};

/// Adds the filters that [`compile`] substitutes for operators, and Jinja2's tests.
pub(in crate::chat) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter(compile::ADD, add);
    environment.add_filter(compile::REM, rem);
    environment.add_filter(compile::CONCAT, |state: &State, a: &Value, b: &Value| {
        check_value(state, a)?;
        check_value(state, b)?;
        Ok::<_, Error>(str(a) + &str(b))
    });
    environment.add_filter(compile::IN, is_in);
    environment.add_filter(compile::ITERABLE, |value: Value| {
        if value.is_none() { Err(type_error("none is not iterable".to_owned())) } else { Ok(value) }
    });
    environment.add_filter(compile::EQUAL, |state: &State, a: &Value, b: &Value| {
        check_comparison(state, a, b).map(|()| a == b)
    });
    environment.add_filter(compile::UNEQUAL, |state: &State, a: &Value, b: &Value| {
        check_comparison(state, a, b).map(|()| a != b)
    });
    environment
        .add_filter(compile::LESS, |state: &mut State, a: &Value, b: &Value| ordered(state, "lt", a, b));
    environment.add_filter(compile::LESS_OR_EQUAL, |state: &mut State, a: &Value, b: &Value| {
        ordered(state, "le", a, b)
    });
    environment
        .add_filter(compile::GREATER, |state: &mut State, a: &Value, b: &Value| ordered(state, "gt", a, b));
    environment.add_filter(compile::GREATER_OR_EQUAL, |state: &mut State, a: &Value, b: &Value| {
        ordered(state, "ge", a, b)
    });
    // In Jinja2, an undefined value has a length and can be iterated over; none does not.
    environment.add_test("sequence", |value: &Value| {
        value.is_undefined() || value.len().is_some() && value.kind() != ValueKind::Iterable
    });
    environment.add_test("iterable", |value: &Value| match value.kind() {
        ValueKind::None => false,
        ValueKind::Undefined | ValueKind::String => true,
        _ => value.try_iter().is_ok(),
    });
    environment.add_test("callable", |value: &Value| {
        value.as_object().is_some()
            && value.kind() == ValueKind::Plain
            && LongInteger::digits(value).is_none()
            && !is_namespace(value)
    });
    environment.add_test("number", |value: &Value| value.is_number() || LongInteger::digits(value).is_some());
    environment
        .add_test("integer", |value: &Value| value.is_integer() || LongInteger::digits(value).is_some());
}

fn type_error(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// The concatenation of two texts by `+`. If one of them is marked safe, the other is escaped for HTML unless it is
/// safe too, as `Markup` does it even in templates without autoescape.
fn joined(a: &Value, b: &Value) -> Value {
    if !a.is_safe() && !b.is_safe() {
        return Value::from(str(a) + &str(b));
    }
    let safe = |it: &Value| if it.is_safe() { str(it) } else { escaped(&str(it)) };
    Value::from_safe_string(safe(a) + &safe(b))
}

/// `+`, which adds only values of the same kind.
fn add(state: &State, a: &Value, b: &Value) -> Result<Value, Error> {
    let impossible = || type_error(format!("`+` does not work on {} and {}", a.kind(), b.kind()));
    if let (Some(a_text), Some(b_text)) = (a.as_str(), b.as_str()) {
        state.consume_fuel((a_text.len() + b_text.len()) as u64 / 64)?;
        return Ok(joined(a, b));
    }
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        return a.checked_add(b).map(Value::from).ok_or_else(impossible);
    }
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return Ok(Value::from(a + b));
    }
    if a.kind() != ValueKind::Seq || b.kind() != ValueKind::Seq || a.is_tuple() != b.is_tuple() {
        return Err(impossible());
    }
    state.consume_fuel((a.len().unwrap_or(0) + b.len().unwrap_or(0)) as u64 / 4)?;
    let items: Vec<Value> = a.try_iter()?.chain(b.try_iter()?).collect();
    let sum = if a.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) };
    check_value(state, &sum)?;
    Ok(sum)
}

/// `%`: the remainder of a division, or string formatting as by [`format::printf`].
fn rem(state: &State, a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(text) = a.as_str() {
        check_value(state, b)?;
        return format::printf(state, text, b).map(Value::from);
    }
    let by_zero = || type_error("`%` by zero".to_owned());
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.checked_rem_euclid(b).ok_or_else(by_zero).map(|rest| {
            // In Python, the remainder has the sign of the divisor.
            Value::from(if b < 0 && rest != 0 { rest + b } else { rest })
        }),
        _ => match (number(a), number(b)) {
            (Some(_), Some(0.0)) => Err(by_zero()),
            (Some(a), Some(b)) => Ok(Value::from(a - b * (a / b).floor())),
            _ => Err(type_error(format!("`%` does not work on {} and {}", a.kind(), b.kind()))),
        },
    }
}

/// `needle in container`.
fn is_in(state: &mut State, needle: &Value, container: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::String => match (needle.as_str(), container.as_str()) {
            (Some(needle), Some(text)) => {
                check_bytes(state, text.len())?;
                Ok(text.contains(needle))
            }
            _ => Err(type_error(format!("`in` looks for a string in a string, not for {}", needle.kind()))),
        },
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            Err(type_error(format!("`in` does not look into {}", container.kind())))
        }
        ValueKind::Map => {
            check_value(state, needle)?;
            state.perform_test("in", &[needle.clone(), container.clone()])
        }
        _ if needle.as_object().is_some() => {
            check_value(state, container)?;
            state.perform_test("in", &[needle.clone(), container.clone()])
        }
        _ => state.perform_test("in", &[needle.clone(), container.clone()]),
    }
}

/// A comparison by order, which accepts only values of the same kind.
fn ordered(state: &mut State, test: &str, a: &Value, b: &Value) -> Result<bool, Error> {
    let is_number = |it: &Value| matches!(it.kind(), ValueKind::Number | ValueKind::Bool);
    let is_list = |it: &Value| it.kind() == ValueKind::Seq;
    let are_alike = is_number(a) && is_number(b)
        || a.kind() == ValueKind::String && b.kind() == ValueKind::String
        || is_list(a) && is_list(b);
    if !are_alike {
        return Err(type_error(format!("{} and {} have no order", a.kind(), b.kind())));
    }
    check_comparison(state, a, b)?;
    state.perform_test(test, &[a.clone(), b.clone()])
}
