//! Choosing the protocol by the first message, and the effects of strictness.

use std::sync::{Arc, Mutex};

use super::*;

/// What the chooser got: the method, the params as written, and whether it was a request.
type Told = Arc<Mutex<Vec<(String, Option<String>, bool)>>>;

/// Chooses `protocol`, and records what the chooser got.
fn choosing(protocol: Protocol, framing: Framing) -> (Peer, Told) {
    let told = Told::default();
    let tell = told.clone();
    let choose = move |first: &FirstMessage<'_>, _: &Handle| {
        let params = first.params.map(|raw| raw.get().to_owned());
        tell.lock().unwrap().push((first.method.to_owned(), params, first.is_request));
        protocol
    };
    (Peer::over(Connection::choosing(choose, Options::default()), framing, PIPE_BYTES), told)
}

fn protocol(strictness: Strictness) -> Protocol {
    Protocol { methods: behaviours().into(), strictness, ..Protocol::default() }
}

fn error_code(answer: &Value) -> (i64, &Value) {
    (answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}")), &answer["id"])
}

#[tokio::test(start_paused = true)]
async fn the_first_request_chooses_and_is_answered_by_the_chosen_protocol() {
    for framing in BOTH {
        let (mut peer, told) = choosing(protocol(Strictness::default()), framing);
        peer.call(0, "echo", json!({"a": [1]})).await;
        assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 0, "result": {"a": [1]}}));
        peer.call(1, "nothing", json!({})).await;
        assert_eq!(peer.next().await["result"], Value::Null);
        assert_eq!(*told.lock().unwrap(), [("echo".to_owned(), Some(r#"{"a":[1]}"#.to_owned()), true)]);
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_and_answers_choose_nothing() {
    let (mut peer, told) = choosing(protocol(Strictness::default()), Framing::Lines);
    peer.say("hello").await;
    assert_eq!(error_code(&peer.next().await), (-32700, &Value::Null));
    peer.say(r#"{"id":1,"method":"echo"}"#).await;
    assert_eq!(error_code(&peer.next().await), (-32600, &json!(1)));
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":1}"#).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1}"#).await;
    assert_eq!(error_code(&peer.next().await), (-32600, &json!(1)));
    assert!(told.lock().unwrap().is_empty());
    peer.notify("initialized", Value::Null).await;
    peer.call(2, "nothing", json!({})).await;
    assert_eq!(peer.next().await["id"], 2);
    assert_eq!(*told.lock().unwrap(), [("initialized".to_owned(), None, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_chooses_by_its_first_well_formed_entry() {
    let (mut peer, told) = choosing(protocol(Strictness::default()), Framing::Lines);
    peer.say(
        r#"[1,{"jsonrpc":"2.0","method":"hello","params":[]},{"jsonrpc":"2.0","id":1,"method":"nothing"}]"#,
    )
    .await;
    let answer = peer.next().await;
    assert_eq!(answer[1], json!({"jsonrpc": "2.0", "id": 1, "result": null}));
    assert_eq!(*told.lock().unwrap(), [("hello".to_owned(), Some("[]".to_owned()), false)]);
}

#[tokio::test(start_paused = true)]
async fn the_chosen_strictness_applies_to_the_message_that_chose_it() {
    let strictness = Strictness { takes_batches: false, requires_version: false };
    let (mut peer, told) = choosing(protocol(strictness), Framing::Lines);
    peer.say(r#"[{"jsonrpc":"2.0","id":1,"method":"nothing"}]"#).await;
    assert_eq!(error_code(&peer.next().await), (-32600, &Value::Null));
    assert_eq!(told.lock().unwrap().len(), 1);
    peer.say(r#"{"id":"a","method":"nothing"}"#).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": "a", "result": null}));
}

#[tokio::test(start_paused = true)]
async fn if_batches_are_not_accepted_a_batch_gets_one_error_and_no_entry_runs() {
    let heard = Arc::new(Mutex::new(0));
    let count = heard.clone();
    let protocol = Protocol {
        notifications: Notifications::new().on("log", move |_, _| *count.lock().unwrap() += 1),
        ..protocol(Strictness { takes_batches: false, ..Strictness::default() })
    };
    let mut peer = Peer::over(Connection::new(protocol, Options::default()), Framing::Lines, PIPE_BYTES);
    let many = format!("[{}]", [r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#; 300].join(","));
    for batch in ["[]", r#"[{"jsonrpc":"2.0","method":"log"},1]"#, &many] {
        peer.say(batch).await;
        assert_eq!(error_code(&peer.next().await), (-32600, &Value::Null));
    }
    peer.say(r#"[{"jsonrpc":"2.0","id":7,"result":1}]"#).await;
    peer.notify("log", json!([])).await;
    assert!(peer.rest().await.is_empty(), "answers are never answered");
    assert_eq!(*heard.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_chooser_can_keep_the_handle() {
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let choose = move |_: &FirstMessage<'_>, handle: &Handle| {
        *keep.lock().unwrap() = Some(handle.clone());
        protocol(Strictness::default())
    };
    let mut peer = Peer::over(Connection::choosing(choose, Options::default()), Framing::Lines, PIPE_BYTES);
    peer.call(1, "nothing", json!({})).await;
    peer.next().await;
    let handle = kept.lock().unwrap().take().unwrap();
    handle.notify("news", &json!({})).await.unwrap();
    assert_eq!(peer.next().await["method"], "news");
}
