//! What handlers do before they first wait happens in the order of the input.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;

use super::*;

type Log = Arc<Mutex<Vec<String>>>;

/// Every handler appends its first parameter to the log.
fn logging() -> (Protocol, Log) {
    let log = Log::default();
    let append = {
        let log = log.clone();
        move |params: &Params<'_>| log.lock().unwrap().push(params.parse::<[String; 1]>().unwrap()[0].clone())
    };
    let mut module = behaviours();
    let at_once = append.clone();
    module.register_method("ready", move |params, (), _| at_once(&params)).unwrap();
    let first = append.clone();
    module
        .register_async_method("waits", move |params, _, extensions| {
            let append = first.clone();
            async move {
                append(&params);
                context(&extensions).cancelled().await;
                append(&Params::new(Some(r#"["cancelled"]"#)));
            }
        })
        .unwrap();
    let panics = append.clone();
    module
        .register_async_method("panics", move |params, _, _| {
            let append = panics.clone();
            async move {
                append(&params);
                serde_json::from_str::<u32>("as asked").unwrap()
            }
        })
        .unwrap();
    let notifications = Notifications::new().on("log", move |params, _| append(params));
    (Protocol { methods: module.into(), notifications, ..Protocol::default() }, log)
}

fn message(id: Option<usize>, method: &str, word: &str) -> String {
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": [word]});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    message.to_string()
}

/// Notifications and all kinds of requests in turn, as lines and as batches.
async fn first_steps_are_in_order() {
    const N_ROUNDS: usize = 200;
    let (protocol, log) = logging();
    let mut peer = Peer::over(Connection::new(protocol, Options::default()), Framing::Lines, PIPE_BYTES);
    let mut input = String::new();
    let mut expected = Vec::new();
    for round in 0..N_ROUNDS {
        let kinds = ["log", "waits", "log", "ready", "log", "panics"];
        let messages: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(n, method)| {
                let word = format!("{round}.{n}");
                expected.push(word.clone());
                message((*method != "log").then_some(round * kinds.len() + n), method, &word)
            })
            .collect();
        if round % 2 == 0 {
            input.push_str(&(messages.join("\n") + "\n"));
        } else {
            input.extend(["[", &messages.join(","), "]\n"]);
        }
    }
    let mut to = peer.to.take().unwrap();
    tokio::spawn(async move { to.write_all(input.as_bytes()).await.unwrap() });
    let n_answers: usize = peer.rest().await.iter().map(|it| it.as_array().map_or(1, Vec::len)).sum();
    assert_eq!(n_answers, 3 * N_ROUNDS);
    let mut log = log.lock().unwrap().clone();
    log.retain(|word| word != "cancelled");
    assert_eq!(log, expected);
}

#[tokio::test(start_paused = true)]
async fn requests_and_notifications_take_their_first_step_in_the_order_of_the_input() {
    first_steps_are_in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_and_notifications_take_their_first_step_in_order_on_many_threads() {
    first_steps_are_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_an_answer_of_the_client_goes_on_before_the_next_message() {
    let (protocol, log) = logging();
    let mut peer = Peer::over(Connection::new(protocol, Options::default()), Framing::Lines, PIPE_BYTES);
    peer.say(message(Some(1), "ready", "hello")).await;
    peer.next().await;
    let (handle, seen) = (peer.handle.clone(), log.clone());
    let asked = tokio::spawn(async move {
        let answer: String = handle.request("ask", &json!({})).await.unwrap();
        seen.lock().unwrap().push(answer);
    });
    let request = peer.next().await;
    let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": "answered"});
    let lines =
        format!("{answer}\n{}\n{}\n", message(None, "log", "next"), message(Some(2), "ready", "last"));
    peer.send(lines.as_bytes()).await;
    peer.next().await;
    asked.await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["hello", "answered", "next", "last"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_its_first_step_before_the_notification_after_it_ends_the_connection() {
    let (mut protocol, log) = logging();
    protocol.notifications = protocol.notifications.on("exit", |_, connection| connection.stop());
    let mut peer = Peer::over(Connection::new(protocol, Options::default()), Framing::Lines, PIPE_BYTES);
    let lines = format!(
        "{}\n{}\n{}\n",
        message(Some(1), "ready", "shutdown"),
        message(None, "exit", ""),
        message(Some(2), "ready", "never")
    );
    peer.send(lines.as_bytes()).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": null}));
    assert_eq!(peer.next_text().await, None);
    assert_eq!(peer.end().await, End::Stopped);
    assert_eq!(*log.lock().unwrap(), ["shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_first_step_is_answered_and_affects_nothing_else() {
    let (protocol, log) = logging();
    let mut peer = Peer::over(Connection::new(protocol, Options::default()), Framing::Lines, PIPE_BYTES);
    peer.say(message(Some(1), "waits", "a")).await;
    peer.say(message(Some(2), "panics", "b")).await;
    let answer = peer.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-32603)));
    peer.say(message(Some(2), "ready", "c")).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 2, "result": null}));
    assert_eq!(peer.rest().await, [json!({"jsonrpc": "2.0", "id": 1, "result": null})]);
    assert_eq!(*log.lock().unwrap(), ["a", "b", "c", "cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_inside_a_group_of_futures_is_woken() {
    // Such groups remember which member was woken, and use the waker of the first poll, which does nothing.
    let mut module = behaviours();
    module
        .register_async_method("group", |_, _, _| async {
            let (send, receive) = tokio::sync::oneshot::channel();
            let sleeper = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let _ = send.send(());
            };
            let members: [futures_util::future::BoxFuture<'_, ()>; 2] = [
                Box::pin(sleeper),
                Box::pin(async {
                    let _ = receive.await;
                }),
            ];
            members
                .into_iter()
                .collect::<futures_util::stream::FuturesUnordered<_>>()
                .collect::<Vec<()>>()
                .await;
        })
        .unwrap();
    let mut peer = Peer::new(module, Framing::Lines);
    peer.call(1, "group", json!({})).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": null}));
}
