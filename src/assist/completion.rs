//! A completion: text at the cursor of a file, or text that continues a raw prompt.

use std::sync::Arc;
use std::time::Duration;

use runabout_engine::TextStart;
use runabout_text::{
    self as text, ChatRequest, CompletionPrompt, Constraint, Cursor, FimFormat, Goal, Healing, InLf, LineEnd,
    Message, Rule, Rules, Surroundings, TemplateVariables, TokenId, Tokenizer, Trimmed, continuation_prompt,
    healing_start,
};

use crate::error::{Error, Limited};
use crate::generation::{Generation, Limits, within};
use crate::model::Model;
use crate::near::Near;
use crate::prompt::{Prompt, check_size};

/// At least one part in this many of the model's context is reserved for the prompt, however many tokens are asked for.
const MIN_PROMPT_SHARE: usize = 2;

/// A request for text at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The text before the cursor.
    pub prefix: String,
    pub form: Form,
    /// The path of the file, as the model should see it. It is not opened.
    pub path: Option<String>,
    /// The name of the document being edited. A newer completion with the same name supersedes an older one. If the
    /// text typed since then is what the older one suggested, the newer one continues it.
    pub document: Option<String>,
    /// How many texts to generate.
    pub n_choices: u32,
    pub generation: Generation,
    /// A text with a lower confidence is withheld. Until that is decided, at the end of its first line or of the text,
    /// no text is sent. 0 withholds nothing.
    pub min_confidence: f64,
    /// Whether the caller reads the outcome's tokens. A continued completion cannot provide them.
    pub needs_tokens: bool,
}

/// How a completion's prompt is built.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// The prompt is the prefix alone, and no rule ends the text.
    Raw,
    /// The prefix is a message to the model, and the text is its answer as it is: reasoning and calls of tools stay in it.
    Message(ToModel),
    AtCursor(AtCursor),
}

/// How a message is put to the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToModel {
    /// The system prompt.
    pub system: Option<String>,
    /// The beginning of the answer, which the model goes on from. It is not part of the text.
    pub begun: Option<String>,
    /// Additional variables for the model's chat template.
    pub template_variables: TemplateVariables,
}

/// The text around a cursor, and how the completion ends.
#[derive(Clone, Debug, PartialEq)]
pub struct AtCursor {
    /// The text behind the cursor. A model without fill-in-the-middle does not see it, but the rules do.
    pub suffix: Option<String>,
    /// The programming language, such as `rust`; `None` derives it from the path.
    pub language: Option<String>,
    /// Other relevant files, the most relevant one last. If they do not all fit, the first ones are left out.
    pub context: Vec<ContextFile>,
    pub goal: Goal,
    /// Rules that do not apply.
    pub rules_off: Vec<Rule>,
    /// Whether the word at the cursor is generated again from its start, since a token may span the cursor.
    pub healing: bool,
    /// If the prompt would take longer than this to compute, the model sees only the text near the cursor, at most
    /// [`NEAR_PREFIX_BYTES`](crate::NEAR_PREFIX_BYTES) before it, and no other files. `None` waits. Warming computes the
    /// whole prompt in any case.
    pub patience: Option<Duration>,
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
            patience: None,
        }
    }
}

/// Another file that is relevant to the completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFile {
    pub path: String,
    pub text: String,
}

impl Completion {
    /// Checks the request against the limits.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        within(Limited::Choices, self.n_choices.into(), 1, limits.max_choices.into())?;
        self.generation.check(limits)
    }

    /// The approximate size of the request in memory. Many small parts count too, not only long texts.
    pub(crate) fn n_bytes(&self) -> usize {
        let of = |it: &Option<String>| it.as_ref().map_or(0, String::len);
        let surroundings = match &self.form {
            Form::Raw => 0,
            Form::Message(to) => of(&to.system) + of(&to.begun),
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

    /// Builds the prompt. Blocks while the text is encoded.
    pub(crate) fn prompt(&self, model: &Model) -> Result<Prompt, Error> {
        let Model { facts, description } = model;
        let params = self.generation.sampling.over(facts.defaults.for_completion());
        params.validate(description.vocabulary_size)?;
        let mut prompt = match &self.form {
            Form::Raw => {
                let n_least = facts.tokenizer.least_tokens(&self.prefix);
                check_size(n_least, &self.generation, description)?;
                self.prompt_of(
                    facts.tokenizer.encode_prompt(&self.prefix),
                    TextStart::Continuing,
                    model,
                    params,
                )?
            }
            Form::Message(to) => {
                let n_least = facts.tokenizer.least_tokens(&self.prefix);
                check_size(n_least, &self.generation, description)?;
                let text_start = if to.begun.is_some() { TextStart::Continuing } else { TextStart::Fresh };
                self.prompt_of(self.message_tokens(to, &facts.tokenizer)?, text_start, model, params)?
            }
            Form::AtCursor(at) => self.prompt_at(at, model, params)?,
        };
        if let Some(format) = &self.generation.format {
            let healed = prompt.healing.as_ref().map_or("", Healing::text);
            prompt.constraint = Some(Constraint::new(&facts.tokenizer, format, healed)?);
            // The format says where the text ends.
            prompt.rules = None;
        }
        if prompt.tokens.is_empty() { Err(Error::EmptyPrompt) } else { Ok(prompt) }
    }

    /// A prompt of these tokens, whose text no rule ends.
    fn prompt_of(
        &self,
        tokens: Vec<TokenId>,
        text_start: TextStart,
        model: &Model,
        params: text::SamplingParams,
    ) -> Result<Prompt, Error> {
        Ok(Prompt {
            tokens,
            near: None,
            trimmed: Trimmed::default(),
            params,
            end_tokens: self.generation.all_end_tokens(&model.facts.tokenizer)?,
            rules: None,
            healing: None,
            constraint: None,
            text_start,
            line_end: None,
            stop: &[],
            most_tokens: None,
            turn: None,
        })
    }

    /// The tokens of a message, as the model's chat template puts it.
    fn message_tokens(&self, to: &ToModel, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, Error> {
        let system = to.system.iter().map(Message::system);
        let begun = to.begun.iter().map(Message::assistant);
        let messages: Vec<_> = system.chain([Message::user(&self.prefix)]).chain(begun).collect();
        let is_begun = to.begun.is_some();
        let request = ChatRequest {
            messages: &messages,
            tools: &[],
            kwargs: &to.template_variables,
            add_generation_prompt: !is_begun,
        };
        Ok(if is_begun {
            tokenizer.encode_unfinished_chat(&request)?
        } else {
            tokenizer.encode_chat(&request)?
        })
    }

    fn prompt_at(&self, at: &AtCursor, model: &Model, params: text::SamplingParams) -> Result<Prompt, Error> {
        let Model { facts, description } = model;
        let tokenizer = &facts.tokenizer;
        let file = InLf::new(&self.prefix, at.suffix.as_deref().unwrap_or_default());
        let healing = if at.healing { self::healing(&file.prefix, tokenizer) } else { None };
        let taken_back = healing.as_ref().map_or("", Healing::text);
        // Each file may have its own line ends.
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
        let mut end_tokens = self.generation.all_end_tokens(tokenizer)?;
        end_tokens.extend(facts.fim.iter().flat_map(FimFormat::stop_tokens));
        let prompt = |surroundings: &Surroundings| match &facts.fim {
            Some(fim) => fim.prompt(tokenizer, surroundings, limit),
            None => continuation_prompt(tokenizer, surroundings, limit),
        };
        let CompletionPrompt { tokens, trimmed } = prompt(&surroundings);
        let near = at.patience.zip(Near::of(&surroundings)).map(|(patience, near)| {
            let tokens = prompt(&near.surroundings).tokens;
            near.prompt(tokens, patience, self.document.as_deref(), &file)
        });
        let cursor = Cursor {
            prefix: &file.prefix,
            suffix: &file.suffix,
            language: at.language.as_deref(),
            path: self.path.as_deref(),
        };
        Ok(Prompt {
            tokens,
            near,
            trimmed: file.trimmed(trimmed),
            params,
            end_tokens,
            rules: Some(Rules::new(&cursor, at.goal, &at.rules_off)),
            healing,
            constraint: None,
            text_start: TextStart::Continuing,
            line_end: Some(file.line_end),
            stop: &[],
            most_tokens: None,
            turn: None,
        })
    }
}

/// The end of the prefix that is removed and generated again. At least one token must remain for the model to continue.
fn healing(prefix: &str, tokenizer: &Arc<Tokenizer>) -> Option<Healing> {
    let (kept, taken_back) = prefix.split_at(healing_start(tokenizer, prefix));
    if kept.is_empty() {
        return None;
    }
    Healing::new(Arc::clone(tokenizer), taken_back)
}
