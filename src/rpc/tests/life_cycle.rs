//! The order of messages, cancelling, and all the ways in which a connection ends.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::*;

/// The protocol's limit for the time from the end of the input to the end of the output.
const END_LIMIT: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn notifications_of_a_request_come_in_order_and_before_its_response() {
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        peer.say(r#"{"jsonrpc":"2.0","id":1.0,"method":"stream"}"#).await;
        for seq in 0..3 {
            let expected =
                format!(r#"{{"jsonrpc":"2.0","method":"piece","params":{{"id":1.0,"seq":{seq}}}}}"#);
            assert_eq!(peer.next_text().await.unwrap(), expected);
        }
        assert_eq!(peer.next_text().await.unwrap(), r#"{"jsonrpc":"2.0","id":1.0,"result":"done"}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_in_the_same_read_finds_the_request_before_it() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.send(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"$/cancelRequest\",\"params\":{\"id\":1}}\n",
    )
    .await;
    assert_eq!(peer.next().await["method"], "waiting");
    let answer = peer.next().await;
    assert_eq!(answer["error"]["code"], -32800);
    assert_eq!(answer["error"]["data"]["partial"], "so far");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_handler_learns_what_cancelled_it() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call(1, "wait", json!({})).await;
    peer.next().await;
    peer.call(2, "cancel", json!({"id": 1})).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": "Program"}));
    assert_eq!(
        peer.next().await["result"],
        json!(["cancelled", 7]),
        "answered after the request it cancelled"
    );
    peer.call(3, "cancel", json!({"id": 1})).await;
    assert_eq!(peer.next().await["result"], json!(["finished", 7]));
    peer.call(4, "cancel", json!({"id": "never"})).await;
    assert_eq!(peer.next().await["result"], json!(["unknown", null]));
    peer.call(5, "wait", json!({})).await;
    peer.next().await;
    assert_eq!(peer.rest().await, [json!({"jsonrpc": "2.0", "id": 5, "result": "End"})]);
    assert_eq!(peer.end().await, End::InputClosed);
}

#[tokio::test(start_paused = true)]
async fn cancels_of_unknown_requests_are_ignored() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    for params in [json!({"id": 99}), json!({}), json!({"id": null}), json!([1])] {
        peer.notify("$/cancelRequest", params).await;
    }
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn client_notifications_are_handled_in_the_order_of_the_input() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    let notifications = Notifications::new().on("log", move |params, connection| {
        let n: Vec<u32> = params.parse().unwrap();
        log.lock().unwrap().push((n[0], connection.in_flight().n_running()));
    });
    let mut peer = Peer::with(behaviours(), notifications, Options::default(), Framing::Lines, PIPE_BYTES);
    peer.notify("log", json!([1])).await;
    peer.call("a", "hang", json!({})).await;
    peer.notify("log", json!([2])).await;
    peer.say(r#"[{"jsonrpc":"2.0","id":"b","method":"hang"},{"jsonrpc":"2.0","method":"log","params":[3]}]"#)
        .await;
    peer.rest().await;
    assert_eq!(*heard.lock().unwrap(), [(1, 0), (2, 1), (3, 2)]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_the_input_a_hanging_request_is_answered_within_a_second() {
    for framing in BOTH {
        let start = Instant::now();
        let mut peer = Peer::new(behaviours(), framing);
        peer.call("hangs", "hang", json!({})).await;
        peer.call("waits", "wait", json!({})).await;
        let messages = peer.rest().await;
        let of = |id: &str| messages.iter().filter(|it| it["id"] == id).collect::<Vec<_>>();
        assert_eq!(of("waits").len(), 1);
        assert_eq!(of("waits")[0]["result"], "End");
        assert_eq!(of("hangs").len(), 1);
        assert_eq!(of("hangs")[0]["error"]["code"], -32000);
        assert_eq!(peer.end().await, End::InputClosed);
        assert!(start.elapsed() < END_LIMIT, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn without_running_requests_the_connection_ends_immediately() {
    let start = Instant::now();
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call(1, "nothing", json!({})).await;
    assert_eq!(peer.rest().await.len(), 1, "a request right before the end is answered");
    assert_eq!(peer.end().await, End::InputClosed);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_neither_reads_nor_closes_does_not_delay_the_end() {
    let start = Instant::now();
    // A pipe that is too small for a single message.
    let mut peer = Peer::with(behaviours(), Notifications::new(), Options::default(), Framing::Lines, 8);
    for id in 0..600 {
        peer.call(id, "stream", json!({})).await;
    }
    peer.close_input();
    assert_eq!(timeout(TIMEOUT, &mut peer.serving).await.unwrap().unwrap(), End::InputClosed);
    assert!(start.elapsed() < END_LIMIT, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_closed_output_ends_the_connection_promptly() {
    let start = Instant::now();
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call(1, "wait", json!({})).await;
    peer.call(2, "hang", json!({})).await;
    peer.next().await;
    let Peer { from, serving, handle, to, .. } = peer;
    drop(from);
    // Only writing shows that a pipe is closed.
    handle.notify("news", &json!({})).await.unwrap();
    assert_eq!(timeout(TIMEOUT, serving).await.unwrap().unwrap(), End::OutputClosed);
    assert_eq!(start.elapsed(), Duration::ZERO, "the handlers are not awaited");
    assert_eq!(handle.in_flight().n_running(), 0);
    assert!(matches!(handle.notify("news", &json!({})).await, Err(NotifyError::Closed(Closed))));
    drop(to);
}

#[tokio::test(start_paused = true)]
async fn stopping_has_the_effects_of_the_end_of_the_input() {
    let notifications = Notifications::new().on("exit", |_, connection| connection.stop());
    let mut peer = Peer::with(behaviours(), notifications, Options::default(), Framing::Lines, PIPE_BYTES);
    peer.call(1, "wait", json!({})).await;
    peer.next().await;
    peer.send(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"nothing\"}\n",
    )
    .await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": "End"}));
    assert_eq!(peer.next_text().await, None, "what comes after `exit` is not read");
    assert_eq!(peer.end().await, End::Stopped);
}

#[tokio::test(start_paused = true)]
async fn after_refuse_requests_new_requests_get_the_error_and_running_ones_continue() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call(1, "wait", json!({})).await;
    peer.next().await;
    peer.handle.refuse_requests(ErrorObject::owned(
        1006,
        "shutting down",
        Some(json!({"kind": "shutting_down"})),
    ));
    peer.call(2, "nothing", json!({})).await;
    let answer = peer.next().await;
    assert_eq!((&answer["id"], &answer["error"]["data"]["kind"]), (&json!(2), &json!("shutting_down")));
    peer.notify("$/cancelRequest", json!({"id": 1})).await;
    assert_eq!(peer.next().await["error"]["code"], -32800);
}

#[tokio::test(start_paused = true)]
async fn only_one_method_is_taken_until_all_are() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.handle.take_only("nothing", ErrorObject::owned(-32002, "not initialized", None::<()>));
    peer.call(1, "wait", json!({})).await;
    assert_eq!(peer.next().await["error"]["code"], -32002);
    peer.call(2, "unknown", json!({})).await;
    assert_eq!(peer.next().await["error"]["code"], -32002);
    peer.call(3, "nothing", json!({})).await;
    assert!(peer.next().await.get("result").is_some());
    peer.handle.take_requests();
    peer.call(4, "unknown", json!({})).await;
    assert_eq!(peer.next().await["error"]["code"], -32601);
}

#[tokio::test(start_paused = true)]
async fn messages_sent_before_the_client_speaks_wait_for_its_framing() {
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        peer.handle.notify("status", &json!({"state": "loading"})).await.unwrap();
        tokio::task::yield_now().await;
        peer.call(1, "nothing", json!({})).await;
        assert_eq!(
            peer.next().await,
            json!({"jsonrpc": "2.0", "method": "status", "params": {"state": "loading"}})
        );
        assert_eq!(peer.next().await["id"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_to_a_client_that_never_speaks_are_lines() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.handle.notify("status", &json!({"state": "loading"})).await.unwrap();
    assert_eq!(peer.rest().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn if_the_client_does_not_read_progress_is_dropped_and_pieces_wait() {
    let options = Options { max_queued_messages: 2, ..Options::default() };
    let mut peer = Peer::with(behaviours(), Notifications::new(), options, Framing::Lines, 1);
    peer.call(1, "stream", json!({})).await;
    let mut n_sent = 0;
    let refused = loop {
        tokio::task::yield_now().await;
        match peer.handle.try_notify("progress", &json!({"done": n_sent})) {
            Ok(()) => n_sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, NotifyError::Full), "{refused}");
    let messages = peer.rest().await;
    let n_of = |method: &str| messages.iter().filter(|it| it["method"] == method).count();
    assert_eq!((n_of("progress"), n_of("piece")), (n_sent, 3));
    assert_eq!(messages.iter().filter(|it| it["id"] == 1).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_request_comes_after_its_response() {
    let mut module = behaviours();
    let late = Arc::new(Mutex::new(None));
    let kept = late.clone();
    module
        .register_method("keep", move |_, (), extensions| {
            *kept.lock().unwrap() = Some(RequestContext::of(extensions));
        })
        .unwrap();
    let mut peer = Peer::new(module, Framing::Lines);
    peer.call(1, "keep", json!({})).await;
    assert_eq!(peer.next().await["id"], 1);
    let context = late.lock().unwrap().take().unwrap();
    assert!(matches!(context.notify("piece", &json!({})).await, Err(NotifyError::Answered)));
    assert!(matches!(context.try_notify("piece", &json!({})), Err(NotifyError::Answered)));
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_holds_when_handlers_run_on_many_threads() {
    const N_REQUESTS: u64 = 500;
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    let mut to = peer.to.take().unwrap();
    let writing = tokio::spawn(async move {
        for id in 0..N_REQUESTS {
            let method = if id % 2 == 0 { "stream" } else { "wait" };
            let cancel = json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}});
            let lines = format!("{}\n{cancel}\n", json!({"jsonrpc": "2.0", "id": id, "method": method}));
            to.write_all(lines.as_bytes()).await.unwrap();
        }
        to
    });
    let mut n_pieces = vec![0; usize::try_from(N_REQUESTS).unwrap()];
    let mut n_answered = 0;
    while n_answered < N_REQUESTS {
        let message = peer.next().await;
        if message["method"] == "piece" {
            let pieces = &mut n_pieces[usize::try_from(message["params"]["id"].as_u64().unwrap()).unwrap()];
            assert_eq!(message["params"]["seq"], *pieces);
            *pieces += 1;
        } else if let Some(id) = message["id"].as_u64() {
            n_answered += 1;
            if id % 2 == 0 {
                assert_eq!((&message["result"], n_pieces[usize::try_from(id).unwrap()]), (&json!("done"), 3));
            } else {
                assert_eq!(message["error"]["code"], -32800);
            }
        }
    }
    peer.to = Some(writing.await.unwrap());
    assert!(peer.rest().await.is_empty());
    assert_eq!(peer.end().await, End::InputClosed);
}
