//! Prompts of a given number of tokens, each with a different beginning: [`PromptMaker`].
//!
//! The worker counts tokens with its method `tokenize`; words are added and removed until the number is right. The
//! programs get the text, and the length that they report is checked.

use anyhow::{Result, bail};
use serde_json::json;

use super::program::Worker;
use super::task::Prompt;

/// Common words, which are one token each in any vocabulary, so that the right length is found quickly.
const WORDS: [&str; 40] = [
    "the", "of", "and", "in", "to", "for", "is", "on", "that", "by", "this", "with", "you", "it", "not",
    "or", "be", "are", "from", "at", "as", "your", "all", "have", "new", "more", "was", "we", "will", "home",
    "can", "about", "if", "page", "my", "has", "search", "free", "but", "our",
];
/// The search for a length fails after this many changes.
const MAX_CHANGES: usize = 50;

pub(super) struct PromptMaker {
    worker: Worker,
    rng: fastrand::Rng,
    n_made: usize,
}

impl PromptMaker {
    /// `worker` is only used to count tokens.
    pub(super) fn new(worker: Worker) -> Self {
        Self { worker, rng: fastrand::Rng::with_seed(1), n_made: 0 }
    }

    pub(super) fn make(&mut self, n_tokens: usize) -> Result<Prompt> {
        self.n_made += 1;
        let worker = &mut self.worker;
        let text = text(n_tokens, self.n_made, &mut self.rng, &mut |text| {
            let result = worker.call("tokenize", &json!({"text": text}))?;
            Ok(usize::try_from(result["count"].as_u64().unwrap_or_default())?)
        })?;
        Ok(Prompt { text, n_tokens })
    }
}

fn text(
    n_tokens: usize,
    number: usize,
    rng: &mut fastrand::Rng,
    count: &mut dyn FnMut(&str) -> Result<usize>,
) -> Result<String> {
    // The number makes the beginning unique, so that no cached prefix applies.
    let mut words = vec![format!("{number}:")];
    for _ in 0..MAX_CHANGES {
        let text = words.join(" ");
        let n_counted = count(&text)?;
        if n_counted == n_tokens {
            return Ok(text);
        }
        if n_counted < n_tokens {
            for _ in n_counted..n_tokens {
                words.extend(rng.choice(WORDS).map(str::to_owned));
            }
        } else {
            words.truncate(words.len().saturating_sub(n_counted - n_tokens).max(1));
        }
    }
    bail!("no text of {n_tokens} tokens was found in this model's vocabulary")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_text_has_the_requested_length_even_if_some_words_are_two_tokens() {
        let mut count = |text: &str| Ok(text.split(' ').map(|it| if it.len() > 4 { 2 } else { 1 }).sum());
        for n_tokens in [2, 32, 128, 2_048] {
            let text = text(n_tokens, 7, &mut fastrand::Rng::with_seed(3), &mut count).unwrap();
            assert_eq!(count(&text).unwrap(), n_tokens);
            assert!(text.starts_with("7: "));
        }
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        let mut count = |text: &str| Ok(2 * text.split(' ').count());
        let error = text(33, 1, &mut fastrand::Rng::with_seed(3), &mut count).unwrap_err();
        assert!(error.to_string().contains("33 tokens"));
    }
}
