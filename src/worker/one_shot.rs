//! `runabout generate` and `runabout chat`: one text to the terminal, then the figures that mlx_lm prints.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use runabout_engine::{
    CancelReason, EngineOptions, Event, Finish, Job, LoadStage, Priority, State, TextStart,
};
use runabout_text::{ChatRequest, Message, SamplingParams};
use tokio::sync::mpsc::unbounded_channel;

use crate::cli::{ChatArgs, GenerateArgs, ModelArgs, SamplingArgs};
use crate::host::{Host, Model};

/// A line of mlx_lm's output, so that the figures below it are found by the same scripts.
const RULE: &str = "==========";

pub(crate) async fn generate(args: GenerateArgs) -> Result<()> {
    let host = Host::start(&args.model, options(&args.model))?;
    let prompt = text_or_stdin(args.prompt)?;
    let model = loaded(&host).await?;
    let tokens = model.facts.tokenizer.encode_prompt(&prompt);
    if tokens.is_empty() {
        bail!("the prompt must not be empty");
    }
    run(&host, &model, tokens, model.facts.defaults.for_complete(), &args.sampling, TextStart::Continuing)
        .await
}

pub(crate) async fn chat(args: ChatArgs) -> Result<()> {
    let host = Host::start(&args.model, options(&args.model))?;
    let message = text_or_stdin(args.message)?;
    let model = loaded(&host).await?;
    let mut messages = Vec::new();
    messages.extend(args.system.map(Message::system));
    messages.push(Message::user(message));
    let tokens = model.facts.tokenizer.encode_chat(&ChatRequest {
        messages: &messages,
        tools: &[],
        kwargs: &serde_json::Map::new(),
        add_generation_prompt: true,
    })?;
    run(&host, &model, tokens, model.facts.defaults.for_chat(), &args.sampling, TextStart::Fresh).await
}

fn options(args: &ModelArgs) -> EngineOptions {
    EngineOptions { n_draft_tokens: args.n_draft_tokens(), ..EngineOptions::default() }
}

fn text_or_stdin(text: String) -> Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    Ok(text)
}

/// Waits for the model and tells a person who waits long what is going on.
async fn loaded(host: &Host) -> Result<Model> {
    let mut state = host.engine.watch_state();
    let mut line = crate::progress_line::ProgressLine::default();
    loop {
        match &*state.borrow_and_update() {
            State::Loading(progress) => {
                let stage = match progress.stage {
                    LoadStage::Download => "downloading",
                    LoadStage::Load => "loading",
                };
                line.show(stage, progress.done, progress.total);
            }
            _ => break,
        }
        if state.changed().await.is_err() {
            break;
        }
    }
    line.clear();
    Ok(host.model().await?)
}

async fn run(
    host: &Host,
    model: &Model,
    prompt: Vec<u32>,
    defaults: SamplingParams,
    args: &SamplingArgs,
    text_start: TextStart,
) -> Result<()> {
    let params = SamplingParams {
        temperature: args.temperature.unwrap_or(defaults.temperature),
        top_p: args.top_p.unwrap_or(defaults.top_p),
        seed: args.seed,
        ..defaults
    };
    params.validate(model.description.vocabulary_size)?;
    let (events, mut happened) = unbounded_channel();
    let job = host.engine.submit(Job {
        prompt,
        params,
        end_tokens: model.facts.tokenizer.end_tokens().to_vec(),
        stop: Vec::new(),
        rules: None,
        healing: None,
        text_start,
        line_end: None,
        max_tokens: args.max_tokens,
        time_budget: None,
        priority: Priority::Interactive,
        top_logprobs: None,
        speculate: true,
        document: None,
        supersedes: None,
        events,
    });
    let mut stdout = std::io::stdout();
    let finish = loop {
        tokio::select! {
            event = happened.recv() => match event.context("the engine ended without a word")? {
                Event::Prefill { .. } => {}
                Event::Delta { text } => {
                    stdout.write_all(text.as_bytes())?;
                    stdout.flush()?;
                }
                Event::Finished(finish) => break finish,
                Event::Failed(error) => return Err(error.into()),
            },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                host.engine.cancel(job, CancelReason::Cancelled);
            }
        }
    };
    stdout.write_all(figures(&finish, host.engine.status().memory.peak_bytes).as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// The three lines of mlx_lm, in its words.
fn figures(finish: &Finish, peak_bytes: u64) -> String {
    let rate = |n_tokens: usize, time: Duration| match time.as_secs_f64() {
        seconds if seconds > 0.0 => n_tokens as f64 / seconds,
        _ => 0.0,
    };
    let usage = finish.usage;
    // Of mlx_lm's two rates the second leaves out the first token, which belongs to the prompt's time.
    let prompt_rate = rate(usage.prompt_tokens, finish.timing.prefill);
    let generation_rate = rate(usage.completion_tokens.saturating_sub(1), finish.timing.decode);
    format!(
        "\n{RULE}\nPrompt: {} tokens, {prompt_rate:.3} tokens-per-sec\nGeneration: {} tokens, {generation_rate:.3} tokens-per-sec\nPeak memory: {:.3} GB\n",
        usage.prompt_tokens,
        usage.completion_tokens,
        peak_bytes as f64 / 1e9,
    )
}
