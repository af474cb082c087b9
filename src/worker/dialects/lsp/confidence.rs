//! Whether the model is sure enough of a text to offer it unasked.

use runabout_assist::Finish;

/// How sure the model is of a text, from 0 to 1; `None` if there is no text.
pub(super) fn of(finish: &Finish) -> Option<f64> {
    finish.likelihood.confidence()
}

/// Whether a text of this confidence may be offered unasked. The only place where the threshold is compared.
pub(super) fn suffices(confidence: Option<f64>, min_confidence: f64) -> bool {
    confidence.is_none_or(|it| it >= min_confidence)
}
