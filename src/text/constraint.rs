//! The form that a text must have ([`Format`]), and what may come next so that it gets that form ([`Constraint`]).
//!
//! Grammars are followed by llguidance, over the bytes of this vocabulary's tokens. Control tokens have no bytes here:
//! a format that asks for text which looks like one gets it in ordinary tokens, as everywhere in this crate.

mod calls;
mod format;
mod open_json;
mod schema;
mod vocabulary;

use std::fmt::{self, Debug};

use llguidance::Matcher;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};

pub use self::format::Format;
pub use self::open_json::OpenJson;
pub(crate) use self::vocabulary::Grammars;
use crate::turn::{ToolChoice, Tools};
use crate::{TextError, TokenId, TokenSet, Tokenizer};

/// The longest pattern or grammar, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The most brackets that may be open at once in a pattern or grammar: each takes stack while it is read.
const MAX_OPEN: usize = 100;

/// Holds one text to a [`Format`], token by token.
#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
    /// Stands for every end token in the matcher's masks.
    end: TokenId,
    thinking: Thinking,
}

/// What is allowed at the next positions of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The tokens that may come next, and those that may come after each of the `n_drafts` drafts; empty if any may.
    pub sets: Vec<TokenSet>,
    /// How many of the drafts can be checked.
    pub n_drafts: usize,
}

/// The format's grammar failed while a text was generated, because it was too complex.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the format is too complex to follow: {reason}")]
pub struct FormatFailed {
    reason: String,
}

/// Where a text stands in relation to the model's reasoning, to which the format does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinking {
    /// The text may begin with reasoning.
    MayOpen(ThinkTokens),
    /// Reasoning goes on until its last token.
    Open(ThinkTokens),
    Closed,
}

/// The tokens around a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ThinkTokens {
    open: TokenId,
    close: TokenId,
}

impl Constraint {
    /// Makes the text after a prompt have this format. If the prompt's end was removed to be generated again, the text
    /// begins with that end, `healed`, and the format applies to what follows. Takes up to a second for the first
    /// format of a tokenizer, and usually milliseconds later.
    pub fn new(tokenizer: &Tokenizer, format: &Format, healed: &str) -> Result<Self, TextError> {
        let lead = (!healed.is_empty()).then(|| serde_json::Value::from(healed).to_string());
        Self::behind(tokenizer, format, lead.as_deref())
    }

    /// Makes the answer of a turn after `prompt` have this format. A model that reasons may do so first.
    pub fn of_turn(tokenizer: &Tokenizer, format: &Format, prompt: &[TokenId]) -> Result<Self, TextError> {
        let lead = calls::before_answer(tokenizer);
        Ok(Self::behind(tokenizer, format, lead.as_deref())?.after_reasoning(tokenizer, prompt))
    }

    /// A text with this format behind what `lead` generates, in llguidance's form of Lark.
    fn behind(tokenizer: &Tokenizer, format: &Format, lead: Option<&str>) -> Result<Self, TextError> {
        let grammar = beginning_with(lead, grammar(format)?);
        let grammars = tokenizer.grammars();
        let matcher = grammars.matcher(grammar);
        match matcher.get_error() {
            Some(reason) => Err(schema::refused(format, &reason)),
            None => Ok(Self { matcher, end: grammars.end(), thinking: Thinking::Closed }),
        }
    }

    /// Makes the text after a prompt call tools as demanded, in the form of the model's family. `None` if the choice
    /// demands nothing. Fails if a tool's schema cannot be enforced, or the family's form cannot.
    pub fn of_calls(
        tokenizer: &Tokenizer,
        tools: &Tools,
        choice: &ToolChoice,
    ) -> Result<Option<Self>, TextError> {
        let names: Vec<&str> = match choice {
            ToolChoice::Auto | ToolChoice::None => return Ok(None),
            ToolChoice::Required => tools.names().collect(),
            ToolChoice::Named(name) => vec![name],
        };
        let made = |names: &[&str]| -> Result<Self, TextError> {
            let may_repeat = *choice == ToolChoice::Required;
            let grammar = calls::grammar(tokenizer, tools, names, may_repeat)?;
            let grammar = GrammarWithLexer::from_lark(grammar.ok_or(TextError::CallsWithoutGrammar)?);
            let grammars = tokenizer.grammars();
            let matcher = grammars.matcher(TopLevelGrammar::from_grammar(grammar));
            match matcher.get_error() {
                Some(reason) => Err(TextError::BadFormat { reason: schema::in_short(&reason).to_owned() }),
                None => Ok(Self { matcher, end: grammars.end(), thinking: Thinking::Closed }),
            }
        };
        made(&names).map(Some).map_err(|err| {
            // Which tool it is can only be told by trying each.
            let of_one = |name: &&str| made(&[*name]).err().map(|err| ((*name).to_owned(), err));
            match (err, names.iter().find_map(of_one)) {
                (TextError::CallsWithoutGrammar, _) => TextError::CallsWithoutGrammar,
                (_, Some((name, err))) => TextError::UnsupportedTool { name, reason: err.to_string() },
                (err, None) => err,
            }
        })
    }

    /// Lets the model reason before the text with the format, if it is a model that does: until the end of reasoning
    /// that `prompt` or the text begins, any token may come.
    #[must_use]
    pub fn after_reasoning(self, tokenizer: &Tokenizer, prompt: &[TokenId]) -> Self {
        let [open, close] = tokenizer.turn_format().reasoning_marks();
        let named = |name| tokenizer.token_to_id(name);
        let thinking = match (named(open), named(close)) {
            (Some(open), Some(close)) => {
                let last = prompt.iter().rev().find(|it| [open, close].contains(it));
                let tokens = ThinkTokens { open, close };
                match last {
                    Some(it) if *it == open => Thinking::Open(tokens),
                    // The template closed it: the model is asked not to reason. An earlier turn's is not meant.
                    Some(_) if ends_with_reasoning(tokenizer, prompt, close) => Thinking::Closed,
                    _ => Thinking::MayOpen(tokens),
                }
            }
            _ => Thinking::Closed,
        };
        Self { thinking, ..self }
    }

    /// What may come next, and after each of the `drafts`, up to the first one that the format does not allow. If the
    /// text may end, so may each of the `end_tokens` come.
    pub fn allowed(&mut self, drafts: &[TokenId], end_tokens: &[TokenId]) -> Result<Allowed, FormatFailed> {
        if let Thinking::Open(tokens) = self.thinking {
            // After the last token of the reasoning the format holds, so that one is drawn and not drafted.
            let n_drafts = drafts.iter().take_while(|it| **it != tokens.close).count();
            return Ok(Allowed { sets: Vec::new(), n_drafts });
        }
        let mut sets = vec![self.next(end_tokens)?];
        for draft in drafts {
            if !sets.last().is_some_and(|it| it.contains(*draft)) || end_tokens.contains(draft) {
                break;
            }
            self.consume(*draft)?;
            if self.matcher.is_stopped() {
                // Nothing is drawn after the whole text.
                self.roll_back(1)?;
                break;
            }
            sets.push(self.next(end_tokens)?);
        }
        let n_drafts = sets.len() - 1;
        self.roll_back(n_drafts)?;
        if let Thinking::MayOpen(tokens) = self.thinking {
            sets[0].insert(tokens.open);
        }
        Ok(Allowed { sets, n_drafts })
    }

    /// Takes the next token of the text, which must be an allowed one and not an end token.
    pub fn push(&mut self, token: TokenId) -> Result<(), FormatFailed> {
        match self.thinking {
            Thinking::MayOpen(tokens) if token == tokens.open => self.thinking = Thinking::Open(tokens),
            Thinking::Open(tokens) if token == tokens.close => self.thinking = Thinking::Closed,
            Thinking::Open(_) => {}
            Thinking::MayOpen(_) | Thinking::Closed => {
                self.thinking = Thinking::Closed;
                self.consume(token)?;
            }
        }
        Ok(())
    }

    /// The next tokens, if the format allows no others. They must be pushed like drawn ones.
    pub fn forced(&mut self) -> Vec<TokenId> {
        if self.thinking != Thinking::Closed || self.matcher.is_stopped() {
            return Vec::new();
        }
        self.matcher.compute_ff_tokens()
    }

    /// Whether the text is whole, and nothing can follow.
    pub fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }

    /// Whether the text is whole as it is, even if more could follow.
    pub fn may_end(&mut self) -> bool {
        let may_end = self.matcher.is_stopped() || self.matcher.is_accepting().unwrap_or(false);
        may_end && !self.matcher.is_error() && !matches!(self.thinking, Thinking::Open(_))
    }

    fn next(&mut self, end_tokens: &[TokenId]) -> Result<TokenSet, FormatFailed> {
        let mask = self.matcher.compute_mask().map_err(failed)?;
        let mut set = TokenSet::from_words(mask.as_slice());
        if set.contains(self.end) {
            set.remove(self.end);
            for token in end_tokens {
                set.insert(*token);
            }
        }
        if set.is_empty() {
            return Err(FormatFailed { reason: "no token of the model fits here".to_owned() });
        }
        Ok(set)
    }

    fn consume(&mut self, token: TokenId) -> Result<(), FormatFailed> {
        self.matcher.consume_token(token).map_err(failed)
    }

    fn roll_back(&mut self, n_tokens: usize) -> Result<(), FormatFailed> {
        if n_tokens == 0 { Ok(()) } else { self.matcher.rollback(n_tokens).map_err(failed) }
    }
}

impl Debug for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Constraint").field("thinking", &self.thinking).finish_non_exhaustive()
    }
}

fn failed(error: impl fmt::Display) -> FormatFailed {
    FormatFailed { reason: schema::in_short(&error.to_string()).to_owned() }
}

/// Whether only white space follows the end of the reasoning.
fn ends_with_reasoning(tokenizer: &Tokenizer, prompt: &[TokenId], close: TokenId) -> bool {
    let after = prompt.rsplit(|it| *it == close).next().unwrap_or_default();
    after.len() < prompt.len() && tokenizer.decode(after).trim().is_empty()
}

/// The grammar of a format.
fn grammar(format: &Format) -> Result<GrammarWithLexer, TextError> {
    match format {
        Format::JsonSchema(schema) => Ok(GrammarWithLexer::from_json_schema(schema::prepared(schema)?)),
        Format::Regex(pattern) => {
            check_size(pattern, "pattern")?;
            Ok(GrammarWithLexer::from_regex(pattern))
        }
        Format::Lark(grammar) => {
            check_size(grammar, "grammar")?;
            Ok(GrammarWithLexer::from_lark(grammar.clone()))
        }
    }
}

/// The grammar for `lead` followed by the text of another grammar.
fn beginning_with(lead: Option<&str>, mut grammar: GrammarWithLexer) -> TopLevelGrammar {
    let Some(lead) = lead else { return TopLevelGrammar::from_grammar(grammar) };
    let both = GrammarWithLexer::from_lark(format!("start: {lead} @format\n"));
    grammar.name = Some("format".to_owned());
    TopLevelGrammar { grammars: vec![both, grammar], max_tokens: None }
}

/// Refuses what would take too much memory or stack to read.
fn check_size(text: &str, what: &str) -> Result<(), TextError> {
    let refused = |reason| Err(TextError::BadFormat { reason });
    if text.len() > MAX_BYTES {
        return refused(format!("the {what} must have at most {MAX_BYTES} bytes, got {}", text.len()));
    }
    let mut n_open = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => n_open += 1,
            b')' | b']' | b'}' => n_open = n_open.saturating_sub(1),
            _ => {}
        }
        if n_open > MAX_OPEN {
            return refused(format!("the {what} must have at most {MAX_OPEN} brackets open at once"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
