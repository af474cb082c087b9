//! What is wrong with a parameter, and with which one: [`ParamError`].
//!
//! Implements serde's error trait, so that errors of visitors and derived code are data and not text. The path is built
//! from the inside out.

use std::fmt::{self, Display};

use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::Serialize;
use serde::de::{self, Expected, Unexpected};

/// The least similarity, from 0 to 1, at which the hint is "did you mean".
const MIN_SIMILARITY: f64 = 0.5;
/// The most characters of a client's value in a message.
const MAX_EXCERPT_CHARS: usize = 40;

#[derive(Debug)]
pub(super) struct ParamError {
    /// From the inside out: the first segment is printed last.
    path: Vec<Segment>,
    problem: Problem,
}

#[derive(Debug)]
pub(super) enum Segment {
    Field(String),
    Index(usize),
}

#[derive(Debug)]
enum Problem {
    Wrong { expected: String, got: String },
    Missing,
    Unknown { nearest: Option<&'static str> },
    Repeated,
    Other(String),
}

impl ParamError {
    fn new(problem: Problem) -> Self {
        Self { path: Vec::new(), problem }
    }

    pub(super) fn wrong(expected: impl Display, got: impl Display) -> Self {
        Self::new(Problem::Wrong { expected: expected.to_string(), got: got.to_string() })
    }

    pub(super) fn unknown(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Problem::Unknown { nearest: nearest(field, known.iter().copied()) })
            .within(Segment::Field(field.to_owned()))
    }

    /// The same error, seen from the value that contains this one.
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }

    fn field(&self) -> String {
        let mut field = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Index(index) => field.extend(["[", &index.to_string(), "]"]),
                Segment::Field(name) => {
                    if !field.is_empty() {
                        field.push('.');
                    }
                    field.extend(name.chars().take(MAX_EXCERPT_CHARS));
                }
            }
        }
        field
    }

    pub(super) fn into_error(self) -> ErrorObjectOwned {
        #[derive(Serialize)]
        struct Data {
            field: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            nearest: Option<&'static str>,
        }
        let nearest = match self.problem {
            Problem::Unknown { nearest } => nearest,
            _ => None,
        };
        let data = (!self.path.is_empty()).then(|| Data { field: self.field(), nearest });
        ErrorObject::owned(INVALID_PARAMS_CODE, self.to_string(), data)
    }
}

impl Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.path.is_empty() { "params".to_owned() } else { self.field() };
        match &self.problem {
            Problem::Wrong { expected, got } => write!(f, "`{field}` must be {expected}, got {got}"),
            Problem::Missing => write!(f, "`{field}` is required"),
            Problem::Repeated => write!(f, "`{field}` must be given once, got it twice"),
            Problem::Other(message) => write!(f, "`{field}`: {message}"),
            Problem::Unknown { nearest: None } => write!(f, "unknown parameter `{field}`"),
            Problem::Unknown { nearest: Some(nearest) } => {
                let is_similar = self.path.first().is_some_and(
                    |it| matches!(it, Segment::Field(name) if similarity(name, nearest) >= MIN_SIMILARITY),
                );
                let hint = if is_similar { "did you mean" } else { "the nearest known one is" };
                let end = if is_similar { "?" } else { "" };
                write!(f, "unknown parameter `{field}`\nhint: {hint} `{nearest}`{end}")
            }
        }
    }
}

impl std::error::Error for ParamError {}

impl de::Error for ParamError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Problem::Other(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(expected, unexpected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(expected, unexpected)
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::wrong(expected, format_args!("{len} entries"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known: Vec<String> = expected.iter().map(|it| format!("`{it}`")).collect();
        let variant: String = variant.chars().take(MAX_EXCERPT_CHARS).collect();
        Self::wrong(format_args!("one of {}", known.join(", ")), format_args!("`{variant}`"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown(field, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Problem::Missing).within(Segment::Field(field.to_owned()))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Problem::Repeated).within(Segment::Field(field.to_owned()))
    }
}

/// The member of `known` that is most similar to `name`.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known.into_iter().max_by(|a, b| similarity(name, a).total_cmp(&similarity(name, b)))
}

/// The member of `known` that was probably meant by `name`.
pub(crate) fn meant<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    nearest(name, known).filter(|nearest| similarity(name, nearest) >= MIN_SIMILARITY)
}

/// The similarity of two names, from 0 to 1. `maxTokens` and `max_tokens` count as equal.
fn similarity(a: &str, b: &str) -> f64 {
    let plain = |name: &str| -> String {
        name.chars().take(MAX_EXCERPT_CHARS).filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
    };
    strsim::normalized_damerau_levenshtein(&plain(a), &plain(b))
}
