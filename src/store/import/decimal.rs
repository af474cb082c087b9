//! The shortest decimal form of a number: [`shortest`].

/// The f64 that prints as the shortest decimal for the same f32: 1e-5 instead of 9.999999747378752e-6.
pub(super) fn shortest(value: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the file holds an f32")]
    let text = (value as f32).to_string();
    text.parse().unwrap_or(value)
}
