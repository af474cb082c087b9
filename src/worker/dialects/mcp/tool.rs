//! What every tool has: [`Tool`], the [`Call`] that it gets, the [`Report`] that it returns, and its [`Entry`] in the list.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use runabout_assist::Assistant;
use runabout_rpc::{Params, RequestContext, params};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::failure::Failure;
use super::progress::Progress;
use super::schema;
use super::session::Session;
use crate::client::Client;

/// The longest text in a result. Agents cut off what is much longer, without saying so.
const MAX_TEXT_BYTES: usize = 60_000;

/// A tool of the server.
pub(super) trait Tool {
    const NAME: &'static str;
    const TITLE: &'static str;
    /// What it does and when to use it, for the agent's model.
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    type Arguments: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema;

    fn call(
        call: &Call,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Report<Self::Output>, Failure>> + Send;
}

/// What a tool does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    ReadsOnly,
    /// It can change files under the roots.
    EditsFiles,
}

/// A call of a tool.
pub(super) struct Call {
    pub(super) session: Arc<Session>,
    pub(super) request: RequestContext,
    pub(super) progress: Progress,
    pub(super) started: Instant,
    /// Of a call that is a task: whether the client gave it up. The request is answered then.
    pub(super) task: Option<watch::Receiver<bool>>,
}

/// The successful result of a tool.
pub(super) struct Report<O> {
    pub(super) output: O,
    /// The same in short, for clients that do not read the output: each text is a block.
    pub(super) texts: Vec<String>,
}

/// What a call came to, as a result of `tools/call`.
pub(super) type Called = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

/// A tool in the list.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) definition: fn() -> Value,
    pub(super) call: fn(Call, Params<'static>) -> Called,
    /// Whether a call may take long, so that it becomes a task if the client knows tasks.
    pub(super) is_long: bool,
}

impl Call {
    /// Resolves when the client does not want the call any more.
    pub(super) async fn given_up(&self) {
        match &self.task {
            None => {
                self.request.cancelled().await;
            }
            // Fails only if the task is forgotten, and nobody can ask for it.
            Some(task) => {
                let _ = task.clone().wait_for(|it| *it).await;
            }
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.task.as_ref().map_or_else(|| self.request.cancelled_by().is_some(), |it| *it.borrow())
    }

    pub(super) fn client(&self) -> &Client {
        &self.session.client
    }

    /// The model, which is loaded if it was not needed until now.
    pub(super) fn assistant(&self) -> &Assistant {
        self.client().app.want_model();
        &self.client().assistant
    }
}

impl Entry {
    pub(super) const fn of<T: Tool>() -> Self {
        Self { name: T::NAME, definition: definition::<T>, call: call::<T>, is_long: false }
    }

    /// A tool whose calls may take long.
    pub(super) const fn of_long<T: Tool>() -> Self {
        Self { is_long: true, ..Self::of::<T>() }
    }
}

fn definition<T: Tool>() -> Value {
    let annotations = match T::EFFECT {
        Effect::ReadsOnly => json!({"title": T::TITLE, "readOnlyHint": true, "openWorldHint": false}),
        Effect::EditsFiles => json!({
            "title": T::TITLE,
            "readOnlyHint": false,
            "destructiveHint": true,
            "idempotentHint": false,
            "openWorldHint": false,
        }),
    };
    json!({
        "name": T::NAME,
        "title": T::TITLE,
        "description": T::DESCRIPTION,
        "inputSchema": schema::of_arguments::<T::Arguments>(),
        "outputSchema": schema::of_output::<T::Output>(),
        "annotations": annotations,
    })
}

fn call<T: Tool>(call: Call, arguments: Params<'static>) -> Called {
    Box::pin(async move {
        let read: T::Arguments = params::parse(&arguments)?;
        drop(arguments);
        let Report { output, texts } = T::call(&call, read).await?;
        let output = serde_json::to_value(output)
            .map_err(|error| Failure::new(format!("the result cannot be written: {error}")))?;
        let content: Vec<Value> = texts
            .into_iter()
            .filter(|it| !it.is_empty())
            .map(|it| json!({"type": "text", "text": it}))
            .collect();
        Ok(json!({"content": content, "structuredContent": output, "isError": false}))
    })
}

/// The text as far as a result may have it, and whether it was cut.
pub(super) fn capped(mut text: String) -> (String, bool) {
    if text.len() <= MAX_TEXT_BYTES {
        return (text, false);
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    (text, true)
}
