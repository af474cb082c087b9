//! `runabout generate` and `runabout chat`: print one text, then the same figures as mlx_lm.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use runabout_assist::{
    Assistant, Completion, Conversation, Finish, Form, Generation, HeldTexts, Limits, LoadStage, Message,
    ModelHandle, Priority, Run, Sampling, State, TemplateVariables, ToolUse, Update,
};
use runabout_engine::EngineOptions;

use crate::cli::{ChatArgs, GenerateArgs, ModelArgs, SamplingArgs};
use crate::loading;
use crate::progress_line::ProgressLine;

/// The line that mlx_lm prints above its figures. Scripts search for it to find the figures.
const RULE: &str = "==========";

pub(crate) async fn generate(args: GenerateArgs) -> Result<()> {
    let assistant = start(&args.model)?;
    let run = assistant.complete(Completion {
        prefix: text_or_stdin(args.prompt)?,
        form: Form::Raw,
        path: None,
        document: None,
        n_choices: 1,
        generation: generation(&args.sampling),
        min_confidence: 0.0,
        needs_tokens: false,
    })?;
    show(&assistant, run).await
}

pub(crate) async fn chat(args: ChatArgs) -> Result<()> {
    let assistant = start(&args.model)?;
    let mut messages = Vec::new();
    messages.extend(args.system.map(Message::system));
    messages.push(Message::user(text_or_stdin(args.message)?));
    let run = assistant.chat(Conversation {
        messages,
        tools: ToolUse::default(),
        template_variables: TemplateVariables::new(),
        generation: generation(&args.sampling),
    })?;
    show(&assistant, run).await
}

fn start(args: &ModelArgs) -> Result<Assistant> {
    let options = EngineOptions { n_draft_tokens: args.n_draft_tokens(), ..EngineOptions::default() };
    let model = loading::start(args, options, Arc::new(OnceLock::from(())))?;
    // The person at the terminal is the only client, and may ask for any amount of text.
    let limits = Limits { max_tokens: u32::MAX, ..Limits::default() };
    Ok(Assistant::new(model, Arc::new(HeldTexts::new(u64::MAX)), limits))
}

fn generation(args: &SamplingArgs) -> Generation {
    Generation {
        sampling: Sampling {
            temperature: args.temperature,
            top_p: args.top_p,
            seed: args.seed,
            ..Sampling::default()
        },
        ..Generation::of(args.max_tokens, Priority::Interactive)
    }
}

fn text_or_stdin(text: String) -> Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    Ok(text)
}

/// Prints the text as it is generated, then the figures. Ctrl-C ends the text early.
async fn show(assistant: &Assistant, mut run: Run) -> Result<()> {
    show_loading(assistant.model()).await;
    let mut stdout = std::io::stdout();
    let mut is_reasoning = false;
    let outcome = loop {
        tokio::select! {
            update = run.next() => match update.context("the engine ended without a result")?? {
                Update::Prefill { .. } => {}
                Update::Reasoning { text } => {
                    is_reasoning = true;
                    stdout.write_all(text.as_bytes())?;
                    stdout.flush()?;
                }
                Update::Text { text, .. } => {
                    if std::mem::take(&mut is_reasoning) {
                        stdout.write_all(b"\n\n")?;
                    }
                    stdout.write_all(text.as_bytes())?;
                    stdout.flush()?;
                }
                Update::Done(outcome) => break outcome,
            },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                run.cancel();
            }
        }
    };
    let peak_bytes = assistant.model().engine().status().memory.peak_bytes;
    stdout.write_all(figures(&outcome.finishes[0], peak_bytes).as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Shows the progress of loading until the model is ready or has failed.
async fn show_loading(model: &ModelHandle) {
    let mut state = model.engine().watch_state();
    let mut line = ProgressLine::default();
    loop {
        let State::Loading(progress) = *state.borrow_and_update() else { return };
        let stage = match progress.stage {
            LoadStage::Download => "downloading",
            LoadStage::Load => "loading",
        };
        line.show(stage, progress.done, progress.total);
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// The three lines of figures in the format of mlx_lm.
fn figures(finish: &Finish, peak_bytes: u64) -> String {
    let rate = |n_tokens: usize, time: Duration| match time.as_secs_f64() {
        seconds if seconds > 0.0 => n_tokens as f64 / seconds,
        _ => 0.0,
    };
    let usage = finish.usage;
    // Like mlx_lm, leave the first token out of the second rate: its time belongs to the prompt.
    let prompt_rate = rate(usage.prompt_tokens, finish.timing.prefill);
    let generation_rate = rate(usage.completion_tokens.saturating_sub(1), finish.timing.decode);
    format!(
        "\n{RULE}\nPrompt: {} tokens, {prompt_rate:.3} tokens-per-sec\nGeneration: {} tokens, {generation_rate:.3} tokens-per-sec\nPeak memory: {:.3} GB\n",
        usage.prompt_tokens,
        usage.completion_tokens,
        peak_bytes as f64 / 1e9,
    )
}
