//! Properties for any input: no panic, one response per request, and reading continues.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Runs one case with its own paused clock.
fn with_clock<T>(case: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(case)
}

const REQUEST: &str = r#"{"jsonrpc":"2.0","id":"last","method":"nothing"}"#;

fn rubbish() -> impl Strategy<Value = Vec<u8>> {
    let json_like = r#"[\[\]{}:,"0-9a-z\\u\n ]{0,60}"#.prop_map(String::into_bytes);
    let near_miss = prop::sample::select(vec![
        r#"{"jsonrpc":"2.0","id":1,"method":"stream","params":"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"nothing"},"#,
        r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#,
        "Content-Length: 3\r\n\r\n{}",
        "Content-Length: 1",
        "\u{feff}",
        "\r\n",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    prop::collection::vec(prop_oneof![prop::collection::vec(any::<u8>(), 0..40), json_like, near_miss], 0..8)
        .prop_map(|pieces| pieces.concat())
}

#[derive(Clone, Debug)]
enum Act {
    Call {
        id: u8,
        method: &'static str,
    },
    Cancel {
        id: u8,
    },
    CancelRequest {
        id: u8,
    },
    /// The entries have their own ids: if a client reused one before the batch is answered, it could not tell the
    /// answers apart.
    Batch(Vec<&'static str>),
    Breathe,
}

fn act() -> impl Strategy<Value = Act> {
    let id = 0..6_u8;
    let method =
        prop::sample::select(vec!["nothing", "stream", "wait", "hang", "panic", "fail", "unheard_of"]);
    prop_oneof![
        4 => (id.clone(), method.clone()).prop_map(|(id, method)| Act::Call { id, method }),
        1 => id.clone().prop_map(|id| Act::Cancel { id }),
        2 => id.clone().prop_map(|id| Act::CancelRequest { id }),
        1 => prop::collection::vec(method, 1..4).prop_map(Act::Batch),
        1 => Just(Act::Breathe),
    ]
}

proptest! {
    // proptest looks for its file of failures in a place that this crate does not have.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_rubbish_the_next_line_is_answered(rubbish in rubbish()) {
        with_clock(async {
            let mut peer = Peer::new(behaviours(), Framing::Lines);
            // The first line decides the framing, and the line break ends whatever the rubbish began.
            peer.say(r#"{"jsonrpc":"2.0","id":"first","method":"nothing"}"#).await;
            peer.send(&rubbish).await;
            peer.send(b"\n").await;
            peer.say(REQUEST).await;
            let messages = peer.rest().await;
            assert_eq!(messages.iter().filter(|it| it["id"] == "last").count(), 1);
            assert_eq!(peer.end().await, End::InputClosed);
        });
    }

    #[test]
    fn after_any_rubbish_a_header_block_is_found_again(rubbish in rubbish()) {
        with_clock(async {
            let mut peer = Peer::new(behaviours(), Framing::Headers);
            peer.say(r#"{"jsonrpc":"2.0","id":"first","method":"nothing"}"#).await;
            peer.send(&rubbish).await;
            // A block directly after the rubbish may be lost with it, and one more if the rubbish has a length.
            for _ in 0..4 {
                peer.say(REQUEST).await;
            }
            let messages = peer.rest().await;
            assert!(messages.iter().any(|it| it["id"] == "last"), "{messages:?}");
        });
    }

    #[test]
    fn each_request_has_one_response_and_nothing_comes_after_it(acts in prop::collection::vec(act(), 0..20)) {
        with_clock(async {
            let mut peer = Peer::new(behaviours(), Framing::Lines);
            let mut n_requests = 0;
            for (n, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Call { id, method } => {
                        n_requests += 1;
                        peer.call(id, method, json!({})).await;
                    }
                    Act::Cancel { id } => {
                        n_requests += 1;
                        peer.call(format!("cancel {n}"), "cancel", json!({"id": id})).await;
                    }
                    Act::CancelRequest { id } => peer.notify("$/cancelRequest", json!({"id": id})).await,
                    Act::Batch(calls) => {
                        n_requests += calls.len();
                        let call = |(entry, method)| json!({"jsonrpc": "2.0", "id": format!("{n}.{entry}"), "method": method});
                        let calls: Vec<Value> = calls.into_iter().enumerate().map(call).collect();
                        peer.say(json!(calls).to_string()).await;
                    }
                    Act::Breathe => tokio::task::yield_now().await,
                }
            }
            let messages = peer.rest().await;
            // A request whose id is in flight is refused under no id, so responses with ids and refusals together count
            // all.
            let mut pieces: HashMap<String, u64> = HashMap::new();
            let mut n_responses = 0;
            for message in messages {
                if message["method"] == "piece" {
                    let expected = pieces.entry(message["params"]["id"].to_string()).or_default();
                    assert_eq!(message["params"]["seq"], *expected, "pieces are in order");
                    *expected += 1;
                } else if message["method"].is_null() {
                    let responses = match message {
                        Value::Array(responses) => responses,
                        single => vec![single],
                    };
                    n_responses += responses.len();
                    for response in responses {
                        let n_pieces = pieces.remove(&response["id"].to_string()).unwrap_or(0);
                        if response["result"] == "done" {
                            assert_eq!(n_pieces, 3, "all pieces come before the response");
                        }
                    }
                }
            }
            assert!(pieces.is_empty(), "pieces after their response: {pieces:?}");
            assert_eq!(n_responses, n_requests);
        });
    }
}
