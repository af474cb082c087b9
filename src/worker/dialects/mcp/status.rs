//! The tool `status`: what the server runs on and how busy it is. It never loads the model.

use runabout_assist::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

use super::evidence::rounded;
use super::failure::Failure;
use super::tool::{Call, Effect, Report, Tool};
use crate::loading;

pub(super) enum Status {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    state: ModelState,
    /// Why there is no model.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    model: String,
    /// The most tokens of a prompt and its answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u64>,
    /// Whether the model answers messages, as `generate` and the tools for files need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    can_chat: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Calls that run, and calls that wait.
    running: u64,
    waiting: u64,
    memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_tokens_per_second: Option<f64>,
    /// The clients that share the model, this one included.
    clients: u64,
    /// The folders that the tools may use.
    roots: Vec<String>,
    /// Where models are kept on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    models_folder: Option<String>,
    version: String,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ModelState {
    NotLoaded,
    Loading,
    Ready,
    Failed,
}

impl Tool for Status {
    const NAME: &'static str = "status";
    const TITLE: &'static str = "State of the local model";
    const DESCRIPTION: &'static str = "Which local model there is, whether it is loaded, how fast it is, and which folders its tools may use. Answers at once.";
    const EFFECT: Effect = Effect::ReadsOnly;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, Arguments {}: Arguments) -> Result<Report<Output>, Failure> {
        let app = &call.client().app;
        let engine = app.model().engine();
        let (state, status) = (engine.state(), engine.status());
        let mut output = Output {
            state: match &state {
                _ if !app.model_is_wanted() => ModelState::NotLoaded,
                State::Loading(_) => ModelState::Loading,
                State::Ready(_) => ModelState::Ready,
                State::Failed(_) => ModelState::Failed,
            },
            error: None,
            model: app.model_name(),
            context_length: None,
            can_chat: app.model().facts().map(|it| it.tokenizer.has_chat_template()),
            device: None,
            running: status.n_running as u64,
            waiting: status.n_waiting as u64,
            memory_bytes: status.memory.active_bytes,
            memory_limit_bytes: app.limits.memory_bytes,
            prompt_tokens_per_second: status.speed.prefill_tokens_per_second.map(rounded),
            generation_tokens_per_second: status.speed.decode_tokens_per_second.map(rounded),
            clients: app.presence.all().len() as u64,
            roots: call.session.roots.folders().iter().map(|it| it.display().to_string()).collect(),
            models_folder: loading::store_folder().map(|it| it.display().to_string()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut text = format!("{}: {}", output.model, output.state.sentence());
        match state {
            State::Ready(description) => {
                output.context_length = Some(description.context_length as u64);
                output.device = Some(description.device);
            }
            State::Failed(error) => {
                let _ = write!(text, ": {error}");
                output.error = Some(error.to_string());
            }
            State::Loading(_) => {}
        }
        if output.roots.is_empty() {
            text.push_str(". No folder is open to the tools: start the server with `--root DIR`.");
        } else {
            let _ = write!(text, ". Folders: {}", output.roots.join(", "));
        }
        Ok(Report { output, texts: vec![text] })
    }
}

impl ModelState {
    fn sentence(self) -> &'static str {
        match self {
            Self::NotLoaded => "not loaded yet; the first call that needs it loads it",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Failed => "could not be loaded",
        }
    }
}
