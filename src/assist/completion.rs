//! A completion: text at the cursor of a file, or text that continues a prompt as it is.

use std::sync::Arc;

use runabout_engine::TextStart;
use runabout_text::{
    self as text, CompletionPrompt, Cursor, Goal, Healing, InLf, LineEnd, Rule, Rules, Surroundings,
    Tokenizer, Trimmed, continuation_prompt, healing_start,
};

use crate::error::{Error, Limited};
use crate::generation::{Generation, Limits, within};
use crate::model::Model;
use crate::prompt::{Prompt, check_size};

/// The prompt may always take one part in this many of the model's context, however long the output may get.
const MIN_PROMPT_SHARE: usize = 2;

/// A request for text at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The text before the cursor.
    pub prefix: String,
    pub form: Form,
    /// The path of the file, as the model should see it. It is not opened.
    pub path: Option<String>,
    /// Names what is being edited: a newer completion with the same name ends an older one, or continues it where the
    /// text typed in between is what the older one said.
    pub document: Option<String>,
    /// How many texts to generate.
    pub n_choices: u32,
    pub generation: Generation,
    /// Whether the caller reads the outcome's tokens, which a continued completion could not tell apart.
    pub needs_tokens: bool,
}

/// How a completion's prompt is built.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// The prompt is the prefix as it is, and no rule ends the text.
    Raw,
    AtCursor(AtCursor),
}

/// The surroundings of a cursor, and where its completion should end.
#[derive(Clone, Debug, PartialEq)]
pub struct AtCursor {
    /// The text behind the cursor. A model that cannot fill in the middle does not see it, but rules do.
    pub suffix: Option<String>,
    /// The programming language, such as `rust`; `None`: judged by the path.
    pub language: Option<String>,
    /// Other files that help, the most relevant one last. The first ones are left out where not all fit.
    pub context: Vec<ContextFile>,
    pub goal: Goal,
    /// Rules that are switched off.
    pub rules_off: Vec<Rule>,
    /// Whether the word at the cursor is generated again from its start, so that a token may span the cursor.
    pub healing: bool,
}

impl Default for AtCursor {
    /// Nothing behind the cursor and no other files; all rules, and healing.
    fn default() -> Self {
        Self {
            suffix: None,
            language: None,
            context: Vec::new(),
            goal: Goal::Auto,
            rules_off: Vec::new(),
            healing: true,
        }
    }
}

/// Another file that helps to complete this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFile {
    pub path: String,
    pub text: String,
}

impl Completion {
    /// Refuses what is outside its limits.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        within(Limited::Choices, self.n_choices.into(), 1, limits.max_choices.into())?;
        self.generation.check(limits)
    }

    /// About the bytes that the request takes. Many small parts count too, not only long texts.
    pub(crate) fn n_bytes(&self) -> usize {
        let of = |it: &Option<String>| it.as_ref().map_or(0, String::len);
        let surroundings = match &self.form {
            Form::Raw => 0,
            Form::AtCursor(at) => {
                let context: usize = at
                    .context
                    .iter()
                    .map(|it| size_of::<ContextFile>() + it.path.len() + it.text.len())
                    .sum();
                of(&at.suffix) + of(&at.language) + context
            }
        };
        self.prefix.len() + of(&self.path) + of(&self.document) + surroundings + self.generation.n_bytes()
    }

    /// Builds the prompt. Blocks for as long as encoding takes.
    pub(crate) fn prompt(&self, model: &Model) -> Result<Prompt, Error> {
        let Model { facts, description } = model;
        let params = self.generation.sampling.over(facts.defaults.for_completion());
        params.validate(description.vocabulary_size)?;
        let prompt = match &self.form {
            Form::Raw => {
                let n_least = facts.tokenizer.least_tokens(&self.prefix);
                check_size(n_least, self.generation.max_tokens, description)?;
                Prompt {
                    tokens: facts.tokenizer.encode_prompt(&self.prefix),
                    trimmed: Trimmed::default(),
                    params,
                    end_tokens: facts.tokenizer.end_tokens().to_vec(),
                    rules: None,
                    healing: None,
                    text_start: TextStart::Continuing,
                    line_end: None,
                }
            }
            Form::AtCursor(at) => self.prompt_at(at, model, params),
        };
        if prompt.tokens.is_empty() { Err(Error::EmptyPrompt) } else { Ok(prompt) }
    }

    fn prompt_at(&self, at: &AtCursor, model: &Model, params: text::SamplingParams) -> Prompt {
        let Model { facts, description } = model;
        let tokenizer = &facts.tokenizer;
        let file = InLf::new(&self.prefix, at.suffix.as_deref().unwrap_or_default());
        let healing = if at.healing { self::healing(&file.prefix, tokenizer) } else { None };
        let taken_back = healing.as_ref().map_or("", Healing::text);
        // Each file may end its lines in its own way.
        let others: Vec<_> =
            at.context.iter().map(|it| (&it.path, LineEnd::of(&[&it.text]).to_lf(&it.text))).collect();
        let context: Vec<_> = others.iter().map(|(path, text)| text::ContextFile { path, text }).collect();
        let surroundings = Surroundings {
            prefix: file.prefix.strip_suffix(taken_back).unwrap_or(&file.prefix),
            suffix: &file.suffix,
            path: self.path.as_deref(),
            language: at.language.as_deref(),
            context: &context,
        };
        let max_tokens = self.generation.max_tokens as usize;
        let limit =
            description.context_length - max_tokens.min(description.context_length / MIN_PROMPT_SHARE);
        let mut end_tokens = tokenizer.end_tokens().to_vec();
        let CompletionPrompt { tokens, trimmed } = match &facts.fim {
            Some(fim) => {
                end_tokens.extend(fim.stop_tokens());
                fim.prompt(tokenizer, &surroundings, limit)
            }
            None => continuation_prompt(tokenizer, &surroundings, limit),
        };
        let cursor = Cursor {
            prefix: &file.prefix,
            suffix: &file.suffix,
            language: at.language.as_deref(),
            path: self.path.as_deref(),
        };
        Prompt {
            tokens,
            trimmed: file.trimmed(trimmed),
            params,
            end_tokens,
            rules: Some(Rules::new(&cursor, at.goal, &at.rules_off)),
            healing,
            text_start: TextStart::Continuing,
            line_end: Some(file.line_end),
        }
    }
}

/// What is taken back of the prefix and generated again. A model that continues must keep something to continue from.
fn healing(prefix: &str, tokenizer: &Arc<Tokenizer>) -> Option<Healing> {
    let (kept, taken_back) = prefix.split_at(healing_start(tokenizer, prefix));
    if kept.is_empty() {
        return None;
    }
    Healing::new(Arc::clone(tokenizer), taken_back)
}
