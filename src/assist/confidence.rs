//! How sure the model must be of a text to offer it unasked: [`DEFAULT_MIN_CONFIDENCE`].

/// The default for suggestions that nobody asked for; what a person asks for is shown whatever its confidence.
pub const DEFAULT_MIN_CONFIDENCE: f64 = 0.15;
