//! Progress of a call, for a client that gave a token for it.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::inside_a_step;
use super::super::peer::{app, loading};
use super::agent::Agent;

/// Begins to generate a text of at most 40 tokens, with progress under this token.
async fn begin(agent: &mut Agent, token: Value) -> u32 {
    let arguments = json!({"prompt": "go on", "max_tokens": 40});
    let params = json!({"name": "generate", "arguments": arguments, "_meta": {"progressToken": token}});
    agent.ask("tools/call", params).await
}

async fn told(agent: &mut Agent) -> Value {
    agent.peer.told("notifications/progress").await["params"].clone()
}

#[tokio::test]
async fn a_call_that_waits_says_so_again_and_again_in_growing_numbers() {
    let (app, still_loading) = loading(ScriptedModel::hashing());
    let mut agent = Agent::of(&app);
    let id = begin(&mut agent, json!(0)).await;
    let mut latest = 0.0;
    for _ in 0..3 {
        let params = told(&mut agent).await;
        assert_eq!((&params["progressToken"], params.get("total")), (&json!(0), None));
        assert_eq!(params["message"], "loading scripted");
        let progress = params["progress"].as_f64().unwrap();
        assert!(progress > latest && progress < 1.0, "{params}");
        latest = progress;
    }
    drop(still_loading);
    let answer = agent.answer(id).await;
    assert_eq!(answer["result"]["structuredContent"]["finish_reason"], "length");
}

#[tokio::test]
async fn a_call_tells_how_much_text_there_is_and_how_it_goes_on() {
    let mut model = ScriptedModel::saying("one two\nthree four five six");
    let gate = model.gate();
    let mut agent = Agent::of(&app(model));
    let id = begin(&mut agent, json!("token")).await;
    let mut gate = gate;
    for _ in 0..12 {
        gate = inside_a_step(gate).await;
        gate.release();
    }
    let params = loop {
        let params = told(&mut agent).await;
        if params["message"].as_str().unwrap().contains("tokens") {
            break params;
        }
    };
    assert_eq!(params["progressToken"], "token");
    let message = params["message"].as_str().unwrap();
    assert!(message.contains("…one two thr") && !message.contains('\n'), "{message}");
    assert!(params["total"].as_f64() >= params["progress"].as_f64(), "{params}");
    drop(gate);
    let answer = agent.answer(id).await;
    assert_eq!(answer["result"]["structuredContent"]["text"], "one two\nthree four five six");
    agent.result("ping", json!({})).await;
    assert!(agent.told.is_empty(), "nothing comes after the result: {:?}", agent.told);
}

#[tokio::test]
async fn without_a_token_or_in_a_short_call_there_is_no_progress() {
    let mut agent = Agent::of(&app(ScriptedModel::saying("Sure.")));
    agent.call("generate", json!({"prompt": "a"})).await;
    assert!(agent.told.is_empty());
    // Neither strings nor numbers.
    for token in [json!(null), json!([1]), json!(true)] {
        let id = begin(&mut agent, token).await;
        let answer = agent.answer(id).await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        assert!(agent.told.is_empty());
    }
}
