//! The next edit of a document: [`NextEdit`] asks for it, and [`NextEditReader`] makes edits of the model's answer.
//!
//! A model made for that rewrites the lines around the cursor. Any other model that fills in the middle is asked for
//! text at the place of the latest edit instead, so it inserts at most. Either way the prompt and the answer are in LF,
//! and the edits are in the form of the caller's document.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use runabout_engine::{Finish, FinishReason, JobError, TextStart};
use runabout_text::{
    self as text, EditWindow, Edited, InLf, LineEnd, NextEditFormat, NextEditPrompt, NoPrompt, TextEdit,
    Trimmed,
};

use crate::completion::{AtCursor, Completion, ContextFile, Form};
use crate::error::Error;
use crate::generation::{Generation, Limits};
use crate::model::{Facts, Model};
use crate::prompt::Prompt;
use crate::run::Outcome;

/// At least one part in this many of the model's context is reserved for the prompt, however many tokens are asked for.
const MIN_PROMPT_SHARE: usize = 2;
/// An answer has as many tokens as the lines that it rewrites, and those of the change. One that is longer than this
/// many times as much, and [`MORE_TOKENS`], is no edit.
const MAX_GROWTH: usize = 2;
const MORE_TOKENS: usize = 64;
/// The longest text that is filled in.
const MAX_FILLED_IN: usize = 128;

/// A request for what will be changed next in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct NextEdit {
    /// The document before the cursor, from the beginning of a line on.
    pub prefix: String,
    /// The document after the cursor.
    pub suffix: String,
    /// The path of the document, as the model should see it. It is not opened.
    pub path: Option<String>,
    /// The programming language, such as `rust`; `None` derives it from the path.
    pub language: Option<String>,
    /// Other relevant files, the most relevant one last. If they do not all fit, the first ones are left out.
    pub context: Vec<ContextFile>,
    /// What was changed recently, the latest change last.
    pub edits: Vec<RecentEdit>,
    /// How the model is asked; `None` decides by its name and its vocabulary.
    pub form: Option<NextEditForm>,
    pub generation: Generation,
    /// Edits with a lower confidence are withheld. 0 withholds nothing.
    pub min_confidence: f64,
}

/// A change that a person has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentEdit {
    /// The file that was changed; `None` stands for the document itself.
    pub path: Option<String>,
    /// The lines before the change; an empty text is no line.
    pub original: String,
    /// The lines after it.
    pub updated: String,
    /// The index of the line of the document, from the beginning of [`NextEdit::prefix`] on, that is now the first of
    /// `updated`. If it is not known, the place nearest to the cursor that has these lines is taken.
    pub line: Option<usize>,
}

/// How a model is asked for the next edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextEditForm {
    /// It rewrites the lines around the cursor, in this format.
    Rewrite(NextEditFormat),
    /// It fills in text at the place of the latest edit.
    FillInTheMiddle,
}

/// What will probably be changed next.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// In ascending order, without overlap; empty if nothing is to be changed. The ranges count characters (Unicode
    /// scalar values) from the beginning of [`NextEdit::prefix`] on, through the suffix.
    pub edits: Vec<TextEdit>,
    /// How the model was asked; `None` if the request ended before that.
    pub form: Option<NextEditForm>,
    /// The probability that the model gives to the first line that it changes, from where it changes it; `None` if it
    /// changes nothing, or removes the end of what it was shown.
    pub confidence: Option<f64>,
    pub reason: FinishReason,
}

/// Makes edits of the model's answer.
#[derive(Clone, Debug)]
pub struct NextEditReader {
    /// Set when the prompt is built.
    plan: Arc<OnceLock<Plan>>,
    min_confidence: f64,
}

/// What an answer will mean.
#[derive(Debug)]
struct Plan {
    form: PlannedForm,
    /// The number of characters of the caller's document before the place that the answer is about.
    start: usize,
    /// The caller's text at that place: what the answer rewrites.
    here: String,
    line_end: LineEnd,
}

#[derive(Debug)]
enum PlannedForm {
    Rewrite(NextEditFormat, EditWindow),
    Insert,
}

impl NextEditForm {
    /// How this model is asked, decided by its name and its vocabulary; `None` if it cannot predict edits.
    pub fn of(model: &Facts) -> Option<Self> {
        let made_for_it = NextEditFormat::detect(&model.name, &model.tokenizer).map(Self::Rewrite);
        made_for_it.or(model.fim.is_some().then_some(Self::FillInTheMiddle))
    }

    /// Its name, by which a person chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rewrite(format) => format.name(),
            Self::FillInTheMiddle => "fill_in_the_middle",
        }
    }

    /// The form with this name.
    pub fn named(name: &str) -> Option<Self> {
        let filling_in = Self::FillInTheMiddle;
        NextEditFormat::named(name).map(Self::Rewrite).or((name == filling_in.name()).then_some(filling_in))
    }
}

impl NextEdit {
    /// Checks the request against the limits.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        self.generation.check(limits)
    }

    /// The approximate size of the request in memory. Many small parts count too, not only long texts.
    pub(crate) fn n_bytes(&self) -> usize {
        let of = |it: &Option<String>| it.as_ref().map_or(0, String::len);
        let context = self.context.iter().map(|it| size_of::<ContextFile>() + it.path.len() + it.text.len());
        let edits = self
            .edits
            .iter()
            .map(|it| size_of::<RecentEdit>() + of(&it.path) + it.original.len() + it.updated.len());
        let lists = context.sum::<usize>() + edits.sum::<usize>() + self.generation.n_bytes();
        self.prefix.len() + self.suffix.len() + of(&self.path) + of(&self.language) + lists
    }

    fn prompt(&self, model: &Model) -> Result<(Prompt, Plan), Error> {
        let tokenizer = &model.facts.tokenizer;
        let file = InLf::new(&self.prefix, &self.suffix);
        let whole = [&*file.prefix, &*file.suffix].concat();
        // Each file may have its own line ends.
        let edits: Vec<[Cow<'_, str>; 2]> = self
            .edits
            .iter()
            .map(|it| {
                let line_end = LineEnd::of(&[&it.original, &it.updated]);
                [line_end.to_lf(&it.original), line_end.to_lf(&it.updated)]
            })
            .collect();
        let edits: Vec<text::RecentEdit<'_>> = self
            .edits
            .iter()
            .zip(&edits)
            .map(|(it, [original, updated])| text::RecentEdit {
                path: it.path.as_deref().filter(|path| Some(*path) != self.path.as_deref()),
                original,
                updated,
                line: it.line,
            })
            .collect();
        let files: Vec<_> =
            self.context.iter().map(|it| (&it.path, LineEnd::of(&[&it.text]).to_lf(&it.text))).collect();
        let context: Vec<_> = files.iter().map(|(path, text)| text::ContextFile { path, text }).collect();
        let edited = Edited {
            text: &whole,
            cursor: file.prefix.len(),
            path: self.path.as_deref(),
            context: &context,
            edits: &edits,
        };
        let form = match self.form {
            Some(NextEditForm::Rewrite(format)) if !format.fits(tokenizer) => {
                return Err(Error::LacksTokens { format: format.name() });
            }
            Some(form) => form,
            None => NextEditForm::of(&model.facts).ok_or(Error::NoNextEdit)?,
        };
        if let NextEditForm::Rewrite(format) = form {
            match self.rewriting(format, &edited, model) {
                Ok((prompt, window)) => {
                    let range = window.range();
                    let form = PlannedForm::Rewrite(format, window);
                    return Ok((prompt, self.plan(form, &whole, range, file.line_end)));
                }
                Err(NotRewriting::Refused(error)) => return Err(error),
                // The model was made from one that fills in the middle.
                Err(NotRewriting::HasMark) => {}
            }
        }
        if model.facts.fim.is_none() {
            return Err(Error::NoNextEdit);
        }
        let latest = edits.iter().rev().find(|it| it.path.is_none());
        let place = latest.and_then(|it| it.place(&whole, edited.cursor)).unwrap_or(edited.cursor);
        let prompt = self.filling_in(&whole, place, model)?;
        Ok((prompt, self.plan(PlannedForm::Insert, &whole, place..place, file.line_end)))
    }

    /// The prompt for a model that rewrites the lines around the cursor, and these lines.
    fn rewriting(
        &self,
        format: NextEditFormat,
        edited: &Edited<'_>,
        model: &Model,
    ) -> Result<(Prompt, EditWindow), NotRewriting> {
        let Model { facts, description } = model;
        let tokenizer = &facts.tokenizer;
        let params = self.generation.sampling.over(facts.defaults.for_completion());
        params.validate(description.vocabulary_size).map_err(|it| NotRewriting::Refused(it.into()))?;
        let max_tokens = self.generation.max_tokens as usize;
        let limit =
            description.context_length - max_tokens.min(description.context_length / MIN_PROMPT_SHARE);
        let NextEditPrompt { tokens, trimmed, n_window_tokens, window } =
            format.prompt(tokenizer, edited, limit).map_err(|it| match it {
                NoPrompt::HasMark => NotRewriting::HasMark,
                NoPrompt::TooLong { n_tokens } => {
                    NotRewriting::Refused(JobError::PromptTooLong { n_tokens, limit }.into())
                }
            })?;
        let mut end_tokens = tokenizer.end_tokens().to_vec();
        end_tokens.extend(format.stop_tokens(tokenizer));
        let prompt = Prompt {
            tokens,
            near: None,
            trimmed,
            params,
            end_tokens,
            rules: None,
            healing: None,
            constraint: None,
            text_start: TextStart::Continuing,
            line_end: None,
            stop: format.stop_strings(),
            most_tokens: Some(n_window_tokens * MAX_GROWTH + MORE_TOKENS),
            turn: None,
        };
        Ok((prompt, window))
    }

    /// The prompt for a model that fills in text at an offset of the document.
    fn filling_in(&self, whole: &str, place: usize, model: &Model) -> Result<Prompt, Error> {
        let (prefix, suffix) = whole.split_at(place);
        let completion = Completion {
            prefix: prefix.to_owned(),
            form: Form::AtCursor(AtCursor {
                suffix: Some(suffix.to_owned()),
                language: self.language.clone(),
                context: self.context.clone(),
                ..AtCursor::default()
            }),
            path: self.path.clone(),
            document: None,
            n_choices: 1,
            generation: self.generation.clone(),
            min_confidence: 0.0,
            needs_tokens: false,
        };
        let prompt = completion.prompt(model)?;
        // Characters are counted in the text that the caller sent, which this is not.
        let trimmed = Trimmed { context_files: prompt.trimmed.context_files, ..Trimmed::default() };
        Ok(Prompt { trimmed, most_tokens: Some(MAX_FILLED_IN), ..prompt })
    }

    /// What an answer means that is about the bytes `range` of the document in LF.
    fn plan(&self, form: PlannedForm, whole: &str, range: std::ops::Range<usize>, line_end: LineEnd) -> Plan {
        let n_chars = |text: &str| text.chars().count();
        let callers = [self.prefix.as_str(), self.suffix.as_str()].concat();
        let n_before = n_chars(&whole[..range.start]);
        let start = line_end.chars_of(&callers, n_before);
        let end = line_end.chars_of(&callers, n_before + n_chars(&whole[range]));
        let here = callers.chars().skip(start).take(end - start).collect();
        Plan { form, start, here, line_end }
    }
}

/// Why a model is not asked to rewrite lines.
enum NotRewriting {
    /// The document contains what the format uses as a mark.
    HasMark,
    Refused(Error),
}

impl NextEditReader {
    pub(crate) fn of(request: &NextEdit) -> Self {
        Self { plan: Arc::default(), min_confidence: request.min_confidence }
    }

    /// Builds the request's prompt, and remembers what its answer will mean.
    pub(crate) fn plan(&self, request: &NextEdit, model: &Model) -> Result<Prompt, Error> {
        let (prompt, plan) = request.prompt(model)?;
        self.plan.set(plan).expect("the prompt of a request is built once");
        Ok(prompt)
    }

    /// What the answer changes.
    pub fn read(&self, outcome: &Outcome) -> Prediction {
        let finish = &outcome.finishes[0];
        let Some(plan) = self.plan.get() else {
            return Prediction { edits: Vec::new(), form: None, confidence: None, reason: finish.reason };
        };
        let (edits, confidence) = match &plan.form {
            PlannedForm::Rewrite(_, window) => rewritten(window, finish),
            PlannedForm::Insert => filled_in(finish),
        };
        let form = match plan.form {
            PlannedForm::Rewrite(format, _) => NextEditForm::Rewrite(format),
            PlannedForm::Insert => NextEditForm::FillInTheMiddle,
        };
        let is_unsure = confidence.is_some_and(|it| it < self.min_confidence);
        let (edits, reason) = match finish.reason {
            it @ (FinishReason::Cancelled | FinishReason::Superseded) => (Vec::new(), it),
            _ if is_unsure => (Vec::new(), FinishReason::LowConfidence),
            it => (edits, it),
        };
        Prediction { edits: plan.in_document(edits), form: Some(form), confidence, reason }
    }
}

impl Plan {
    /// Edits of the place in LF as edits of the caller's document.
    fn in_document(&self, edits: Vec<TextEdit>) -> Vec<TextEdit> {
        let here = self.line_end.to_lf(&self.here);
        let n_chars = |at: usize| here.get(..at).unwrap_or(&here).chars().count();
        let place = |at: usize| self.start + self.line_end.chars_of(&self.here, n_chars(at));
        edits
            .into_iter()
            .map(|it| TextEdit {
                range: place(it.range.start)..place(it.range.end),
                text: self.line_end.from_lf(&it.text).into_owned(),
            })
            .collect()
    }
}

/// The edits of a rewritten window, and the confidence in the first of them.
fn rewritten(window: &EditWindow, finish: &Finish) -> (Vec<TextEdit>, Option<f64>) {
    let is_complete = matches!(finish.reason, FinishReason::Eos | FinishReason::Stop { .. });
    // No model is meant to write CRLF, but some of the texts that it was trained on had it.
    let answer = finish.text.replace("\r\n", "\n");
    let Some(predicted) = window.read(&answer, is_complete) else { return (Vec::new(), None) };
    let (same, changed) = answer.split_at(predicted.begins_at);
    (predicted.edits, finish.likelihood.after(same, changed).confidence())
}

/// The insertion of a text that was filled in, and the confidence in it.
fn filled_in(finish: &Finish) -> (Vec<TextEdit>, Option<f64>) {
    if finish.text.trim().is_empty() {
        return (Vec::new(), None);
    }
    (vec![TextEdit { range: 0..0, text: finish.text.clone() }], finish.likelihood.confidence())
}
