//! Clients that write but do not read: the memory for them is limited, and requests beyond it are not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;

/// Too small for a single message.
const NARROW: usize = 8;

/// A method that counts its calls and answers with the number of bytes in its params.
fn counting() -> (RpcModule<()>, Arc<AtomicUsize>) {
    let mut module = behaviours();
    let n_calls = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&n_calls);
    module
        .register_method("say", move |params, (), _| {
            counted.fetch_add(1, Ordering::Relaxed);
            "x".repeat(params.parse::<[usize; 1]>().unwrap()[0])
        })
        .unwrap();
    (module, n_calls)
}

fn protocol(methods: RpcModule<()>) -> Protocol {
    Protocol { methods: methods.into(), ..Protocol::default() }
}

fn calls(n: usize, params: &str) -> String {
    let call = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"say","params":{params}}}"#) + "\n";
    (0..n).map(call).collect()
}

/// Writes the text concurrently with the test. What the connection does not read stays with the writer.
fn write(peer: &mut Peer, text: String) -> JoinHandle<DuplexStream> {
    let mut to = peer.to.take().unwrap();
    tokio::spawn(async move {
        to.write_all(text.as_bytes()).await.unwrap();
        to
    })
}

async fn everything_settles() {
    tokio::time::sleep(TIMEOUT).await;
}

#[tokio::test(start_paused = true)]
async fn unread_answers_count_as_requests_in_flight_and_stop_the_reading() {
    let (module, n_calls) = counting();
    let options = Options { max_in_flight: 8, max_queued_messages: 2, ..Options::default() };
    let mut peer = Peer::with(module, Notifications::new(), options, Framing::Lines, NARROW);
    let n_requests = 20_000;
    let writing = write(&mut peer, calls(n_requests, "[1]"));
    everything_settles().await;
    assert!(!writing.is_finished(), "the rest has not been read");
    let n_taken = n_calls.load(Ordering::Relaxed);
    // In flight, in the queue, and at the writer.
    assert!(n_taken <= 8 + 2 + 2, "{n_taken} requests were taken");
    // When the client reads again, each request is answered, if only with a refusal.
    let mut n_answers = 0;
    while n_answers < n_requests {
        let answer = peer.next().await;
        assert!(answer["result"] == "x" || answer["error"]["code"] == -32009, "{answer}");
        n_answers += 1;
    }
    peer.to = Some(writing.await.unwrap());
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_batch_count_until_the_batch_is_sent() {
    let (module, n_calls) = counting();
    let options = Options { max_in_flight: 8, max_queued_messages: 2, ..Options::default() };
    let mut peer = Peer::with(module, Notifications::new(), options, Framing::Lines, NARROW);
    let entry = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"say","params":[1]}}"#);
    let batch = |it: usize| format!("[{},{}]\n", entry(2 * it), entry(2 * it + 1));
    let batches: String = (0..5_000).map(batch).collect();
    let writing = write(&mut peer, batches);
    everything_settles().await;
    assert!(!writing.is_finished());
    let n_taken = n_calls.load(Ordering::Relaxed);
    assert!(n_taken <= 8 + 2 * (2 + 2), "{n_taken} requests were taken");
    for _ in 0..5_000 {
        assert_eq!(peer.next().await.as_array().map(Vec::len), Some(2));
    }
    drop(writing);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_unread_answers_are_limited() {
    let (module, n_calls) = counting();
    let options = Options { max_unread_bytes: 50_000, ..Options::default() };
    let mut peer = Peer::with(module, Notifications::new(), options, Framing::Lines, NARROW);
    // Slow enough that each request is answered before the next one is read.
    for id in 0..20 {
        peer.call(id, "say", json!([10_000])).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    everything_settles().await;
    let n_taken = n_calls.load(Ordering::Relaxed);
    assert!((5..=8).contains(&n_taken), "{n_taken} requests were taken");
    for _ in 0..20 {
        assert_eq!(peer.next().await["result"].as_str().map(str::len), Some(10_000));
    }
    assert_eq!(n_calls.load(Ordering::Relaxed), 20);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_handled_while_there_is_no_room_for_answers() {
    let (module, _) = counting();
    let options = Options { max_unread_bytes: 5_000, ..Options::default() };
    let mut peer = Peer::with(module, Notifications::new(), options, Framing::Lines, NARROW);
    peer.call("a", "wait", json!({})).await;
    peer.call("b", "say", json!([10_000])).await;
    everything_settles().await;
    peer.notify("$/cancelRequest", json!({"id": "a"})).await;
    everything_settles().await;
    assert_eq!(peer.handle.in_flight().n_running(), 0, "ended before anything was read");
    let ids = [peer.next().await, peer.next().await, peer.next().await].map(|it| it["id"].clone());
    assert_eq!(ids, [Value::Null, json!("b"), json!("a")]);
}

#[tokio::test(start_paused = true)]
async fn closing_the_input_ends_a_connection_that_cannot_read_all_of_it() {
    let (module, _) = counting();
    let options = Options { max_in_flight: 4, max_queued_messages: 2, ..Options::default() };
    let connection = Connection::new(protocol(module), options);
    let (hang_up, hung_up) = oneshot::channel::<()>();
    let connection = connection.hung_up_when(async {
        let _ = hung_up.await;
    });
    let (mut to, input) = tokio::io::duplex(PIPE_BYTES);
    let (output, _from) = tokio::io::duplex(NARROW);
    let mut serving = tokio::spawn(connection.serve(input, output));
    to.write_all(calls(1000, "[1]").as_bytes()).await.unwrap();
    everything_settles().await;
    drop(to);
    everything_settles().await;
    assert!(!serving.is_finished(), "reading alone cannot tell");
    let closed = Instant::now();
    hang_up.send(()).unwrap();
    let end = timeout(TIMEOUT, &mut serving).await.unwrap().unwrap();
    assert_eq!(end, End::InputClosed);
    assert!(closed.elapsed() < Duration::from_secs(1), "{:?}", closed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_the_input_is_closed_a_client_that_reads_gets_all_answers() {
    let (module, _) = counting();
    let options = Options { max_in_flight: 4, max_queued_messages: 2, ..Options::default() };
    let connection = Connection::new(protocol(module), options).hung_up_when(async {});
    let (mut to, input) = tokio::io::duplex(PIPE_BYTES);
    let (output, from) = tokio::io::duplex(NARROW);
    let serving = tokio::spawn(connection.serve(input, output));
    to.write_all(calls(1000, "[1]").as_bytes()).await.unwrap();
    drop(to);
    let answers = FramedRead::new(from, FrameDecoder::new(usize::MAX)).count().await;
    assert_eq!(answers, 1000);
    assert_eq!(serving.await.unwrap(), End::InputClosed);
}
