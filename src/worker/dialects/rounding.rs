//! How exactly clients are told a probability.

/// Rounds to millionths; finer digits are noise.
pub(super) fn rounded(probability: f64) -> f64 {
    (probability * 1e6).round() / 1e6
}
