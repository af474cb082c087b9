//! The text that a sequence has generated, and the part of it that is its job's result: [`GeneratedText`].

use std::sync::Arc;

use runabout_text::{TokenId, Tokenizer};

use super::output::{Output, Pushed};
use crate::{
    job::{FinishReason, Job},
    model::TokenLogprobs,
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
    /// The beginning that was typed: its length in bytes, and the number of tokens entirely within it.
    n_typed_bytes: usize,
    n_typed_tokens: usize,
}

impl GeneratedText {
    /// Takes the job's rules and healing.
    pub(super) fn new(tokenizer: Arc<Tokenizer>, job: &mut Job) -> Self {
        Self {
            output: Output::new(tokenizer, job),
            lengths: Vec::new(),
            logprobs: Vec::new(),
            n_typed_bytes: 0,
            n_typed_tokens: 0,
        }
    }

    /// The only tokens that may be drawn next; `None` if any may.
    pub(super) fn allowed(&self) -> Option<&[TokenId]> {
        self.output.allowed()
    }

    pub(super) fn push(&mut self, token: TokenId, logprobs: Option<TokenLogprobs>) -> Pushed {
        self.logprobs.extend(logprobs);
        let pushed = self.output.push(token);
        self.lengths.push(self.output.text().len());
        pushed
    }

    /// The job's text so far.
    pub(super) fn of_job(&self) -> &str {
        &self.output.text()[self.n_typed_bytes..]
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
        let is_typed = |length: &&usize| **length <= self.n_typed_bytes;
        self.n_typed_tokens = self.lengths.iter().take_while(is_typed).count();
    }

    /// Ends the text, including what was held back. Returns the last delta, the job's text, and the stop string or rule
    /// that was completed by this.
    pub(super) fn finish(self) -> (String, String, Option<FinishReason>) {
        let (last, text, stopped_by) = self.output.finish();
        (last, text[self.n_typed_bytes..].to_owned(), stopped_by)
    }
}
