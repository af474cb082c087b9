//! What can be checked of a result: [`Evidence`].

use std::time::Duration;

use runabout_assist::{Finish, FinishReason};

/// How a result came about. Of an item that took several answers, the counts are sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Why the last answer ended; of several at once, the one that was not complete. `None` if there was no answer.
    pub finish_reason: Option<FinishReason>,
    /// Whether a part of the input was left out because it did not fit into the model's context.
    pub is_input_truncated: bool,
    /// The answers that the model gave.
    pub n_answers: u32,
    /// Whether the model was asked again because of a fault.
    pub is_retried: bool,
    pub prompt_tokens: usize,
    /// Prompt tokens that were found in the cache.
    pub cached_tokens: usize,
    pub generated_tokens: usize,
    /// The time that was spent on prompts; of answers at the same time, the sum.
    pub prefill: Duration,
    /// The time that was spent on answers; of answers at the same time, the sum.
    pub decode: Duration,
    /// The mean log probability of the generated tokens.
    pub mean_logprob: Option<f64>,
    /// Whether the answer is valid under the schema that it was asked for.
    pub schema_valid: Option<bool>,
    /// What the grammar says of the file, if there is one for its language.
    pub parse: Option<ParseCheck>,
}

/// Whether a file can be parsed, before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseCheck {
    /// The language, in lower case.
    pub language: String,
    /// The places where the file broke the grammar before; `None` for a new file.
    pub faults_before: Option<usize>,
    pub faults_now: usize,
}

impl Evidence {
    /// Computed prompt tokens in a second.
    pub fn prompt_tokens_per_s(&self) -> Option<f64> {
        rate(self.prompt_tokens.saturating_sub(self.cached_tokens), self.prefill)
    }

    /// Generated tokens in a second, for one answer.
    pub fn generated_tokens_per_s(&self) -> Option<f64> {
        rate(self.generated_tokens, self.decode)
    }

    /// The probability that the model gives to a token on average, from 0 to 1.
    pub fn confidence(&self) -> Option<f64> {
        self.mean_logprob.map(f64::exp)
    }

    /// Adds an answer.
    pub(crate) fn count(&mut self, finish: &Finish) {
        let usage = &finish.usage;
        self.merge(Self {
            finish_reason: Some(finish.reason),
            n_answers: 1,
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            generated_tokens: usage.completion_tokens,
            prefill: finish.timing.prefill,
            decode: finish.timing.decode,
            mean_logprob: finish.likelihood.mean(),
            ..Self::default()
        });
    }

    /// Adds what came later, or at the same time.
    pub(crate) fn merge(&mut self, other: Self) {
        let weight = |it: &Self| it.mean_logprob.map_or(0.0, |_| it.generated_tokens.max(1) as f64);
        let sum = weight(self) + weight(&other);
        self.mean_logprob = (sum > 0.0).then(|| {
            let part = |it: &Self| it.mean_logprob.unwrap_or_default() * weight(it);
            (part(self) + part(&other)) / sum
        });
        self.finish_reason = other.finish_reason.or(self.finish_reason);
        self.is_input_truncated |= other.is_input_truncated;
        self.n_answers += other.n_answers;
        self.is_retried |= other.is_retried;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.generated_tokens += other.generated_tokens;
        self.prefill += other.prefill;
        self.decode += other.decode;
        self.schema_valid = other.schema_valid.or(self.schema_valid);
        self.parse = other.parse.or(self.parse.take());
    }
}

/// A number of tokens in a second; `None` for none, or if no time passed.
fn rate(n_tokens: usize, time: Duration) -> Option<f64> {
    (n_tokens > 0 && !time.is_zero()).then(|| n_tokens as f64 / time.as_secs_f64())
}
