//! `session/prompt`: answers what a person says in a session.

use std::fmt::Write;
use std::sync::Arc;

use agent_client_protocol_schema::v1::{
    PromptResponse, SessionInfoUpdate, SessionUpdate, StopReason, UsageUpdate,
};
use runabout_assist::{
    Conversation, Error, FinishReason, Generation, JobError, Model, Priority, TemplateVariables, ToolUse,
};
use runabout_rpc::{ErrorObjectOwned, Params, RequestContext};
use serde_json::Value;

use super::agent::Agent;
use super::block::{self, Block};
use super::commands::{self, Command};
use super::edit::{self, Done};
use super::fitting::{Fitted, fit};
use super::record::{Record, Turn};
use super::reply::{Reply, follow};
use super::session::Session;
use super::updates::{Updates, id, message};
use super::{errors, files, incoming, loading, wording};

/// The longest answer.
const MAX_TOKENS: u32 = 4096;

/// A turn that ended, and why.
struct Ended {
    /// `None` if it leaves no trace.
    turn: Option<Turn>,
    reason: StopReason,
}

/// Everything that the model is asked with.
struct Question {
    model: Model,
    prompt: String,
    steps: Vec<Value>,
    fitted: Fitted,
}

pub(super) async fn answer(
    params: Params<'static>,
    agent: Arc<Agent>,
    request: RequestContext,
) -> Result<PromptResponse, ErrorObjectOwned> {
    let incoming::Prompt { session_id, prompt: said } = incoming::read(&params)?;
    let session = agent.session(&session_id)?;
    let blocks = block::read_all(&said)?;
    let _answering = session.begin(request.id()).ok_or_else(errors::busy)?;
    let updates = Updates::new(request, &session.id, agent.agreement());
    let Ended { turn, reason } = match commands::of(&blocks, &session.cwd()) {
        Some(Command::Edit { instruction }) => {
            edit(&agent, &session, &blocks, &instruction, &updates).await?
        }
        Some(Command::Clear) => say(&clear(&session), &updates).await,
        Some(Command::Status) => say(&status(&agent, &session), &updates).await,
        None => converse(&agent, &session, &blocks, &updates).await?,
    };
    if let Some(turn) = turn {
        keep(&agent, &session, Turn { said, ..turn }, &updates).await;
    }
    Ok(PromptResponse::new(reason))
}

/// Has the model answer.
async fn converse(
    agent: &Agent,
    session: &Session,
    blocks: &[Block],
    updates: &Updates,
) -> Result<Ended, ErrorObjectOwned> {
    let cancelled = Ended { turn: Some(Turn::default()), reason: StopReason::Cancelled };
    let prepared = tokio::select! {
        biased;
        _ = updates.request().cancelled() => return Ok(cancelled),
        prepared = prepare(agent, session, blocks, updates) => prepared,
    };
    let replied = match prepared {
        Ok(question) => ask(agent, session, question, updates).await,
        Err(error) => Err(error),
    };
    match replied {
        Ok(ended) => Ok(ended),
        Err(Error::Job(JobError::PromptTooLong { n_tokens, limit })) => {
            let text = format!(
                "This message has {n_tokens} tokens with its files, and the model takes {limit} at most. It was not answered, and is left out of the conversation."
            );
            updates.send(SessionUpdate::AgentMessageChunk(message(&text, &id()))).await;
            Ok(Ended { turn: None, reason: StopReason::Refusal })
        }
        Err(error) => Err(errors::of_request(&error)),
    }
}

async fn prepare(
    agent: &Agent,
    session: &Session,
    blocks: &[Block],
    updates: &Updates,
) -> Result<Question, Error> {
    let app = &agent.client.app;
    let (files, steps) = files::read_links(agent, session, blocks, updates).await;
    let model = loading::wait(app.model(), &agent.model_name(), updates).await?;
    let record = session.record();
    let prompt = wording::prompt(blocks, &files, &record.cwd);
    let fitted = fit(&agent.client.assistant, &model, &record, &prompt).await?;
    let n_gone = fitted.n_forgotten.saturating_sub(record.n_forgotten);
    if n_gone > 0 {
        session.forget(fitted.n_forgotten);
        let what = if n_gone == 1 { "turn does".to_owned() } else { format!("{n_gone} turns do") };
        let n_tokens = model.description.context_length;
        updates.remark(&format!("The oldest {what} not fit into the model's {n_tokens} tokens any more: it does not see them from here on.")).await;
    }
    Ok(Question { model, prompt, steps, fitted })
}

async fn ask(
    agent: &Agent,
    session: &Session,
    question: Question,
    updates: &Updates,
) -> Result<Ended, Error> {
    let Question { model, prompt, steps, fitted } = question;
    let run = agent.client.assistant.chat(Conversation {
        messages: fitted.messages,
        tools: ToolUse::default(),
        template_variables: TemplateVariables::new(),
        generation: Generation::of(MAX_TOKENS, Priority::Interactive),
    })?;
    let Reply { thought, answer, reason, usage } = follow(run, updates).await?;
    let used = (usage.prompt_tokens + usage.completion_tokens) as u64;
    session.set_used(used);
    updates
        .send(SessionUpdate::UsageUpdate(UsageUpdate::new(used, model.description.context_length as u64)))
        .await;
    let turn = Turn { prompt: Some(prompt), steps, thought, answer, ..Turn::default() };
    Ok(Ended { turn: Some(turn), reason: stop_reason(reason) })
}

fn stop_reason(reason: FinishReason) -> StopReason {
    match reason {
        FinishReason::Stop { .. }
        | FinishReason::Rule { .. }
        | FinishReason::Eos
        | FinishReason::LowConfidence => StopReason::EndTurn,
        FinishReason::Length | FinishReason::Budget => StopReason::MaxTokens,
        FinishReason::Cancelled | FinishReason::Superseded => StopReason::Cancelled,
    }
}

/// Has files changed.
async fn edit(
    agent: &Agent,
    session: &Session,
    blocks: &[Block],
    instruction: &str,
    updates: &Updates,
) -> Result<Ended, ErrorObjectOwned> {
    let app = &agent.client.app;
    let name = agent.model_name();
    tokio::select! {
        biased;
        _ = updates.request().cancelled() => {
            return Ok(Ended { turn: Some(Turn::default()), reason: StopReason::Cancelled });
        }
        loaded = loading::wait(app.model(), &name, updates) => {
            loaded.map_err(|error| errors::of_request(&error.into()))?;
        }
    }
    let Done { steps, summary } = edit::edit(agent, session, blocks, instruction, updates).await;
    let Ended { turn, reason } = say(&summary, updates).await;
    let is_cancelled = updates.request().cancelled_by().is_some();
    let prompt = Some(wording::words(blocks, &session.cwd()));
    Ok(Ended {
        turn: turn.map(|it| Turn { prompt, steps, ..it }),
        reason: if is_cancelled { StopReason::Cancelled } else { reason },
    })
}

/// Says something that needs no model.
async fn say(answer: &str, updates: &Updates) -> Ended {
    if !answer.is_empty() {
        updates.send(SessionUpdate::AgentMessageChunk(message(answer, &id()))).await;
    }
    let turn = Turn { answer: answer.to_owned(), ..Turn::default() };
    Ended { turn: Some(turn), reason: StopReason::EndTurn }
}

fn clear(session: &Session) -> String {
    // The turn of the command itself comes after what is forgotten, and the model does not see it anyway.
    session.forget(session.record().turns.len());
    session.set_used(0);
    "The model does not see what was said before any more.".to_owned()
}

fn status(agent: &Agent, session: &Session) -> String {
    use runabout_assist::State;
    let app = &agent.client.app;
    let mut text = format!("The model is `{}`", agent.model_name());
    let written = match app.model().engine().state() {
        State::Ready(it) => write!(
            text,
            " on {}. Its context has {} tokens, of which this conversation uses {}.",
            it.device,
            it.context_length,
            session.used()
        ),
        State::Loading(_) => write!(text, ", which is being loaded."),
        State::Failed(error) => write!(text, ". It cannot be used: {error}"),
    };
    written.expect("a string takes any text");
    text
}

/// Adds a turn to the conversation and to the disk, and tells the client what it is called.
async fn keep(agent: &Agent, session: &Session, turn: Turn, updates: &Updates) {
    let record = session.add(turn);
    let info = SessionInfoUpdate::new().title(record.title.clone()).updated_at(record.updated_at.clone());
    updates.send(SessionUpdate::SessionInfoUpdate(info)).await;
    if !session.is_deleted() {
        save(agent, record).await;
    }
}

async fn save(agent: &Agent, record: Record) {
    let archive = Arc::clone(&agent.archive);
    let saved = tokio::task::spawn_blocking(move || archive.save(&record)).await;
    if let Err(error) = saved.map_err(std::io::Error::from).flatten() {
        tracing::warn!(%error, "the conversation is not kept on disk");
    }
}
