//! Telegraph, a dialect made up for tests: its names, its errors and its rules all differ from the native protocol's.
//!
//! A client starts with `hail`. `draft` continues a document, called a sheet, and `talk` a conversation; their text is
//! sent in `piece`s. `halt` cancels a request. If a `draft` comes without the sheet's text, the client is asked for it
//! with `read`.

use std::sync::Arc;

use runabout_assist::{
    Completion, Conversation, Error, FinishReason, Form, Generation, JobError, Message, Priority, Run, State,
    TemplateVariables, ToolUse, Update,
};
use runabout_rpc::{
    CancelledBy, ErrorObject, ErrorObjectOwned, FirstMessage, Handle, Notifications, Params, Protocol,
    RequestContext, RequestId, RpcModule, Strictness, params,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::Client;
use crate::dialects::following::Following;
use crate::dialects::{Dialect, Opened};

/// The test dialect, see the module.
pub(super) struct Telegraph;

type Answer = Result<Value, ErrorObjectOwned>;

impl Dialect for Telegraph {
    fn name(&self) -> &'static str {
        "telegraph"
    }

    fn claims(&self, first: &FirstMessage<'_>) -> bool {
        first.method == "hail"
    }

    fn open(&self, client: Client, connection: Handle) -> Opened {
        let announcements = Box::pin(announce(client.clone(), connection));
        let mut methods = RpcModule::new(client);
        methods.register_method("hail", |_, _, _| "telegraph").expect("it is new");
        let draft = methods.register_async_method("draft", |params, client, extensions| {
            draft(params, client, RequestContext::of(&extensions))
        });
        draft.expect("it is new");
        let talk = methods.register_async_method("talk", |params, client, extensions| {
            talk(params, client, RequestContext::of(&extensions))
        });
        talk.expect("it is new");
        let protocol = Protocol {
            methods: methods.into(),
            notifications: Notifications::new().on("halt", halt),
            strictness: Strictness { takes_batches: false, requires_version: false },
        };
        Opened { protocol, announcements }
    }
}

/// Notifies the client when the model is ready or cannot be loaded, and when the engine dies.
async fn announce(client: Client, connection: Handle) {
    let model = client.assistant.model();
    let told = match model.ready().await {
        Ok(model) => connection.notify("up", &json!({"model": model.facts.name})).await,
        Err(error) => connection.notify("down", &json!({"why": error.to_string()})).await,
    };
    let mut state = model.engine().watch_state();
    if told.is_ok()
        && state.wait_for(|it| matches!(it, State::Failed(JobError::EngineDied { .. }))).await.is_ok()
    {
        // Fails when the connection has ended.
        let _ = connection.notify("down", &json!({"why": "the line is dead"})).await;
    }
}

async fn draft(params: Params<'static>, client: Arc<Client>, request: RequestContext) -> Answer {
    #[derive(Deserialize)]
    struct Draft {
        sheet: String,
        written: Option<String>,
        most: u32,
    }
    let Draft { sheet, written, most } = params::parse_lenient(&params)?;
    let prefix = match written {
        Some(written) => written,
        None => read(&sheet, &request).await?,
    };
    let run = client.assistant.complete(Completion {
        prefix,
        form: Form::Raw,
        path: None,
        document: Some(sheet),
        n_choices: 1,
        generation: Generation::of(most, Priority::Interactive),
        min_confidence: 0.0,
        needs_tokens: false,
    });
    send(run.map_err(in_own_words)?, &request).await
}

/// Asks the client for the text of the sheet.
async fn read(sheet: &str, request: &RequestContext) -> Result<String, ErrorObjectOwned> {
    let question = json!({"sheet": sheet});
    tokio::select! {
        text = request.connection().request("read", &question) => {
            text.map_err(|it| error(2, format!("`{sheet}` was not read: {it}")))
        }
        // The client may never answer.
        _ = request.cancelled() => Err(error(3, "halted before the sheet was read")),
    }
}

async fn talk(params: Params<'static>, client: Arc<Client>, request: RequestContext) -> Answer {
    #[derive(Deserialize)]
    struct Talk {
        said: Vec<String>,
        most: u32,
    }
    let Talk { said, most } = params::parse_lenient(&params)?;
    let run = client.assistant.chat(Conversation {
        messages: said.into_iter().map(Message::user).collect(),
        tools: ToolUse::default(),
        template_variables: TemplateVariables::new(),
        generation: Generation::of(most, Priority::Interactive),
    });
    send(run.map_err(in_own_words)?, &request).await
}

/// Sends the text of a run as it is generated, then returns the answer.
async fn send(run: Run, request: &RequestContext) -> Answer {
    let mut run = Following::new(run, request);
    loop {
        match run.next().await.map_err(in_own_words)? {
            Update::Prefill { .. } | Update::Reasoning { .. } => {}
            Update::Text { text, .. } => {
                // Fails when the client is gone, which cancels the request.
                let _ = request.notify("piece", &json!({"of": request.id(), "text": text})).await;
            }
            Update::Done(mut outcome) => {
                let finish = outcome.finishes.remove(0);
                return match finish.reason {
                    FinishReason::Cancelled => Err(error(3, format!("halted behind `{}`", finish.text))),
                    FinishReason::Superseded => Err(error(4, "a newer draft of the sheet took over")),
                    _ => Ok(json!({"text": finish.text})),
                };
            }
        }
    }
}

/// Cancels the request that the params name. That request is still answered.
fn halt(params: &Params<'_>, connection: &Handle) {
    #[derive(Deserialize)]
    struct Halt {
        what: Box<RawValue>,
    }
    let id = params::parse_lenient::<Halt>(params).ok().and_then(|it| RequestId::from_raw(&it.what));
    if let Some(id) = id {
        connection.in_flight().cancel(&id, CancelledBy::Program);
    }
}

fn in_own_words(refusal: Error) -> ErrorObjectOwned {
    match refusal {
        Error::OutOfRange { max, got, .. } => error(1, format!("{got} is asked, {max} is the most")),
        Error::NoMessages => error(1, "nothing was said"),
        other => error(5, other.to_string()),
    }
}

fn error(code: i32, words: impl Into<String>) -> ErrorObjectOwned {
    ErrorObject::owned(code, words, None::<()>)
}
