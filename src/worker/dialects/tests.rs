//! What every dialect can rely on, tested with a second dialect beside the native one and the engine's scripted model.
#![allow(clippy::unwrap_used)]

mod acp;
mod lsp;
mod mcp;
mod native;
mod peer;
mod telegraph;

use runabout_engine::scripted::{Gate, ScriptedModel, bytes};
use serde_json::{Value, json};

use self::peer::{Peer, app, failing_to_load, loading};
use self::telegraph::Telegraph;
use super::Dialect;
use super::lsp::Lsp;
use super::mcp::Mcp;
use super::native::Native;

/// As in `runabout serve`, the native dialect is the last one.
const DIALECTS: &[&dyn Dialect] = &[&Telegraph, &Lsp, &Mcp, &Native];

/// More tokens than a test waits for.
const MANY: u32 = 3000;

fn draft(id: u32, written: &str, most: u32) -> Value {
    json!({"id": id, "method": "draft", "params": {"sheet": "a", "written": written, "most": most}})
}

fn talk(id: u32, said: &[&str], most: u32) -> Value {
    json!({"id": id, "method": "talk", "params": {"said": said, "most": most}})
}

/// The native request for the same text.
fn complete(id: u32, prefix: &str, max_tokens: u32) -> Value {
    let params = json!({"prefix": prefix, "mode": "raw", "document": "a", "max_tokens": max_tokens});
    json!({"jsonrpc": "2.0", "id": id, "method": "complete", "params": params})
}

/// The joined texts of all `piece`s, which must all belong to request `id`.
fn pieces(notifications: &[Value], id: u32) -> String {
    let pieces = notifications.iter().filter(|it| it["method"] == "piece").map(|it| &it["params"]);
    pieces
        .map(|it| {
            assert_eq!(it["of"], id);
            it["text"].as_str().unwrap()
        })
        .collect()
}

/// Lets the model take one step, which computes the prompt and samples the first token; the next step waits.
async fn one_step(gate: Gate) -> Gate {
    let gate = inside_a_step(gate).await;
    gate.release();
    gate
}

/// Waits until the model is inside a step, where it stays.
async fn inside_a_step(gate: Gate) -> Gate {
    let arrived = tokio::task::spawn_blocking(move || {
        gate.arrived();
        gate
    });
    arrived.await.unwrap()
}

#[tokio::test]
async fn a_draft_arrives_in_pieces_before_its_answer() {
    let mut client = Peer::hailing(&app(ScriptedModel::saying(" = 1;"))).await;
    client.say(&draft(1, "let x", 64)).await;
    let (before, answer) = client.answer(1).await;
    assert_eq!(answer["result"], json!({"text": " = 1;"}));
    assert_eq!(pieces(&before, 1), " = 1;");
}

#[tokio::test]
async fn talk_is_answered_by_what_was_said() {
    let model = ScriptedModel::saying("Sure.");
    let recording = model.recording();
    let mut client = Peer::hailing(&app(model)).await;
    client.say(&talk(1, &["hi", "well?"], 64)).await;
    let (before, answer) = client.answer(1).await;
    assert_eq!(answer["result"], json!({"text": "Sure."}));
    assert_eq!(pieces(&before, 1), "Sure.");
    let read: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    for said in ["hi", "well?"] {
        assert!(read.windows(said.len()).any(|it| it == bytes(said)), "the model has not read `{said}`");
    }
}

#[tokio::test]
async fn a_halted_draft_tells_how_far_it_came() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut client = Peer::hailing(&app(model)).await;
    client.say(&draft(1, "fn f", MANY)).await;
    let gate = one_step(gate).await;
    client.say(&json!({"method": "halt", "params": {"what": 1}})).await;
    let (mut before, _) = client.hail(2).await;
    drop(gate);
    let (after, answer) = client.answer(1).await;
    before.extend(after);
    let so_far = pieces(&before, 1);
    assert_eq!(answer["error"], json!({"code": 3, "message": format!("halted behind `{so_far}`")}));
    assert!(!so_far.is_empty() && so_far.len() < 10, "it ends at the next step: {so_far}");
}

#[tokio::test]
async fn what_the_assistant_refuses_is_told_in_the_dialects_own_words() {
    let mut client = Peer::hailing(&app(ScriptedModel::hashing())).await;
    client.say(&draft(1, "fn f", 9000)).await;
    let (_, answer) = client.answer(1).await;
    assert_eq!(answer["error"], json!({"code": 1, "message": "9000 is asked, 8192 is the most"}));
    client.say(&talk(2, &[], 4)).await;
    let (_, answer) = client.answer(2).await;
    assert_eq!(answer["error"], json!({"code": 1, "message": "nothing was said"}));
}

#[tokio::test]
async fn a_model_that_fails_is_told_in_the_dialects_own_words() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut client = Peer::hailing(&app(model)).await;
    client.say(&draft(1, "fn f", 4)).await;
    inside_a_step(gate).await.fail("out of ink");
    let (_, answer) = client.answer(1).await;
    assert_eq!(answer["error"]["code"], 5);
    assert!(answer["error"]["message"].as_str().unwrap().contains("out of ink"), "{answer}");
}

#[tokio::test]
async fn a_client_is_asked_for_the_sheet_and_its_answer_is_continued() {
    let model = ScriptedModel::replying(&[("let y", " = 2;")]);
    let mut client = Peer::hailing(&app(model)).await;
    client.say(&json!({"id": "d", "method": "draft", "params": {"sheet": "b", "most": 64}})).await;
    let asked = client.asked().await;
    assert_eq!((&asked["method"], &asked["params"]), (&json!("read"), &json!({"sheet": "b"})));
    client.say(&json!({"id": asked["id"], "result": "let y"})).await;
    let (_, answer) = client.answer("d").await;
    assert_eq!(answer["result"], json!({"text": " = 2;"}));
}

#[tokio::test]
async fn a_client_that_cannot_read_out_the_sheet_is_told_so() {
    let mut client = Peer::hailing(&app(ScriptedModel::hashing())).await;
    client.say(&json!({"id": "d", "method": "draft", "params": {"sheet": "b", "most": 64}})).await;
    let asked = client.asked().await;
    client.say(&json!({"id": asked["id"], "error": {"code": 7, "message": "torn"}})).await;
    let (_, answer) = client.answer("d").await;
    let message = "`b` was not read: client answered with error 7: torn";
    assert_eq!(answer["error"], json!({"code": 2, "message": message}));
}

#[tokio::test]
async fn a_draft_can_be_halted_while_its_client_is_asked() {
    let mut client = Peer::hailing(&app(ScriptedModel::hashing())).await;
    client.say(&json!({"id": 1, "method": "draft", "params": {"sheet": "b", "most": 64}})).await;
    let asked = client.asked().await;
    client.say(&json!({"method": "halt", "params": {"what": 1}})).await;
    client.hail(2).await;
    client.say(&json!({"id": asked["id"], "result": "too late"})).await;
    let (_, answer) = client.answer(1).await;
    assert_eq!(answer["error"]["message"], "halted before the sheet was read");
}

#[tokio::test]
async fn the_client_is_told_when_the_model_is_ready_and_when_the_engine_is_lost() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let (app, still_loading) = loading(model);
    let mut client = Peer::hailing(&app).await;
    let (before, _) = client.hail(1).await;
    assert!(before.is_empty(), "nothing is known yet: {before:?}");
    client.say(&draft(2, "fn f", 4)).await;
    drop(still_loading);
    let gate = inside_a_step(gate).await;
    // Only the latest state is announced, so the client must get this one before the engine dies.
    let (mut told, _) = client.hail(3).await;
    gate.panic("the script says so");
    // The connection ends with the engine.
    let rest = client.rest().await;
    assert!(rest.iter().any(|it| it["id"] == 2 && it["error"]["code"] == 5), "{rest:?}");
    told.extend(rest.into_iter().filter(|it| it["method"].is_string()));
    assert_eq!(told[0], json!({"jsonrpc": "2.0", "method": "up", "params": {"model": "scripted"}}));
    assert_eq!((told.len(), &told[1]["method"]), (2, &json!("down")), "{told:?}");
}

#[tokio::test]
async fn json_rpc_is_read_as_strictly_as_the_dialect_says() {
    let app = app(ScriptedModel::hashing());
    let mut client = Peer::hailing(&app).await;
    let (_, answer) = client.hail(1).await;
    assert_eq!(answer["result"], "telegraph", "a message need not say its version");
    client.say(&json!([{"jsonrpc": "2.0", "id": 2, "method": "hail"}])).await;
    let refused = client.next_answer().await;
    assert_eq!(refused["error"]["code"], -32600, "batches are not taken");
    let mut native = Peer::of(&app);
    native.say(&json!([{"jsonrpc": "2.0", "id": 1, "method": "status"}])).await;
    let first = native.next_answer().await;
    assert!(first[0]["result"].is_object(), "the native dialect takes batches: {first}");
    native.say(&json!({"id": 2, "method": "status"})).await;
    let (_, answer) = native.answer(2).await;
    assert_eq!(answer["error"]["code"], -32600, "and wants the version");
}

#[tokio::test]
async fn a_client_that_begins_with_a_native_message_speaks_the_native_dialect() {
    let app = app(ScriptedModel::saying(" = 1;"));
    let mut client = Peer::of(&app);
    client.say(&complete(1, "let x", 64)).await;
    let (_, answer) = client.answer(1).await;
    assert_eq!(answer["result"]["text"], " = 1;");
    client.say(&json!({"jsonrpc": "2.0", "id": 2, "method": "hail"})).await;
    let (_, answer) = client.answer(2).await;
    assert_eq!(answer["error"]["code"], -32601, "the first message has chosen");
}

#[tokio::test]
async fn a_client_that_comes_after_loading_has_failed_is_told_so() {
    let app = failing_to_load("no such file");
    app.model().engine().stopped().await;
    let mut client = Peer::of(&app);
    client.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize"})).await;
    let status = client.told("status").await;
    assert_eq!(status["params"]["error"]["kind"], "model_load_failed", "{status}");
}

#[tokio::test]
async fn clients_of_different_dialects_share_the_model() {
    let app = app(ScriptedModel::hashing());
    let (mut one, mut other) = (Peer::hailing(&app).await, Peer::of(&app));
    one.say(&draft(1, "fn main() {", 4)).await;
    let (_, answer) = one.answer(1).await;
    let text = answer["result"]["text"].clone();
    assert_eq!(text.as_str().unwrap().len(), 4);
    other.say(&complete(1, "fn main() {", 4)).await;
    let (_, answer) = other.answer(1).await;
    assert_eq!(answer["result"]["text"], text);
    let usage = &answer["result"]["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["cached_tokens"]), (&json!(11), &json!(10)));
}

#[tokio::test]
async fn clients_of_different_dialects_do_not_see_each_others_ids_and_cancels() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let app = app(model);
    let (mut one, mut other) = (Peer::hailing(&app).await, Peer::of(&app));
    one.say(&draft(7, "fn f", MANY)).await;
    let gate = one_step(gate).await;
    one.say(&talk(8, &["hi"], 40)).await;
    other.say(&complete(7, "fn g", 40)).await;
    one.hail(9).await;
    other.status(9).await;
    one.say(&json!({"method": "halt", "params": {"what": 7}})).await;
    other.say(&json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 8}})).await;
    one.hail(10).await;
    other.status(10).await;
    drop(gate);
    let (_, halted) = one.answer(7).await;
    assert_eq!(halted["error"]["code"], 3, "{halted}");
    let (_, answer) = one.answer(8).await;
    assert_eq!(answer["result"]["text"].as_str().map(str::len), Some(40), "{answer}");
    let (_, answer) = other.answer(7).await;
    assert_eq!(answer["result"]["usage"]["completion_tokens"], 40, "{answer}");
}

#[tokio::test]
async fn a_newer_draft_of_the_sheet_ends_an_older_one() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut client = Peer::hailing(&app(model)).await;
    client.say(&draft(1, "fn f", MANY)).await;
    let gate = one_step(gate).await;
    client.say(&draft(2, "fn other", 4)).await;
    client.hail(3).await;
    drop(gate);
    let (_, answer) = client.answer(1).await;
    assert_eq!(answer["error"], json!({"code": 4, "message": "a newer draft of the sheet took over"}));
}

#[tokio::test]
async fn a_document_of_another_client_is_another_document() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let app = app(model);
    let (mut one, mut other) = (Peer::hailing(&app).await, Peer::of(&app));
    one.say(&draft(1, "fn f", 40)).await;
    let gate = one_step(gate).await;
    other.say(&complete(1, "fn other", 40)).await;
    other.status(2).await;
    drop(gate);
    let (_, answer) = one.answer(1).await;
    assert_eq!(answer["result"]["text"].as_str().map(str::len), Some(40), "{answer}");
    let (_, answer) = other.answer(1).await;
    assert_eq!(answer["result"]["finish_reason"], "length", "{answer}");
}
