//! Prompts for text at a cursor: fill-in-the-middle formats, and plain continuation where a model has none.
//!
//! A format is read from the vocabulary, never from the model's name: names lie, and a model without the tokens
//! cannot fill in anything. All that comes from files is encoded as text, so source code that mentions
//! `<|fim_suffix|>` does not end the prefix.

mod families;

pub use self::families::Order;

use self::families::{FAMILIES, Family, Piece};
use crate::fit::{Budget, ContextFile, Surroundings, Trimmed, fit};
use crate::{TokenId, Tokenizer};

/// The name of a file that has none.
const UNNAMED: &str = "untitled";

/// How a model fills in the middle.
#[derive(Clone, Debug)]
pub struct FimFormat {
    family: &'static Family,
    order: Order,
    stop: Vec<TokenId>,
}

/// A prompt for text at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionPrompt {
    /// Empty only where a model without a beginning token is to continue nothing. Longer than the limit only if not
    /// even the format's own tokens fit.
    pub tokens: Vec<TokenId>,
    pub trimmed: Trimmed,
}

impl FimFormat {
    /// The format whose tokens the vocabulary has, as control tokens; `None` if it has no complete set.
    pub fn detect(tokenizer: &Tokenizer) -> Option<Self> {
        let family = FAMILIES.iter().find(|family| {
            family.needs.iter().all(|it| tokenizer.control_token(it).is_some())
                && family.lacks.iter().all(|it| tokenizer.token_to_id(it).is_none())
        })?;
        let stop = family.needs.iter().chain(family.stop);
        let mut stop: Vec<TokenId> = stop.filter_map(|it| tokenizer.control_token(it)).collect();
        stop.sort_unstable();
        stop.dedup();
        Some(Self { family, order: family.order(), stop })
    }

    /// The family's name, such as `qwen`.
    pub fn name(&self) -> &'static str {
        self.family.name
    }

    pub fn order(&self) -> Order {
        self.order
    }

    /// The same format in another order, if the family's models know it.
    pub fn in_order(&self, order: Order) -> Option<Self> {
        self.family.pieces(order)?;
        Some(Self { order, ..self.clone() })
    }

    /// Tokens at which a completion is over, besides [`Tokenizer::end_tokens`]: a model that begins another file has
    /// finished this one.
    pub fn stop_tokens(&self) -> &[TokenId] {
        &self.stop
    }

    /// The prompt for `whole`, trimmed to `limit` tokens.
    pub fn prompt(&self, tokenizer: &Tokenizer, whole: &Surroundings<'_>, limit: usize) -> CompletionPrompt {
        // Without a place for them, other files can only be left out.
        let takes_files = !self.family.files.each.is_empty();
        let usable = if takes_files { *whole } else { Surroundings { context: &[], ..*whole } };
        let mut prompt = fitted(tokenizer, &usable, limit, |fitting| self.write(tokenizer, fitting));
        prompt.trimmed.context_files += whole.context.len() - usable.context.len();
        prompt
    }

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

/// The middle begins at least so many lines above the cursor's. On holes in real files, qwen2.5-coder-0.5b met 12 of 38
/// first lines with 16 lines or more, 11 with 4; of the first 23 it met 6 with 4, 5 with none but the cursor's line, and
/// 4 when the middle began at the cursor.
const MIN_LINES_BEGUN: usize = 16;
/// It moves down by so many at a time, counted from the prefix's beginning: what stands behind the prefix in the prompt
/// is computed anew then.
const LINES_AT_A_TIME: usize = 16;

/// Where the middle begins in what stands before the cursor. Models were trained on texts that were cut anywhere, so one
/// in which some of the middle is there already is as good as any; and the model sees what it goes on from right
/// before it, with no seam between.
fn middle_start(prefix: &str) -> usize {
    let n_lines = prefix.matches('\n').count();
    let n_above = n_lines.saturating_sub(MIN_LINES_BEGUN) / LINES_AT_A_TIME * LINES_AT_A_TIME;
    let end_of_last = n_above.checked_sub(1).and_then(|idx| prefix.match_indices('\n').nth(idx));
    end_of_last.map_or(0, |(at, _)| at + 1)
}

/// Puts a prompt together: text between two control tokens is encoded in one go.
struct Writer<'t> {
    tokenizer: &'t Tokenizer,
    tokens: Vec<TokenId>,
    /// What is still to be encoded.
    text: String,
    /// What the prefix begins with.
    inside: String,
}

impl Writer<'_> {
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

    /// A suffix goes on in the middle of a text, so no space is put before its first word.
    fn flush(&mut self, is_suffix: bool) {
        let text = std::mem::take(&mut self.text);
        let tokens =
            if is_suffix { self.tokenizer.encode_inside(&text) } else { self.tokenizer.encode_later(&text) };
        self.tokens.extend(tokens);
    }
}

/// The prompt that lets a model without a format go on after the prefix: other files come first, then what stands behind
/// the cursor, as if it were an earlier part of the file, then the prefix.
///
/// Of three forms the best on holes in real files, with smollm2-135m, which is tuned for chats: of 36 first lines it met 11
/// in this one (similarity 0.58), 10 when it was asked as a chat whose answer was begun for it (0.55), and 7 when it
/// saw the prefix alone (0.47).
pub fn continuation_prompt(
    tokenizer: &Tokenizer,
    whole: &Surroundings<'_>,
    limit: usize,
) -> CompletionPrompt {
    // Before nothing, what comes first would be what is gone on from.
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

/// A text with more bytes for each token of the limit does not fit in practice, so encoding all of it is a waste.
const MAX_BYTES_PER_TOKEN: usize = 6;

/// Writes all of `whole`, or what fits of it.
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
    // What another file takes besides its path and its text.
    let nameless = [ContextFile { path: "", text: "" }];
    let per_file = write(&Surroundings { context: &nameless, ..around }).len().saturating_sub(n_around);
    let mut budget = Budget { limit: limit.saturating_sub(n_around), count: &count, per_file };
    loop {
        let (kept, trimmed) = fit(whole, budget);
        let tokens = write(&kept);
        // Lines may take a token more together than one by one, where a tokenizer looks across their border.
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

    /// The prompt as the model card writes it, with the format's tokens in their places.
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
