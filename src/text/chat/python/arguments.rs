//! The arguments of filters and methods: [`argument`], and [`invalid`] for the error if one cannot be used.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Error, ErrorKind, Value};

/// The error of a filter or method that was called with a value it cannot use.
pub(super) fn invalid(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// The argument at position `nth`, or else the one named `name`; `None` if it is absent, none or undefined.
pub(super) fn argument(
    rest: &Rest<Value>,
    kwargs: &Kwargs,
    nth: usize,
    name: &str,
) -> Result<Option<Value>, Error> {
    let given = match rest.get(nth) {
        Some(value) => Some(value.clone()),
        None => kwargs.get::<Option<Value>>(name)?,
    };
    Ok(given.filter(|it| !it.is_none() && !it.is_undefined()))
}
