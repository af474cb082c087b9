//! A request that its client has withdrawn: it ends, and nothing more is sent about it.

use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;

use super::*;

/// What became of the notifications that a handler sent after its request was withdrawn.
type Refused = Arc<Mutex<Vec<NotifyError>>>;

/// The notification `withdraw` withdraws the request that its params name. The method `stubborn` waits for that, then
/// tells the client of it and answers nevertheless.
fn protocol() -> (Protocol, Refused) {
    let refused = Refused::default();
    let log = refused.clone();
    let mut methods = behaviours();
    methods
        .register_async_method("stubborn", move |_, _, extensions| {
            let log = log.clone();
            async move {
                let context = context(&extensions);
                assert_eq!(context.cancelled().await, CancelledBy::Withdrawal);
                for sent in [context.notify("late", &json!({})).await, context.try_notify("late", &json!({}))]
                {
                    log.lock().unwrap().extend(sent.err());
                }
                "too late"
            }
        })
        .unwrap();
    let notifications = Notifications::new().on("withdraw", |params, connection| {
        let [id]: [Box<RawValue>; 1] = params.parse().unwrap();
        connection.in_flight().cancel(&RequestId::from_raw(&id).unwrap(), CancelledBy::Withdrawal);
    });
    (Protocol { methods: methods.into(), notifications, ..Protocol::default() }, refused)
}

fn peer(options: Options, pipe_bytes: usize) -> (Peer, Refused) {
    let (protocol, refused) = protocol();
    (Peer::over(Connection::new(protocol, options), Framing::Lines, pipe_bytes), refused)
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_request_ends_without_an_answer() {
    let (mut peer, refused) = peer(Options::default(), PIPE_BYTES);
    peer.call("a", "stubborn", json!({})).await;
    peer.call(0, "stubborn", json!({})).await;
    peer.notify("withdraw", json!(["a"])).await;
    peer.notify("withdraw", json!([0])).await;
    peer.call(1, "nothing", json!({})).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": null}));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.handle.in_flight().n_running(), 0, "both handlers have ended");
    let refused = std::mem::take(&mut *refused.lock().unwrap());
    assert!(refused.iter().all(|it| matches!(it, NotifyError::Withdrawn)), "{refused:?}");
    assert_eq!(refused.len(), 4);
    // Then its id is free again.
    peer.call("a", "nothing", json!({})).await;
    assert_eq!(peer.rest().await, [json!({"jsonrpc": "2.0", "id": "a", "result": null})]);
    assert_eq!(peer.end().await, End::InputClosed);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_withdrawn_only_in_its_own_type() {
    let (mut peer, _) = peer(Options::default(), PIPE_BYTES);
    peer.call(5, "wait", json!({})).await;
    peer.next().await;
    peer.notify("withdraw", json!(["5"])).await;
    assert_eq!(peer.rest().await, [json!({"jsonrpc": "2.0", "id": 5, "result": "End"})]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_after_it_was_withdrawn_is_not_answered() {
    let (mut peer, _) = peer(Options::default(), PIPE_BYTES);
    peer.call(1, "panic_later", json!({})).await;
    peer.notify("withdraw", json!([1])).await;
    peer.call(2, "unheard_of", json!({})).await;
    let rest = peer.rest().await;
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &json!(2)), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_queue_is_not_written_once_its_request_is_withdrawn() {
    // The client reads nothing: the first message fills the pipe, and all others wait.
    let (mut peer, _) = peer(Options::default(), 1);
    peer.call(1, "stream", json!({})).await;
    peer.call(2, "stream", json!({})).await;
    while peer.handle.in_flight().n_running() > 0 {
        tokio::task::yield_now().await;
    }
    peer.notify("withdraw", json!([2])).await;
    peer.notify("withdraw", json!(["no such request"])).await;
    peer.call(3, "nothing", json!({})).await;
    while !matches!(peer.handle.in_flight().cancel(&id("3"), CancelledBy::Program), Lookup::Finished(_)) {
        tokio::task::yield_now().await;
    }
    let messages = peer.rest().await;
    let about = |id: u32| messages.iter().filter(|it| it["id"] == id || it["params"]["id"] == id).count();
    assert_eq!((about(1), about(2), about(3)), (4, 0, 1), "{messages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_request_is_left_out_of_the_answer_to_its_batch() {
    let (mut peer, _) = peer(Options::default(), PIPE_BYTES);
    let call = |id: u32, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
    peer.say(json!([call(1, "stubborn"), call(2, "nothing")]).to_string()).await;
    peer.say(json!([call(3, "stubborn")]).to_string()).await;
    for id in [1, 3] {
        peer.notify("withdraw", json!([id])).await;
    }
    assert_eq!(peer.next().await, json!([{"jsonrpc": "2.0", "id": 2, "result": null}]));
    assert!(peer.rest().await.is_empty(), "a batch without an answer is not answered");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_withdrawn_twice_or_after_another_cancel_is_not_answered() {
    let (mut peer, _) = peer(Options::default(), PIPE_BYTES);
    peer.call(1, "wait", json!({})).await;
    peer.next().await;
    peer.notify("$/cancelRequest", json!({"id": 1})).await;
    peer.notify("withdraw", json!([1])).await;
    peer.notify("withdraw", json!([1])).await;
    assert!(peer.rest().await.is_empty());
}

fn id(text: &str) -> RequestId {
    RequestId::from_raw(serde_json::from_str(text).unwrap()).unwrap()
}
