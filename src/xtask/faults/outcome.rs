//! What a fault led to: [`Outcome`].

/// What became of a fault that was handled as it should be, or could not be tried.
pub(super) enum Outcome {
    Handled(String),
    NotTried(String),
}
