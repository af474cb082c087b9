//! The text that a sequence has generated, and the part of it that is its job's result: [`GeneratedText`].

use std::sync::Arc;

use runabout_text::{Allowed, FormatFailed, TokenId, Tokenizer};

use super::output::{Output, Pushed};
use crate::{
    job::{FinishReason, Job},
    likelihood::{DrawnTokens, Likelihood, first_line},
    model::{Sampled, TokenLogprobs},
};

/// Generated text, token by token.
///
/// All of it belongs to the job, until the sequence is handed over to a job whose user typed its beginning: the typed
/// part belongs to that job's prompt.
#[derive(Debug)]
pub(super) struct GeneratedText {
    output: Output,
    /// The length of the text in bytes after each generated token.
    lengths: Vec<usize>,
    /// One for each generated token, if requested.
    logprobs: Vec<TokenLogprobs>,
    /// All generated tokens, apart from those of the healed text.
    drawn: DrawnTokens,
    /// Present while the job's text is held back, since it is not decided whether its confidence is at least this.
    min_confidence: Option<f64>,
    /// That of the job's first line, once the line has ended.
    confidence: Option<f64>,
    /// The beginning that was typed: its length in bytes, and the number of tokens entirely within it.
    n_typed_bytes: usize,
    n_typed_tokens: usize,
}

/// The text of a job that has ended.
#[derive(Debug)]
pub(super) struct FinishedText {
    /// The end of the text, which was held back until now.
    pub(super) delta: String,
    pub(super) text: String,
    pub(super) likelihood: Likelihood,
    /// The given reason, or the stop string or rule that the end of the text completed.
    pub(super) reason: FinishReason,
}

impl GeneratedText {
    /// Takes the job's rules, healing and constraint.
    pub(super) fn new(tokenizer: Arc<Tokenizer>, job: &mut Job) -> Self {
        Self {
            output: Output::new(tokenizer, job),
            lengths: Vec::new(),
            logprobs: Vec::new(),
            drawn: DrawnTokens::default(),
            min_confidence: job.min_confidence,
            confidence: None,
            n_typed_bytes: 0,
            n_typed_tokens: 0,
        }
    }

    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    /// What may be drawn next; see [`Output::allowed`].
    pub(super) fn allowed(
        &mut self,
        drafts: &[TokenId],
        end_tokens: &[TokenId],
    ) -> Result<Allowed, FormatFailed> {
        self.output.allowed(drafts, end_tokens)
    }

    /// The next tokens, if the format allows no others. A caller that wants probabilities of tokens must have all of
    /// them drawn.
    pub(super) fn forced(&mut self) -> Vec<TokenId> {
        self.output.forced()
    }

    pub(super) fn push(&mut self, sampled: Sampled) -> Result<Pushed, FormatFailed> {
        let Sampled { token, own_logprob, logprobs } = sampled;
        self.logprobs.extend(logprobs);
        let start = self.output.drawn();
        let pushed = self.output.push(token)?;
        self.lengths.push(self.output.text().len());
        if !self.output.is_healing() {
            self.drawn.push(start, own_logprob);
        }
        Ok(self.decide(pushed))
    }

    /// Holds text back until its confidence is decided, and ends a text whose confidence is already too low: that of a
    /// longer text is not higher.
    fn decide(&mut self, pushed: Pushed) -> Pushed {
        let Some(min) = self.min_confidence else { return pushed };
        if pushed.stopped_by.is_some() {
            // Decided when the text is finished.
            return Pushed { delta: String::new(), ..pushed };
        }
        if self.likelihood_of_job().confidence().is_some_and(|it| it < min) {
            return Pushed { delta: String::new(), stopped_by: Some(FinishReason::LowConfidence) };
        }
        let is_decided = first_line(self.of_job()).1;
        if is_decided {
            self.min_confidence = None;
        }
        Pushed { delta: if is_decided { self.of_job().to_owned() } else { String::new() }, ..pushed }
    }

    /// The job's text so far, whether it has been sent or not.
    pub(super) fn of_job(&self) -> &str {
        &self.output.text()[self.n_typed_bytes..]
    }

    /// The part of it that has been sent.
    pub(super) fn sent_of_job(&self) -> &str {
        if self.min_confidence.is_some() { "" } else { self.of_job() }
    }

    /// The likelihood of the job's text so far.
    pub(super) fn likelihood_of_job(&self) -> Likelihood {
        self.drawn.likelihood(&self.output.text()[..self.n_typed_bytes], self.of_job())
    }

    /// How sure the model is of the job's first line so far; `None` if there is no text.
    pub(super) fn confidence(&mut self) -> Option<f64> {
        if self.confidence.is_some() {
            return self.confidence;
        }
        let so_far = self.likelihood_of_job().confidence();
        if first_line(self.of_job()).1 {
            self.confidence = so_far;
        }
        so_far
    }

    /// The log probabilities of the job's tokens.
    pub(super) fn logprobs_of_job(&self) -> &[TokenLogprobs] {
        self.logprobs.get(self.n_typed_tokens..).unwrap_or_default()
    }

    /// The number of generated tokens that are part of the job's prompt now.
    pub(super) fn n_typed_tokens(&self) -> usize {
        self.n_typed_tokens
    }

    /// Moves the beginning of the job's text by `n_bytes`, which were typed.
    pub(super) fn move_to_prompt(&mut self, n_bytes: usize) {
        self.n_typed_bytes += n_bytes;
        self.confidence = None;
        let is_typed = |length: &&usize| **length <= self.n_typed_bytes;
        self.n_typed_tokens = self.lengths.iter().take_while(is_typed).count();
    }

    /// Ends the text for a reason. What was held back is part of it, unless its confidence is too low, or undecided and
    /// the caller ends it.
    pub(super) fn finish(mut self, reason: FinishReason) -> FinishedText {
        let Pushed { mut delta, stopped_by } = self.output.finish();
        let likelihood = self.likelihood_of_job();
        let ended_by_itself = matches!(reason, FinishReason::Eos | FinishReason::Length);
        let mut reason = stopped_by.filter(|_| ended_by_itself).unwrap_or(reason);
        if let Some(min) = self.min_confidence {
            let is_low = likelihood.confidence().is_some_and(|it| it < min);
            let is_undecided = matches!(reason, FinishReason::Cancelled | FinishReason::Superseded);
            if is_low && !is_undecided {
                reason = FinishReason::LowConfidence;
            }
            if is_low || is_undecided {
                delta.clear();
            } else {
                self.min_confidence = None;
                self.of_job().clone_into(&mut delta);
            }
        }
        FinishedText { delta, text: self.sent_of_job().to_owned(), likelihood, reason }
    }
}
