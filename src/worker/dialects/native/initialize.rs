//! `initialize`: the client introduces itself, the worker answers with its capabilities, limits and model.

use runabout_api::methods::Initialize;
use runabout_api::{
    Capabilities, InitializeParams, InitializeResult, Limits, PROTOCOL_VERSION, Sender, method_names,
    notification_names,
};

use super::method::{Answer, Call, MethodResult};
use super::{about, to_wire};
use crate::app::App;

impl Answer for Initialize {
    async fn answer(mut call: Call) -> MethodResult<InitializeResult> {
        let params: InitializeParams = call.read()?;
        if let Some(client) = &params.client {
            tracing::info!(client = client.name, version = client.version, "initialize");
        }
        let app = &call.client.app;
        Ok(InitializeResult {
            protocol_version: PROTOCOL_VERSION,
            server: about::server_info(),
            state: to_wire::worker_state(&app.model().engine().state()),
            capabilities: Capabilities {
                methods: method_names().into_iter().map(str::to_owned).collect(),
                notifications: notification_names(Sender::Worker).into_iter().map(str::to_owned).collect(),
                response_formats: ["text", "json_schema", "regex", "lark"].map(str::to_owned).to_vec(),
                choices: true,
                speculation: true,
            },
            limits: limits(app),
            model: about::model_summary(app),
        })
    }
}

fn limits(app: &App) -> Limits {
    let (serve, request) = (&app.limits, app.assistant.limits());
    Limits {
        max_frame_bytes: serve.rpc.max_frame_bytes as u64,
        max_batch_entries: serve.rpc.max_batch_entries as u64,
        max_in_flight: serve.rpc.max_in_flight as u64,
        max_queued: serve.max_queued as u64,
        max_queued_bytes: app.assistant.held().limit_bytes(),
        max_tokens: request.max_tokens.into(),
        max_choices: request.max_choices.into(),
        max_logprobs: request.max_logprobs.into(),
        max_stop_strings: request.max_stop_strings as u64,
    }
}
