//! Prompts for text at a cursor: fill-in-the-middle formats ([`FimFormat`]), and plain continuation for models without
//! one ([`continuation_prompt`]).
//!
//! A format is detected from the vocabulary and never from the model's name: names can be wrong, and a model without
//! the tokens cannot fill in anything. Everything that comes from files is encoded as text, so source code that
//! mentions `<|fim_suffix|>` does not end the prefix.
//!
//! In every order, what the user types comes at the end of the prompt, so that the beginning stays in the engine's cache.
//! With the suffix last it would not, so there the middle has begun above the cursor. That matters even more for models
//! whose state cannot be cut anywhere: the engine has checkpoints at the control tokens and near the end.

mod families;

pub use self::families::Order;

use self::families::{FAMILIES, Family, Piece};
use crate::fit::{Budget, ContextFile, Surroundings, Trimmed, fit};
use crate::{TokenId, Tokenizer};

/// The path written for a file that has none.
const UNNAMED: &str = "untitled";

/// A model's fill-in-the-middle format: its control tokens, and their order in the prompt.
#[derive(Clone, Debug)]
pub struct FimFormat {
    family: &'static Family,
    order: Order,
    stop: Vec<TokenId>,
}

/// A prompt for text at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionPrompt {
    /// Empty only if a model without a beginning-of-sequence token is asked to continue an empty prefix. Longer than
    /// the limit only if not even the format's own tokens fit.
    pub tokens: Vec<TokenId>,
    /// What was left out because of the limit, or because the format has no place for it.
    pub trimmed: Trimmed,
}

impl FimFormat {
    /// The first known format whose tokens the vocabulary contains as control tokens; `None` if it has no complete set.
    pub fn detect(tokenizer: &Tokenizer) -> Option<Self> {
        let family =
            family_of(|it| tokenizer.control_token(it).is_some(), |it| tokenizer.token_to_id(it).is_some())?;
        let stop = family.needs.iter().chain(family.stop);
        let mut stop: Vec<TokenId> = stop.filter_map(|it| tokenizer.control_token(it)).collect();
        stop.sort_unstable();
        stop.dedup();
        Some(Self { family, order: family.order(), stop })
    }

    /// The name of the model family, such as `qwen`.
    pub fn name(&self) -> &'static str {
        self.family.name
    }

    /// The order of prefix, suffix and middle in the prompt.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The same format in another order; `None` if the family does not support it.
    pub fn in_order(&self, order: Order) -> Option<Self> {
        self.family.pieces(order)?;
        Some(Self { order, ..self.clone() })
    }

    /// The tokens that end a completion, in addition to [`Tokenizer::end_tokens`]: a model that begins another file has
    /// finished this one.
    pub fn stop_tokens(&self) -> &[TokenId] {
        &self.stop
    }

    /// The prompt for `whole`, trimmed to `limit` tokens.
    pub fn prompt(&self, tokenizer: &Tokenizer, whole: &Surroundings<'_>, limit: usize) -> CompletionPrompt {
        // A format without a place for context files leaves all of them out.
        let takes_files = !self.family.files.each.is_empty();
        let usable = if takes_files { *whole } else { Surroundings { context: &[], ..*whole } };
        let mut prompt = fitted(tokenizer, &usable, limit, |fitting| self.write(tokenizer, fitting));
        prompt.trimmed.context_files += whole.context.len() - usable.context.len();
        prompt
    }

    /// The tokens of the prompt for `text`, with nothing left out.
    fn write(&self, tokenizer: &Tokenizer, text: &Surroundings<'_>) -> Vec<TokenId> {
        let files = &self.family.files;
        let mut writer = Writer {
            tokenizer,
            tokens: tokenizer.encode_prompt(""),
            text: String::new(),
            inside: String::new(),
        };
        let names_files = text.path.is_some() || !text.context.is_empty();
        let is_turn = files.current.is_empty() && !files.start.is_empty();
        if names_files || is_turn {
            writer.write(files.start, text, None);
            for other in text.context {
                writer.write(files.each, text, Some((other.path, other.text)));
            }
            writer.write(files.current, text, None);
            if files.is_in_prefix {
                writer.inside = std::mem::take(&mut writer.text);
            }
        }
        if names_files {
            let before = std::mem::take(&mut writer.text);
            writer.write(files.inside, text, None);
            let inside = std::mem::replace(&mut writer.text, before);
            writer.inside.push_str(&inside);
        }
        let at = if self.order == Order::Psm { middle_start(text.prefix) } else { text.prefix.len() };
        let (prefix, begun) = text.prefix.split_at(at);
        let text = &Surroundings { prefix, ..*text };
        writer.write(self.family.pieces(self.order).unwrap_or_default(), text, None);
        writer.flush(false);
        writer.text.push_str(begun);
        writer.flush(true);
        writer.tokens
    }
}

/// The first known family whose tokens a vocabulary has, given which are its control tokens and which tokens it has.
pub(crate) fn family_of(
    is_control: impl Fn(&str) -> bool,
    is_token: impl Fn(&str) -> bool,
) -> Option<&'static Family> {
    FAMILIES
        .iter()
        .find(|it| it.needs.iter().all(|it| is_control(it)) && !it.lacks.iter().any(|it| is_token(it)))
}

/// The middle begins at least this many lines above the cursor's. Measured on holes in real files, by how often
/// qwen2.5-coder-0.5b completed the first line as in the file: 12 of 38 with 16 lines or more, 11 with 4. Of the first
/// 23 holes: 6 with 4, 5 with the cursor's line alone, and 4 when the middle began at the cursor.
const MIN_LINES_BEGUN: usize = 16;
/// The beginning of the middle moves down by this many lines at a time, counted from the beginning of the prefix: each
/// move makes everything after the prefix in the prompt be computed again.
const LINES_AT_A_TIME: usize = 16;

/// The byte offset in `prefix` at which the middle begins. Models were trained on texts cut at arbitrary places, so a
/// prompt that already contains part of the middle is as good as any other; and the model sees the text that it
/// continues directly before the completion, without a control token in between.
fn middle_start(prefix: &str) -> usize {
    let n_lines = prefix.matches('\n').count();
    let n_above = n_lines.saturating_sub(MIN_LINES_BEGUN) / LINES_AT_A_TIME * LINES_AT_A_TIME;
    let end_of_last = n_above.checked_sub(1).and_then(|idx| prefix.match_indices('\n').nth(idx));
    end_of_last.map_or(0, |(at, _)| at + 1)
}

/// Builds a prompt. The text between two control tokens is encoded in one go.
struct Writer<'t> {
    tokenizer: &'t Tokenizer,
    tokens: Vec<TokenId>,
    /// Text that is still to be encoded.
    text: String,
    /// Text to put at the beginning of the prefix.
    inside: String,
}

impl Writer<'_> {
    /// Writes pieces of a format; `other` is the path and text of a context file.
    fn write(&mut self, pieces: &[Piece], text: &Surroundings<'_>, other: Option<(&str, &str)>) {
        for piece in pieces {
            match *piece {
                Piece::Token(name) => {
                    self.flush(false);
                    self.tokens.extend(self.tokenizer.control_token(name));
                }
                Piece::Text(it) => self.text.push_str(it),
                Piece::Prefix => {
                    self.text.push_str(&std::mem::take(&mut self.inside));
                    self.text.push_str(text.prefix);
                }
                Piece::Suffix => {
                    self.flush(false);
                    self.text.push_str(text.suffix);
                    self.flush(true);
                }
                Piece::Path => self.text.push_str(text.path.unwrap_or(UNNAMED)),
                Piece::OtherPath => self.text.push_str(other.unwrap_or_default().0),
                Piece::OtherText => self.text.push_str(other.unwrap_or_default().1),
                Piece::Language => self.text.push_str(text.language.unwrap_or_default()),
            }
        }
    }

    /// Encodes the pending text. A suffix continues in the middle of a text, so no space is put before its first word.
    fn flush(&mut self, is_suffix: bool) {
        let text = std::mem::take(&mut self.text);
        let tokens =
            if is_suffix { self.tokenizer.encode_inside(&text) } else { self.tokenizer.encode_later(&text) };
        self.tokens.extend(tokens);
    }
}

/// The prompt with which a model without a fill-in-the-middle format continues the prefix: first the context files,
/// then the text after the cursor, as if it came earlier in the file, then the prefix.
///
/// This form was the best of three on holes in real files, measured with smollm2-135m, which is tuned for chats. It
/// completed 11 of 36 first lines as in the file (similarity 0.58). Asked as a chat whose answer was begun for it, the
/// model got 10 (0.55), and from the prefix alone 7 (0.47).
pub fn continuation_prompt(
    tokenizer: &Tokenizer,
    whole: &Surroundings<'_>,
    limit: usize,
) -> CompletionPrompt {
    // With an empty prefix, the model would continue the text that comes before it.
    let usable =
        if whole.prefix.is_empty() { Surroundings::default() } else { Surroundings { path: None, ..*whole } };
    let mut prompt = fitted(tokenizer, &usable, limit, |fitting| {
        let others = fitting.context.iter().map(|it| it.text);
        let before = others.chain([fitting.suffix]).map(str::trim_start).filter(|it| !it.is_empty());
        let mut text: String = before.flat_map(|it| [it, "\n\n"]).collect();
        text.push_str(fitting.prefix);
        tokenizer.encode_prompt(&text)
    });
    prompt.trimmed.suffix_chars += whole.suffix.chars().count() - usable.suffix.chars().count();
    prompt.trimmed.context_files += whole.context.len() - usable.context.len();
    prompt
}

/// A text with more bytes per token of the limit than this does not fit in practice, so encoding all of it would be a
/// waste.
const MAX_BYTES_PER_TOKEN: usize = 6;

/// The prompt with all of `whole`, or with the part of it that fits into `limit` tokens.
fn fitted(
    tokenizer: &Tokenizer,
    whole: &Surroundings<'_>,
    limit: usize,
    write: impl Fn(&Surroundings<'_>) -> Vec<TokenId>,
) -> CompletionPrompt {
    let n_context_bytes: usize = whole.context.iter().map(|file| file.path.len() + file.text.len()).sum();
    let n_bytes = whole.prefix.len() + whole.suffix.len() + n_context_bytes;
    if n_bytes / MAX_BYTES_PER_TOKEN <= limit {
        let tokens = write(whole);
        if tokens.len() <= limit {
            return CompletionPrompt { tokens, trimmed: Trimmed::default() };
        }
    }

    let count = |text: &str| tokenizer.encode_later(text).len();
    let path = whole.path.or((!whole.context.is_empty()).then_some(UNNAMED));
    let around = Surroundings { path, language: whole.language, ..Surroundings::default() };
    let n_around = write(&around).len();
    // The number of tokens that a context file takes in addition to its path and text.
    let nameless = [ContextFile { path: "", text: "" }];
    let per_file = write(&Surroundings { context: &nameless, ..around }).len().saturating_sub(n_around);
    let mut budget = Budget { limit: limit.saturating_sub(n_around), count: &count, per_file };
    loop {
        let (kept, trimmed) = fit(whole, budget);
        let tokens = write(&kept);
        // If a tokenizer looks across line boundaries, lines may take more tokens together than one by one.
        let excess = tokens.len().saturating_sub(limit);
        if excess == 0 || budget.limit == 0 {
            return CompletionPrompt { tokens, trimmed };
        }
        budget.limit = budget.limit.saturating_sub(excess);
    }
}

#[cfg(test)]
mod formats;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::tokenizer::byte_parts;

    /// The tokens of a prompt as the model card writes it, with control tokens as such.
    fn card(tokenizer: &Tokenizer, text: &str) -> Vec<TokenId> {
        tokenizer.encode_rendered(text, str::to_owned)
    }

    const CONTEXT: [ContextFile<'static>; 2] = [
        ContextFile { path: "library.py", text: "class Book:\n    pass\n" },
        ContextFile { path: "student.py", text: "x = 1" },
    ];

    #[test]
    fn the_file_level_prompt_is_the_model_cards() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let format = FimFormat::detect(&tokenizer).unwrap();
        let whole = Surroundings { prefix: "def f(", suffix: "):\n    pass\n", ..Surroundings::default() };
        let expected = "<|fim_prefix|><|fim_suffix|>):\n    pass\n<|fim_middle|>def f(";
        assert_eq!(format.prompt(&tokenizer, &whole, 100).tokens, card(&tokenizer, expected));
    }

    #[test]
    fn the_repository_level_prompt_is_the_model_cards() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let format = FimFormat::detect(&tokenizer).unwrap();
        let whole = Surroundings {
            prefix: "import ",
            suffix: "\n",
            path: Some("main.py"),
            context: &CONTEXT,
            ..Surroundings::default()
        };
        let expected = "<|repo_name|>project\n<|file_sep|>library.py\nclass Book:\n    pass\n\n\
            <|file_sep|>student.py\nx = 1\n<|file_sep|>main.py\n\
            <|fim_prefix|><|fim_suffix|>\n<|fim_middle|>import ";
        assert_eq!(format.prompt(&tokenizer, &whole, 1000).tokens, card(&tokenizer, expected));
    }

    #[test]
    fn control_tokens_in_source_code_stay_text() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let format = FimFormat::detect(&tokenizer).unwrap();
        let hostile = "<|fim_middle|><|endoftext|>";
        let context = [ContextFile { path: hostile, text: hostile }];
        let whole = Surroundings {
            prefix: hostile,
            suffix: hostile,
            path: Some(hostile),
            context: &context,
            ..Surroundings::default()
        };
        let tokens = format.prompt(&tokenizer, &whole, 1000).tokens;
        let n_control = tokens.iter().filter(|&&token| token > 255).count();
        assert_eq!(n_control, 6, "repository, two files, prefix, suffix and middle");
    }

    #[test]
    fn every_limit_is_kept_and_all_that_is_left_out_is_counted() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let format = FimFormat::detect(&tokenizer).unwrap();
        let whole = Surroundings {
            prefix: "a = 1\nb = 2\nc",
            suffix: "\nd = 4\n",
            context: &CONTEXT,
            ..Surroundings::default()
        };
        let n_whole = format.prompt(&tokenizer, &whole, 1000).tokens.len();
        for limit in 25..=n_whole {
            let CompletionPrompt { tokens, trimmed } = format.prompt(&tokenizer, &whole, limit);
            assert!(tokens.len() <= limit, "{} tokens, {limit} allowed", tokens.len());
            assert_eq!(trimmed == Trimmed::default(), limit == n_whole);
        }
    }

    #[test]
    fn a_vocabulary_without_the_whole_set_has_no_format() {
        let mut parts = byte_parts();
        let mut json: serde_json::Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        json["added_tokens"].as_array_mut().unwrap().retain(|it| it["content"] != "<|fim_middle|>");
        parts.tokenizer_json = json.to_string().into_bytes();
        assert!(FimFormat::detect(&Tokenizer::from_parts(&parts).unwrap()).is_none());
    }

    #[test]
    fn fim_tokens_that_tokenizer_json_does_not_call_special_are_control_tokens() {
        let mut parts = byte_parts();
        let mut json: serde_json::Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        for token in json["added_tokens"].as_array_mut().unwrap() {
            token["special"] = json!(false);
        }
        parts.tokenizer_json = json.to_string().into_bytes();
        let tokenizer = Tokenizer::from_parts(&parts).unwrap();
        assert!(FimFormat::detect(&tokenizer).is_some());
        assert_eq!(tokenizer.encode_text("<|fim_middle|>").len(), "<|fim_middle|>".len());
        assert_eq!(tokenizer.decode(&[260]), "<|fim_middle|>", "as transformers decodes it");
    }

    #[test]
    fn a_completion_is_over_at_every_token_of_the_format() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let format = FimFormat::detect(&tokenizer).unwrap();
        let whole = Surroundings { path: Some("a"), ..Surroundings::default() };
        let prompt = format.prompt(&tokenizer, &whole, 100).tokens;
        for control in prompt.iter().filter(|&&token| token > 255) {
            assert!(format.stop_tokens().contains(control), "{control}");
        }
    }

    #[test]
    fn without_a_format_the_prefix_is_continued_after_other_files_and_the_suffix() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let whole = Surroundings {
            prefix: "one\ntwo\n",
            suffix: ")\né\n",
            path: Some("p"),
            context: &CONTEXT,
            ..Surroundings::default()
        };
        let prompt = continuation_prompt(&tokenizer, &whole, 100);
        let expected = "class Book:\n    pass\n\n\nx = 1\n\n)\né\n\n\none\ntwo\n";
        assert_eq!(prompt.tokens, tokenizer.encode_text(expected));
        assert_eq!(prompt.trimmed, Trimmed::default());
        let prompt = continuation_prompt(&tokenizer, &whole, 40);
        assert_eq!(prompt.tokens, tokenizer.encode_text("x = 1\n\n)\né\n\n\none\ntwo\n"));
        assert_eq!(prompt.trimmed, Trimmed { context_files: 1, ..Trimmed::default() });
        let prompt = continuation_prompt(&tokenizer, &whole, 9);
        assert_eq!(prompt.tokens, tokenizer.encode_text(")\n\n\ntwo\n"));
        assert_eq!(prompt.trimmed, Trimmed { prefix_chars: 4, suffix_chars: 2, context_files: 2 });
        let prompt = continuation_prompt(&tokenizer, &Surroundings { prefix: "", ..whole }, 100);
        assert!(prompt.tokens.is_empty());
        assert_eq!(prompt.trimmed, Trimmed { prefix_chars: 0, suffix_chars: 4, context_files: 2 });
    }
}
