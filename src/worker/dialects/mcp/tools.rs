//! `tools/list` and `tools/call`, and the list of all tools.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use runabout_rpc::{ErrorObject, ErrorObjectOwned, Params, RequestContext, params};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::complete_code::CompleteCode;
use super::edit_files::EditFiles;
use super::era::Meta;
use super::failure::Failure;
use super::generate::Generate;
use super::map_files::MapFiles;
use super::progress::Progress;
use super::review_diff::ReviewDiff;
use super::session::Session;
use super::status::Status;
use super::tool::{Call, Entry};
use super::write_tests::WriteTests;
use crate::calls::CountedCall;

const INVALID_PARAMS: i32 = -32602;

/// All tools, in the order of the list, which never changes while the process runs.
const TOOLS: &[Entry] = &[
    Entry::of::<CompleteCode>(),
    Entry::of::<Generate>(),
    Entry::of_long::<EditFiles>(),
    Entry::of_long::<MapFiles>(),
    Entry::of_long::<ReviewDiff>(),
    Entry::of_long::<WriteTests>(),
    Entry::of::<Status>(),
];

static DEFINITIONS: LazyLock<Value> = LazyLock::new(|| TOOLS.iter().map(|it| (it.definition)()).collect());

pub(super) fn list(params: &Params<'_>) -> Result<Value, ErrorObjectOwned> {
    #[derive(Deserialize)]
    struct Page {
        cursor: Option<String>,
    }
    let era = Meta::of(params)?.era;
    if params::parse_lenient::<Page>(params)?.cursor.is_some() {
        return Err(params::invalid("cursor", "`cursor` must be absent: the list has one page"));
    }
    Ok(era.lasting_result(json!({"tools": *DEFINITIONS})))
}

pub(super) async fn call(
    params: Params<'static>,
    session: Arc<Session>,
    request: RequestContext,
) -> Result<Value, ErrorObjectOwned> {
    #[derive(Deserialize)]
    struct CallParams {
        name: String,
        arguments: Option<Box<RawValue>>,
    }
    let Meta { era, progress_token, takes_tasks } = Meta::of(&params)?;
    let CallParams { name, arguments } = params::parse_lenient(&params)?;
    drop(params);
    let tool = TOOLS.iter().find(|it| it.name == name).ok_or_else(|| unknown(&name))?;
    let arguments = arguments.map_or_else(|| "{}".to_owned(), |it| it.get().to_owned());
    if !arguments.starts_with('{') {
        return Err(params::invalid("arguments", "`arguments` must be an object"));
    }
    let arguments = Params::new(Some(&arguments)).into_owned();
    let progress = Progress::default();
    let started = Instant::now();
    let call = Call {
        session: Arc::clone(&session),
        request: request.clone(),
        progress: progress.clone(),
        started,
        task: None,
    };
    let work = move |task| (tool.call)(Call { task, ..call }, arguments);
    if takes_tasks && tool.is_long {
        let (id, given_up) = session.tasks.begin(progress);
        let told = session.tasks.told(&id, &session.client).unwrap_or_default();
        tokio::spawn(async move {
            let called = work(Some(given_up)).await;
            count(tool.name, &called, started.elapsed(), &session).await;
            session.tasks.end(&id, result(tool.name, called));
        });
        return Ok(era.task(told));
    }
    let called = progress.reported(&session.client, &request, progress_token.as_deref(), work(None)).await;
    count(tool.name, &called, started.elapsed(), &session).await;
    Ok(era.result(result(tool.name, called)))
}

/// What a call came to. A failure is a result too.
fn result(tool: &str, called: Result<Value, Failure>) -> Value {
    called.unwrap_or_else(|Failure(message)| {
        tracing::debug!(tool, message, "a tool failed");
        json!({"content": [{"type": "text", "text": message}], "isError": true})
    })
}

/// Counts the call for `runabout stats`, if it used the model or failed.
async fn count(tool: &'static str, called: &Result<Value, Failure>, took: Duration, session: &Session) {
    let Some(log) = session.client.front.call_log() else { return };
    let evidence = called.as_ref().map(|it| &it["structuredContent"]["evidence"]);
    if evidence.is_ok_and(Value::is_null) {
        return;
    }
    let number = |name: &str| evidence.ok().and_then(|it| it[name].as_u64()).unwrap_or(0);
    let call = CountedCall {
        tool: tool.into(),
        failed: called.is_err(),
        prompt_tokens: number("prompt_tokens"),
        completion_tokens: number("completion_tokens"),
        seconds: took.as_secs_f64(),
    };
    // Fails only if the runtime shuts down.
    let _ = tokio::task::spawn_blocking(move || log.append(&call)).await;
}

fn unknown(name: &str) -> ErrorObjectOwned {
    const MAX_CHARS: usize = 60;
    let name: String = name.chars().take(MAX_CHARS).collect();
    let names: Vec<_> = TOOLS.iter().map(|it| it.name).collect();
    let message = format!("unknown tool `{name}`\nhint: there are {}", names.join(", "));
    ErrorObject::owned(INVALID_PARAMS, message, Some(json!({"field": "name"})))
}
