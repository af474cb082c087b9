//! `notifications/cancelled`: the call ends, and nothing more is heard of it.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::{app, loading};
use super::super::{MANY, one_step};
use super::agent::Agent;

#[tokio::test]
async fn a_call_that_is_cancelled_ends_within_one_step_and_is_not_answered() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let app = app(model);
    let mut agent = Agent::of(&app);
    let arguments = json!({"prompt": "a", "max_tokens": MANY});
    let params = json!({"name": "generate", "arguments": arguments, "_meta": {"progressToken": 1}});
    let id = agent.ask("tools/call", params).await;
    let gate = one_step(gate).await;
    agent.notify("notifications/cancelled", json!({"requestId": id, "reason": "no longer needed"})).await;
    agent.result("ping", json!({})).await;
    drop(gate);
    // It would take thousands of steps to get here, if the first call went on.
    let result = agent.call("generate", json!({"prompt": "b", "max_tokens": 4})).await;
    assert_eq!(result["isError"], false);
    assert!(agent.told.iter().all(|it| it["params"]["progressToken"] != 1), "{:?}", agent.told);
    assert_eq!(app.model().engine().status().n_running, 0);
    let computed = app.model().engine().status().n_computed;
    assert!(computed < u64::from(MANY), "{computed} tokens were computed");
    assert!(agent.peer.close().await.is_empty());
}

#[tokio::test]
async fn a_call_that_waits_for_the_model_can_be_cancelled() {
    let (app, still_loading) = loading(ScriptedModel::saying("Sure."));
    let mut agent = Agent::of(&app);
    let id = agent.begin("generate", json!({"prompt": "a"})).await;
    agent.notify("notifications/cancelled", json!({"requestId": id})).await;
    drop(still_loading);
    let result = agent.call("generate", json!({"prompt": "b"})).await;
    assert_eq!(result["structuredContent"]["text"], "Sure.");
    assert!(agent.peer.close().await.is_empty());
}

#[tokio::test]
async fn a_cancel_that_names_nothing_is_ignored() {
    let mut agent = Agent::of(&app(ScriptedModel::saying("Sure.")));
    let result = agent.call("generate", json!({"prompt": "a"})).await;
    assert_eq!(result["isError"], false);
    for params in [
        json!({"requestId": 1}),
        json!({"requestId": 99}),
        json!({}),
        json!({"requestId": null}),
        Value::Null,
    ] {
        agent.notify("notifications/cancelled", params).await;
    }
    assert_eq!(agent.result("ping", json!({})).await, json!({}));
}

#[tokio::test]
async fn the_end_of_the_input_ends_all_calls() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut agent = Agent::of(&app(model));
    let id = agent.begin("generate", json!({"prompt": "a", "max_tokens": MANY})).await;
    let gate = one_step(gate).await;
    agent.result("ping", json!({})).await;
    drop(gate);
    let rest = agent.peer.close().await;
    let output = &rest[0]["result"]["structuredContent"];
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &json!(id)));
    assert_eq!((&output["finish_reason"], &output["truncated"]), (&json!("cancelled"), &json!(true)));
}
