//! The client with the real worker, which `RUNABOUT` names, and the model `RUNABOUT_TEST_MODEL`; for tools, the model
//! `RUNABOUT_TOOL_MODEL`, whose chat template must have them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use runabout_client::protocol::{
    CancelOutcome, ChatParams, CompleteParams, CompletionMode, FinishReason, Message, NextEditParams,
    TokenizeParams, ToolChoice, WarmParams,
};
use runabout_client::{Client, Error, Settings};

fn settings() -> Settings {
    let model = std::env::var("RUNABOUT_TEST_MODEL").unwrap_or("smollm2-135m".to_owned());
    Settings { model: Some(model), args: vec!["--offline".to_owned()], ..Settings::default() }
}

/// Runs until it is stopped: the tokens that end a text are never chosen.
fn endless() -> CompleteParams {
    CompleteParams {
        mode: Some(CompletionMode::Raw),
        max_tokens: Some(4000),
        temperature: Some(0.0),
        logit_bias: Some(BTreeMap::from([("0".to_owned(), -100.0), ("2".to_owned(), -100.0)])),
        ..CompleteParams::new("a")
    }
}

async fn until_idle(client: &Client) {
    while client.status().await.unwrap().queue.running > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_ended(pid: u32) {
    let is_running =
        || Command::new("kill").args(["-0", &pid.to_string()]).output().unwrap().status.success();
    while is_running() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_kind_of_request_is_answered() {
    let client = Client::new(settings());
    assert_eq!(client.start().await.unwrap().protocol_version, 1);
    let mut n_reports = 0;
    let model = client.wait_until_ready(|_| n_reports += 1).await.unwrap();
    assert_eq!(model.chat, Some(true));

    let params = CompleteParams {
        suffix: Some("\n".to_owned()),
        max_tokens: Some(8),
        ..CompleteParams::new("def mean(values):\n    return ")
    };
    let whole = client.complete(params.clone()).await.unwrap().text;
    let mut stream = client.complete_stream(params);
    let mut text = String::new();
    while let Some(delta) = stream.next().await {
        text += &delta.text;
    }
    assert_eq!(text, whole);
    assert_eq!(stream.result().await.unwrap().text, whole);

    let first = ChatParams { max_tokens: Some(8), ..ChatParams::new([Message::user("Say hello.")]) };
    let answer = client.chat(first).await.unwrap().message;
    let second = ChatParams {
        max_tokens: Some(8),
        ..ChatParams::new([Message::user("Say hello."), answer, Message::user("Again.")])
    };
    assert!(client.chat(second).await.unwrap().usage.prompt_tokens > 0);

    match client.next_edit(NextEditParams::new("def f():\n    c", "\n")).await {
        Ok(result) => assert!(result.edits.len() < 100),
        Err(Error::Failed { kind, .. }) => assert_eq!(kind.as_deref(), Some("unsupported")),
        Err(error) => panic!("{error}"),
    }

    let warm = CompleteParams::new("# A file that is opened.\nimport math\nradius = ");
    assert!(client.warm(WarmParams::Complete(warm.clone())).await.unwrap().prompt_tokens > 5);
    let after = CompleteParams { max_tokens: Some(1), ..warm };
    assert!(client.complete(after).await.unwrap().usage.cached_tokens > 0);

    let count = TokenizeParams {
        text: Some("naïve 🍕\u{2028}".to_owned()),
        return_tokens: Some(true),
        ..TokenizeParams::default()
    };
    let counted = client.tokenize(count).await.unwrap();
    assert_eq!(counted.count, counted.tokens.unwrap().len() as u64);
    client.close().await;
}

#[derive(Debug, serde::Deserialize)]
struct Finding {
    severity: String,
    fixed: bool,
}

#[tokio::test]
async fn an_answer_with_a_schema_is_a_value_or_incomplete() {
    let client = Client::new(settings());
    let schema = serde_json::json!({
        "type": "object", "required": ["severity", "fixed"], "additionalProperties": false,
        "properties": {"severity": {"enum": ["low", "high"]}, "fixed": {"type": "boolean"}},
    });
    let ask = |max_tokens| ChatParams {
        max_tokens: Some(max_tokens),
        temperature: Some(0.0),
        ..ChatParams::new([Message::user("Severity of this, as JSON: it crashes.")])
    };
    let finding: Finding = client.chat_json(ask(200), schema.clone()).await.unwrap();
    assert!(["low", "high"].contains(&finding.severity.as_str()), "{finding:?} {}", finding.fixed);
    let error = client.chat_json::<Finding>(ask(2), schema).await.unwrap_err();
    assert!(error.to_string().contains("with `{"), "{error}");
    let Error::Incomplete(result) = error else { panic!("{error:?}") };
    assert_eq!(result.finish_reason, FinishReason::Length);
}

#[tokio::test]
async fn a_call_that_is_required_fits_its_schema() {
    let model = std::env::var("RUNABOUT_TOOL_MODEL").unwrap_or("qwen2.5-coder-0.5b".to_owned());
    let client = Client::new(Settings { model: Some(model), ..settings() });
    let tools = serde_json::from_value(serde_json::json!([{"type": "function", "function": {
        "name": "forecast", "description": "The weather", "parameters": {
            "type": "object", "required": ["city", "days"],
            "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "maximum": 99}},
        },
    }}]));
    let params = ChatParams {
        tools: tools.unwrap(),
        tool_choice: Some(ToolChoice::named("forecast")),
        max_tokens: Some(300),
        temperature: Some(0.0),
        ..ChatParams::new([Message::user("How warm will Rome be in the next 3 days?")])
    };
    let result = client.chat(params).await.unwrap();
    assert_eq!(result.finish_reason, FinishReason::ToolCalls);
    let function = &result.message.tool_calls[0].function;
    assert_eq!(function.name, "forecast");
    let arguments = serde_json::to_value(&function.arguments).unwrap();
    assert!(arguments["city"].is_string() && arguments["days"].is_i64(), "{arguments}");
}

#[tokio::test]
async fn an_error_has_code_hint_and_data() {
    let client = Client::new(settings());
    let mut params = CompleteParams::new("x");
    params.extra.insert("max_token".to_owned(), 5.into());
    let error = client.complete(params).await.unwrap_err();
    let Error::Failed { code, kind, hint, data, .. } = error else { panic!("{error:?}") };
    assert_eq!((code, kind, data["nearest"].as_str()), (-32602, None, Some("max_tokens")));
    assert!(hint.unwrap().contains("max_tokens"));
}

#[tokio::test]
async fn a_stream_is_cancelled_with_its_text_so_far() {
    let client = Client::new(settings());
    let mut stream = client.complete_stream(endless());
    let mut text = stream.next().await.unwrap().text;
    assert_eq!(stream.cancel().await.unwrap().outcome, CancelOutcome::Cancelled);
    while let Some(delta) = stream.next().await {
        text += &delta.text;
    }
    assert_eq!(stream.cancel().await.unwrap().outcome, CancelOutcome::Finished);
    let result = stream.result().await.unwrap();
    assert_eq!((result.finish_reason, result.text), (FinishReason::Cancelled, text));
}

#[tokio::test]
async fn what_is_dropped_or_takes_too_long_stops_at_the_worker() {
    let client = Client::new(settings());
    let mut stream = client.complete_stream(endless());
    stream.next().await.unwrap();
    drop(stream);
    until_idle(&client).await;
    let _ = tokio::time::timeout(Duration::from_millis(200), client.complete(endless())).await.unwrap_err();
    until_idle(&client).await;

    let hasty = Client::new(Settings { timeout: Some(Duration::from_millis(500)), ..settings() });
    let error = hasty.complete(endless()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    until_idle(&hasty).await;
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_all_answered() {
    let client = Client::new(settings());
    let ask = |i: u32| {
        let client = client.clone();
        let params = CompleteParams { max_tokens: Some(2), ..CompleteParams::new(format!("x{i} = ")) };
        tokio::spawn(async move { client.complete(params).await })
    };
    let requests: Vec<_> = (0..100).map(ask).collect();
    for request in requests {
        assert!(request.await.unwrap().unwrap().usage.prompt_tokens > 0);
    }
}

#[tokio::test]
async fn a_killed_worker_fails_what_is_running_and_the_next_request_starts_another() {
    let client = Client::new(settings());
    let mut stream = client.complete_stream(endless());
    stream.next().await.unwrap();
    let pid = client.pid().await.unwrap();
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    let error = stream.result().await.unwrap_err();
    assert!(matches!(error, Error::WorkerEnded(_)), "{error:?}");
    assert!(error.to_string().contains("signal: 9"), "{error}");
    let params = CompleteParams { max_tokens: Some(2), ..CompleteParams::new("x = ") };
    assert!(client.complete(params).await.unwrap().usage.prompt_tokens > 0);
    assert_ne!(client.pid().await, Some(pid));
}

#[tokio::test]
async fn a_worker_that_cannot_start_tells_why() {
    let client = Client::new(Settings { args: vec!["--ofline".to_owned()], ..settings() });
    let error = client.start().await.unwrap_err();
    assert!(error.to_string().contains("--ofline"), "{error}");
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_an_error_of_that_kind() {
    let nowhere = tempfile::tempdir().unwrap();
    let model = Some(nowhere.path().to_str().unwrap().to_owned());
    let client = Client::new(Settings { model, ..Settings::default() });
    let errors =
        [client.wait_until_ready(|_| ()).await.unwrap_err(), client.complete(endless()).await.unwrap_err()];
    for error in errors {
        let Error::Failed { code, kind, .. } = error else { panic!("{error:?}") };
        assert_eq!((code, kind.as_deref()), (1001, Some("model_load_failed")));
    }
}

#[tokio::test]
async fn a_client_that_is_closed_or_dropped_ends_its_worker() {
    let client = Client::new(settings());
    let mut stream = client.complete_stream(endless());
    stream.next().await.unwrap();
    let pid = client.pid().await.unwrap();
    client.close().await;
    match stream.result().await {
        Ok(result) => assert_eq!(result.finish_reason, FinishReason::Cancelled),
        Err(error) => assert!(matches!(error, Error::Closed), "{error:?}"),
    }
    assert!(matches!(client.status().await, Err(Error::Closed)));
    until_ended(pid).await;

    let dropped = Client::new(settings());
    dropped.start().await.unwrap();
    let pid = dropped.pid().await.unwrap();
    drop(dropped);
    until_ended(pid).await;
}
