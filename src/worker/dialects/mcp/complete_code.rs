//! The tool `complete_code`: fills in code at a place, as an editor's suggestion does.

use runabout_assist::{
    AtCursor, Completion, Finish, FinishReason as Reason, Form, Generation, Goal, Priority,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, FinishReason, mean_logprob, rounded};
use super::failure::Failure;
use super::files;
use super::outcome;
use super::tool::{Call, Effect, Report, Tool};
use crate::place::{self, OutOfText};

const DEFAULT_MAX_TOKENS: u32 = 256;

pub(super) enum CompleteCode {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The code before the place. Give this, or `path` and `line`.
    prefix: Option<String>,
    /// The code after the place.
    suffix: Option<String>,
    /// The path of the file, which tells the model what kind of file it is. With `line` the file is read.
    path: Option<String>,
    /// The line of the file, counted from 1, in which to write.
    #[schemars(range(min = 1))]
    line: Option<usize>,
    /// The character of the line, counted from 1, before which to write. Default: the end of the line.
    #[schemars(range(min = 1))]
    column: Option<usize>,
    /// The programming language, such as `rust`. By default it follows from `path`.
    language: Option<String>,
    /// How much to write: `auto` lets the place decide, `line` stops at the end of the line, `block` at the end of the
    /// block.
    #[serde(default)]
    extent: Extent,
    /// How many different texts to write, from 1 to 8. Default: 1.
    #[schemars(range(min = 1, max = 8))]
    n: Option<u32>,
    /// The most tokens of a text. Default: 256.
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// Strings that end a text and are not part of it.
    #[serde(default)]
    stop: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Extent {
    #[default]
    Auto,
    Line,
    Block,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// Different texts for the place, as they came.
    texts: Vec<Choice>,
    /// Whether one of the texts was cut off by a limit.
    truncated: bool,
    evidence: Evidence,
}

#[derive(Serialize, JsonSchema)]
struct Choice {
    text: String,
    finish_reason: FinishReason,
    /// The rule that ended the text, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// The probability, from 0 to 1, that the model gives to the first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_logprob: Option<f64>,
}

impl Tool for CompleteCode {
    const NAME: &'static str = "complete_code";
    const TITLE: &'static str = "Complete code at a place";
    const DESCRIPTION: &'static str = "A small local model writes the code between `prefix` and `suffix`. Fast; good for \
        boilerplate, one-line bodies and repetitive code. Use low `confidence` as a reason to look twice.";
    const EFFECT: Effect = Effect::ReadsOnly;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, arguments: Arguments) -> Result<Report<Output>, Failure> {
        let around = (arguments.prefix, arguments.suffix);
        let (prefix, suffix) = match (around, arguments.line) {
            ((None, None), Some(line)) => {
                let Some(path) = &arguments.path else {
                    return Err(Failure::argument("path", "must be given with `line`"));
                };
                let (prefix, suffix) =
                    split(&files::read(call, path.clone()).await?.text, line, arguments.column)?;
                (prefix, Some(suffix))
            }
            (_, Some(_)) => return Err(Failure::argument("line", "must be absent if `prefix` is given")),
            (_, None) if arguments.column.is_some() => {
                return Err(Failure::argument("column", "must be absent without `line`"));
            }
            ((None, None), None) => {
                return Err(Failure::argument("prefix", "must be given, or else `path` and `line`"));
            }
            ((prefix, suffix), None) => (prefix.unwrap_or_default(), suffix),
        };
        let max_tokens = arguments.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        let mut generation = Generation::of(max_tokens, Priority::Interactive);
        generation.stop = arguments.stop;
        let n_choices = arguments.n.unwrap_or(1);
        if n_choices > 1 {
            // Otherwise all of them would be the same.
            generation.sampling.temperature = Some(SAMPLED_TEMPERATURE);
        }
        call.progress.expect(max_tokens);
        let run = call.assistant().complete(Completion {
            prefix,
            form: Form::AtCursor(AtCursor {
                suffix,
                language: arguments.language,
                goal: match arguments.extent {
                    Extent::Auto => Goal::Auto,
                    Extent::Line => Goal::Line,
                    Extent::Block => Goal::Block,
                },
                ..AtCursor::default()
            }),
            path: arguments.path,
            document: None,
            n_choices,
            generation,
            min_confidence: 0.0,
            needs_tokens: false,
        })?;
        let outcome = outcome::of(run, call).await?;
        let evidence = Evidence::of(&outcome, call);
        let mut texts: Vec<Choice> = Vec::new();
        for text in outcome.finishes.into_iter().map(Choice::from) {
            // Texts that differed only in what a rule cut off are returned once.
            if texts.iter().all(|it| it.text != text.text) {
                texts.push(text);
            }
        }
        let truncated = texts.iter().any(|it| it.finish_reason.is_cut());
        let mut blocks: Vec<String> = texts.iter().map(|it| it.text.clone()).collect();
        let cut = if truncated { "cut off; " } else { "" };
        blocks.push(format!("[{cut}{}]", evidence.line()));
        Ok(Report { output: Output { texts, truncated, evidence }, texts: blocks })
    }
}

/// The text before and after a place, as [`place::split`] counts it.
fn split(text: &str, line: usize, column: Option<usize>) -> Result<(String, String), Failure> {
    let (before, after) = place::split(text, line, column).map_err(|error| {
        let argument = if matches!(error, OutOfText::Line { .. }) { "line" } else { "column" };
        Failure::argument(argument, &error.to_string())
    })?;
    Ok((before.to_owned(), after.to_owned()))
}

/// How several texts for one place are made to differ.
const SAMPLED_TEMPERATURE: f32 = 0.8;

impl From<Finish> for Choice {
    fn from(finish: Finish) -> Self {
        Self {
            finish_reason: finish.reason.into(),
            rule: match finish.reason {
                Reason::Rule { rule } => Some(rule.name().to_owned()),
                _ => None,
            },
            confidence: finish.likelihood.confidence().map(rounded),
            mean_logprob: mean_logprob(&finish),
            text: finish.text,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_place_outside_the_text_is_refused_by_the_name_of_the_argument() {
        let split = |line, column| split("let\n", line, column).map_err(|it| it.0);
        assert_eq!(split(1, Some(2)).unwrap(), ("l".to_owned(), "et\n".to_owned()));
        assert_eq!(split(1, Some(7)).unwrap_err(), "`column` must be from 1 to 4, got 7");
        assert_eq!(split(3, None).unwrap_err(), "`line` must be from 1 to 2, got 3");
    }
}
