//! Numbers as a person would write them: [`shortest`].

/// The shortest decimal that reads back as the same f32: 1e-5 instead of 9.999999747378752e-6.
pub(super) fn shortest(value: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the file holds an f32")]
    let text = (value as f32).to_string();
    text.parse().unwrap_or(value)
}
