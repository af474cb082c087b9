//! How sure the model must be of a text to offer it unasked: [`DEFAULT_MIN_CONFIDENCE`].

/// The default for suggestions that nobody asked for; what a person asks for is shown whatever its confidence.
///
/// Measured with `qwen2.5-coder-0.5b` on the first 69 holes for tuning of `cargo xtask bench completion`: all 30
/// completions whose first line is exact are still offered, and 45 % of the others no longer are. On 90 holes for
/// reporting, all 40 exact ones still are, and 38 % of the others no longer.
pub const DEFAULT_MIN_CONFIDENCE: f64 = 0.15;
