//! Asks the model one question, and follows the answer: [`Asker`]. All prompts of this crate pass here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runabout_assist::{
    Assistant, Conversation, Error, FinishReason, Format, Generation, JobError, Message, Model, Run,
    Sampling, TemplateVariables, TextError, Tokenize, ToolUse, Update,
};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::answer::Answer;
use crate::effort::Effort;
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::progress::{Progress, Stage};

/// Asks for one item.
#[derive(Clone)]
pub(crate) struct Asker {
    assistant: Assistant,
    effort: Arc<Effort>,
    item: usize,
    n_tokens: Arc<AtomicUsize>,
    report: Arc<dyn Fn(Progress) + Send + Sync>,
    is_cancelled: watch::Receiver<bool>,
    permits: Arc<Semaphore>,
}

/// What the model is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) messages: Vec<Message>,
    /// What the answer needs at most, if the caller names no limit.
    pub(crate) max_tokens: usize,
    /// Counted from 1.
    pub(crate) attempt: u32,
    pub(crate) form: Form,
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Free,
    /// A form that this crate made to help the model. If the engine cannot follow it, the answer is free.
    Helpful(Format),
    /// A form that the caller asked for.
    Demanded(Format),
}

impl Asker {
    pub(crate) fn new(
        assistant: Assistant,
        effort: Arc<Effort>,
        item: usize,
        report: Arc<dyn Fn(Progress) + Send + Sync>,
        is_cancelled: watch::Receiver<bool>,
        permits: Arc<Semaphore>,
    ) -> Self {
        Self { assistant, effort, item, n_tokens: Arc::default(), report, is_cancelled, permits }
    }

    /// Asks, and adds the answer to the evidence. Waits for its turn if enough answers are being generated.
    pub(crate) async fn ask(&self, question: Question, evidence: &mut Evidence) -> Result<Answer, Fault> {
        let mut is_cancelled = self.is_cancelled.clone();
        let _permit = tokio::select! {
            permit = self.permits.acquire() => permit.map_err(|_| Fault::Cancelled)?,
            _ = is_cancelled.wait_for(|it| *it) => return Err(Fault::Cancelled),
        };
        if *self.is_cancelled.borrow() {
            return Err(Fault::Cancelled);
        }
        let answer = match self.answer(question.clone(), evidence).await {
            Err(Refused::Format(_)) if matches!(question.form, Form::Helpful(_)) => {
                self.answer(Question { form: Form::Free, ..question }, evidence).await
            }
            other => other,
        };
        let answer = answer.map_err(|it| match it {
            Refused::Format(message) => Fault::InvalidSchema { message },
            Refused::Other(fault) => fault,
        })?;
        match answer.reason {
            FinishReason::Cancelled | FinishReason::Superseded => Err(Fault::Cancelled),
            FinishReason::Budget => Err(Fault::OverBudget),
            _ => Ok(answer),
        }
    }

    async fn answer(&self, question: Question, evidence: &mut Evidence) -> Result<Answer, Refused> {
        let attempt = question.attempt;
        let mut run = self.assistant.chat(self.conversation(question))?;
        self.follow(&mut run, attempt, evidence).await
    }

    /// Asks a question whose answer counts even if it is cut off.
    pub(crate) async fn ask_once(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
        evidence: &mut Evidence,
    ) -> Result<Answer, Fault> {
        self.ask(Question { messages, max_tokens, attempt: 1, form: Form::Free }, evidence).await
    }

    fn conversation(&self, question: Question) -> Conversation {
        let effort = &self.effort;
        let most = self.assistant.limits().max_tokens;
        let wanted = u32::try_from(question.max_tokens).unwrap_or(u32::MAX);
        let max_tokens = effort.max_tokens.unwrap_or(wanted).clamp(1, most);
        let format = match question.form {
            Form::Free => None,
            Form::Helpful(format) | Form::Demanded(format) => Some(format),
        };
        // The most likely answer, without penalties: code repeats itself more than models like to.
        let sampling = Sampling {
            temperature: Some(0.0),
            repetition_penalty: Some(1.0),
            presence_penalty: Some(0.0),
            frequency_penalty: Some(0.0),
            seed: effort.seed,
            ..Sampling::default()
        };
        Conversation {
            messages: question.messages,
            tools: ToolUse::default(),
            // An errand is too small to think about first. Templates without this variable ignore it.
            template_variables: TemplateVariables::from_iter([(
                "enable_thinking".to_owned(),
                Value::Bool(false),
            )]),
            generation: Generation {
                time_budget: effort.time_budget,
                sampling,
                format,
                ..Generation::of(max_tokens, effort.priority)
            },
        }
    }

    async fn follow(&self, run: &mut Run, attempt: u32, evidence: &mut Evidence) -> Result<Answer, Refused> {
        let mut is_cancelled = self.is_cancelled.clone();
        let mut is_told = false;
        let tokenizer = self.assistant.model().facts().map(|it| Arc::clone(&it.tokenizer));
        loop {
            let update = tokio::select! {
                update = run.next() => update,
                _ = is_cancelled.wait_for(|it| *it), if !is_told => {
                    is_told = true;
                    run.cancel();
                    continue;
                }
            };
            match update {
                Some(Ok(Update::Prefill { done, total })) => self.report(Stage::Prompt { done, total }),
                Some(Ok(Update::Text { text, .. } | Update::Reasoning { text })) => {
                    let n_new = tokenizer.as_ref().map_or(1, |it| it.encode_text(&text).len());
                    self.n_tokens.fetch_add(n_new, Ordering::Relaxed);
                    self.report(Stage::Answer { attempt });
                }
                Some(Ok(Update::Done(outcome))) => {
                    let Some(finish) = outcome.finishes.into_iter().next() else {
                        return Err(Refused::Other(Fault::NoAnswer));
                    };
                    evidence.count(&finish);
                    evidence.is_retried |= attempt > 1;
                    return Ok(Answer::of(finish));
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Refused::Other(Fault::NoAnswer)),
            }
        }
    }

    fn report(&self, stage: Stage) {
        let n_tokens = self.n_tokens.load(Ordering::Relaxed);
        (self.report)(Progress { item: self.item, n_tokens, stage });
    }

    /// The model, as soon as it is ready.
    pub(crate) async fn model(&self) -> Result<Model, Fault> {
        let mut is_cancelled = self.is_cancelled.clone();
        tokio::select! {
            model = self.assistant.model().ready() => Ok(model?),
            _ = is_cancelled.wait_for(|it| *it) => Err(Fault::Cancelled),
        }
    }

    /// The number of tokens in the prompt of a conversation.
    pub(crate) async fn n_prompt_tokens(&self, messages: &[Message]) -> Result<usize, Fault> {
        let template_variables = TemplateVariables::new();
        let request =
            Tokenize::Conversation { messages: messages.to_vec(), tools: Vec::new(), template_variables };
        Ok(self.assistant.tokenize(request).await?.len())
    }

    /// The number of tokens in a text.
    pub(crate) async fn n_tokens(&self, text: &str) -> Result<usize, Fault> {
        Ok(self.assistant.tokenize(Tokenize::Text(text.to_owned())).await?.len())
    }
}

/// Why there is no answer.
enum Refused {
    /// The engine cannot follow the format.
    Format(String),
    Other(Fault),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Text(TextError::BadFormat { reason }) => Self::Format(reason),
            Error::Text(TextError::UnsupportedFormat { what }) => {
                Self::Format(format!("{what} cannot be enforced"))
            }
            Error::Job(JobError::FormatFailed(failed)) => Self::Format(failed.to_string()),
            other => Self::Other(other.into()),
        }
    }
}
