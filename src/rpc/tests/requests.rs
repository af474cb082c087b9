//! Requests to the client: how answers are matched, and that answers are never answered.

use super::*;

type Asked = JoinHandle<Result<Value, RequestError>>;

/// A client that has sent a message, so that requests to it are written.
async fn peer() -> Peer {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    still_answers(&mut peer).await;
    peer
}

async fn still_answers(peer: &mut Peer) {
    peer.call("still", "nothing", json!({})).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": "still", "result": null}));
}

/// Sends a request to the client, and checks that it arrives with this id.
async fn ask(peer: &mut Peer, id: u64) -> Asked {
    let handle = peer.handle.clone();
    let asked = tokio::spawn(async move { handle.request("ask", &json!({"n": id})).await });
    let request = peer.next_text().await.unwrap();
    assert_eq!(request, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ask","params":{{"n":{id}}}}}"#));
    asked
}

async fn outcome(asked: Asked) -> Result<Value, RequestError> {
    timeout(TIMEOUT, asked).await.expect("the request is not resolved").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_returns_the_clients_result_in_both_framings() {
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        still_answers(&mut peer).await;
        let asked = ask(&mut peer, 1).await;
        peer.say(r#"{"jsonrpc":"2.0","id":1,"result":{"applied":true}}"#).await;
        assert_eq!(outcome(asked).await.unwrap(), json!({"applied": true}));
        still_answers(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_matched_in_any_order_and_spelling_of_the_id() {
    let mut peer = peer().await;
    let mut asked = Vec::new();
    for id in 1..=5 {
        asked.push(ask(&mut peer, id).await);
    }
    for (id, written) in [(5, "5.0"), (4, "\"4\""), (3, "3e0"), (2, "20E-1"), (1, "1")] {
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{written},"result":{id}}}"#)).await;
    }
    for (asked, id) in asked.into_iter().zip(1..) {
        assert_eq!(outcome(asked).await.unwrap(), json!(id));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_id_in_both_directions_means_two_requests() {
    let mut peer = peer().await;
    let asked = ask(&mut peer, 1).await;
    peer.call(1, "wait", json!({})).await;
    assert_eq!(peer.next().await["method"], "waiting");
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":"ours"}"#).await;
    assert_eq!(outcome(asked).await.unwrap(), "ours");
    assert_eq!(peer.handle.in_flight().n_running(), 1);
    peer.notify("$/cancelRequest", json!({"id": 1})).await;
    assert_eq!(peer.next().await["error"]["code"], -32800);
}

#[tokio::test(start_paused = true)]
async fn the_clients_error_is_returned_completely() {
    let mut peer = peer().await;
    let asked = ask(&mut peer, 1).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"what?","data":[1],"stack":"x"}}"#)
        .await;
    let Err(RequestError::Client(error)) = outcome(asked).await else {
        panic!("not an error from the client")
    };
    assert_eq!((error.code(), error.message()), (-32601, "what?"));
    assert_eq!(error.data().unwrap().get(), "[1]");
    // As JSON-RPC 1.0 wrote it; some clients still do.
    let asked = ask(&mut peer, 2).await;
    peer.say(r#"{"id":2,"result":null,"error":{"code":1,"message":"m"}}"#).await;
    assert!(matches!(outcome(asked).await, Err(RequestError::Client(_))));
    let asked = ask(&mut peer, 3).await;
    peer.say(r#"{"id":3,"result":[],"error":null}"#).await;
    assert_eq!(outcome(asked).await.unwrap(), json!([]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_result_is_null_while_its_request_is_pending() {
    let mut peer = peer().await;
    let asked = ask(&mut peer, 1).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1}"#).await;
    assert_eq!(outcome(asked).await.unwrap(), Value::Null);
    peer.say(r#"{"jsonrpc":"2.0","id":1}"#).await;
    let answer = peer.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32600)));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_answer_fails_its_request_and_is_not_answered() {
    let malformed = [
        r#""result":1,"error":{"code":1,"message":"m"}"#,
        r#""error":null"#,
        r#""error":"no""#,
        r#""error":{"code":"x","message":"m"}"#,
        r#""error":{"code":1}"#,
        r#""error":{"message":"m"}"#,
        r#""error":[]"#,
    ];
    let mut peer = peer().await;
    for (members, id) in malformed.into_iter().zip(1..) {
        let asked = ask(&mut peer, id).await;
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{id},{members}}}"#)).await;
        let outcome = outcome(asked).await;
        assert!(matches!(outcome, Err(RequestError::Unreadable(_))), "{members}: {outcome:?}");
        still_answers(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_of_another_type_cannot_be_read() {
    let mut peer = peer().await;
    let handle = peer.handle.clone();
    let asked = tokio::spawn(async move { handle.request::<u32>("ask", &json!([])).await });
    peer.next().await;
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":"four"}"#).await;
    let error = asked.await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("client's answer cannot be read: invalid type"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn late_unknown_and_repeated_answers_are_not_answered() {
    let mut peer = peer().await;
    let asked = ask(&mut peer, 1).await;
    for id in ["0", "2", "-1", "1.5", "null", "\"x\"", "[1]", "{}", "true"] {
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"x"}}"#)).await;
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":1,"message":"m"}}}}"#)).await;
    }
    peer.say(r#"{"jsonrpc":"2.0","result":"x"}"#).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1,"id":1,"result":"x"}"#).await;
    peer.say(format!(r#"{{"jsonrpc":"2.0","id":"{}","result":"x"}}"#, "1".repeat(5000))).await;
    still_answers(&mut peer).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":"first"}"#).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":"second"}"#).await;
    assert_eq!(outcome(asked).await.unwrap(), "first");
    let dropped = ask(&mut peer, 2).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    peer.say(r#"{"jsonrpc":"2.0","id":2,"result":"late"}"#).await;
    still_answers(&mut peer).await;
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_in_a_batch_are_matched_and_its_requests_answered() {
    let mut peer = peer().await;
    let (first, second, third) = (ask(&mut peer, 1).await, ask(&mut peer, 2).await, ask(&mut peer, 3).await);
    peer.say(r#"[{"jsonrpc":"2.0","id":2,"result":"b"},{"jsonrpc":"2.0","id":1,"result":"a"}]"#).await;
    assert_eq!(outcome(first).await.unwrap(), "a");
    assert_eq!(outcome(second).await.unwrap(), "b");
    peer.say(r#"[{"jsonrpc":"2.0","id":3},{"jsonrpc":"2.0","id":3,"method":"nothing"}]"#).await;
    assert_eq!(peer.next().await, json!([{"jsonrpc": "2.0", "id": 3, "result": null}]));
    assert_eq!(outcome(third).await.unwrap(), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_a_batch_is_matched_even_if_batches_are_not_accepted() {
    let strictness = Strictness { takes_batches: false, ..Strictness::default() };
    let protocol = Protocol { methods: behaviours().into(), strictness, ..Protocol::default() };
    let mut peer = Peer::over(Connection::new(protocol, Options::default()), Framing::Lines, PIPE_BYTES);
    still_answers(&mut peer).await;
    let asked = ask(&mut peer, 1).await;
    peer.say(r#"[{"jsonrpc":"2.0","id":1,"result":"a"}]"#).await;
    assert_eq!(outcome(asked).await.unwrap(), "a");
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_send_a_request_to_the_client() {
    let mut module = behaviours();
    module
        .register_async_method("consult", |_, _, extensions| async move {
            context(&extensions).connection().request::<Value>("ask", &json!({"n": 1})).await.unwrap()
        })
        .unwrap();
    let mut peer = Peer::new(module, Framing::Lines);
    peer.call("c", "consult", json!({})).await;
    assert_eq!(peer.next().await["id"], 1);
    // The handler waits while other requests are answered.
    still_answers(&mut peer).await;
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":"yes"}"#).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": "c", "result": "yes"}));
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_first_message_and_go_out_in_order_with_notifications() {
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        let handle = peer.handle.clone();
        tokio::spawn(async move {
            handle.notify("before", &json!({})).await.unwrap();
            let none = json!({});
            let (one, two) =
                tokio::join!(handle.request::<u32>("one", &none), handle.request::<u32>("two", &none));
            handle.notify("after", &json!([one.unwrap(), two.unwrap()])).await.unwrap();
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.notify("hello", json!({})).await;
        let mut methods = Vec::new();
        for _ in 0..3 {
            methods.push(peer.next().await["method"].clone());
        }
        assert_eq!(methods, ["before", "one", "two"]);
        peer.say(r#"{"jsonrpc":"2.0","id":2,"result":22}"#).await;
        peer.say(r#"{"jsonrpc":"2.0","id":1,"result":11}"#).await;
        assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "method": "after", "params": [11, 22]}));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_resolves_pending_and_later_requests() {
    for is_stopped in [false, true] {
        let mut peer = peer().await;
        let asked = ask(&mut peer, 1).await;
        if is_stopped {
            peer.handle.stop();
        } else {
            peer.close_input();
        }
        assert!(matches!(outcome(asked).await, Err(RequestError::Closed(Closed))));
        let late = peer.handle.request::<Value>("ask", &json!({})).await;
        assert!(matches!(late, Err(RequestError::Closed(Closed))));
        assert!(peer.rest().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_room_is_resolved_by_the_end_and_never_sent() {
    let options = Options { max_queued_messages: 1, ..Options::default() };
    let mut peer = Peer::with(behaviours(), Notifications::new(), options, Framing::Lines, 8);
    peer.notify("hello", json!({})).await;
    let mut asked = Vec::new();
    for _ in 0..10 {
        let handle = peer.handle.clone();
        asked.push(tokio::spawn(async move { handle.request("ask", &json!({})).await }));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    peer.close_input();
    for asked in asked {
        assert!(matches!(outcome(asked).await, Err(RequestError::Closed(Closed))));
    }
    assert!(peer.rest().await.len() <= 3, "only what was queued is sent");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_connection_resolves_its_requests() {
    let connection = Connection::new(Protocol::default(), Options::default());
    let handle = connection.handle();
    let asked = tokio::spawn(async move { handle.request("ask", &json!({})).await });
    tokio::task::yield_now().await;
    drop(connection);
    assert!(matches!(outcome(asked).await, Err(RequestError::Closed(Closed))));
}

#[tokio::test(start_paused = true)]
async fn if_the_params_cannot_be_written_nothing_is_sent() {
    let mut peer = peer().await;
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let refused = peer.handle.request::<Value>("ask", &unwritable).await;
    assert!(matches!(refused, Err(RequestError::Params(_))));
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_waits_for_any_more_is_taken_back() {
    let mut peer = peer().await;
    let retraction = Retraction { method: "never_mind", id: "question" };
    let ask = |handle: Handle| {
        tokio::spawn(async move { handle.request_or_retract::<Value>("ask", &json!({}), retraction).await })
    };
    let dropped = ask(peer.handle.clone());
    assert_eq!(peer.next().await["id"], 1);
    dropped.abort();
    let expected = json!({"jsonrpc": "2.0", "method": "never_mind", "params": {"question": 1}});
    assert_eq!(peer.next().await, expected);
    // An answer that crossed it is ignored.
    peer.say(r#"{"jsonrpc":"2.0","id":1,"result":"late"}"#).await;
    let answered = ask(peer.handle.clone());
    assert_eq!(peer.next().await["id"], 2);
    peer.say(r#"{"jsonrpc":"2.0","id":2,"result":"yes"}"#).await;
    assert_eq!(outcome(answered).await.unwrap(), "yes");
    assert!(peer.rest().await.is_empty(), "an answered question is not taken back");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_once_a_request_is_answered_comes_after_its_answer() {
    let mut module = behaviours();
    module
        .register_async_method("then", |_, _, extensions| async move {
            let context = context(&extensions);
            tokio::spawn(async move {
                context.answered().await;
                context.connection().notify("after", &json!({})).await.unwrap();
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
        })
        .unwrap();
    let mut peer = Peer::new(module, Framing::Lines);
    peer.call(1, "then", json!({})).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": null}));
    assert_eq!(peer.next().await["method"], "after");
}
