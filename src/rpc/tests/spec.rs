//! The examples of the JSON-RPC 2.0 specification, section 7, in both framings.

use super::*;

fn methods() -> RpcModule<()> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Subtract {
        ByPosition(i64, i64),
        ByName { minuend: i64, subtrahend: i64 },
    }
    let mut module = RpcModule::new(());
    module
        .register_method("subtract", |params, (), _| {
            params.parse().map(|params| match params {
                Subtract::ByPosition(a, b) | Subtract::ByName { minuend: a, subtrahend: b } => a - b,
            })
        })
        .unwrap();
    module
        .register_method("sum", |params, (), _| {
            params.parse().map(|params: Vec<i64>| params.iter().sum::<i64>())
        })
        .unwrap();
    module.register_method("get_data", |_, (), _| json!(["hello", 5])).unwrap();
    module
}

/// The name of each example, what the client sends, and the response; an error is given by its code.
const EXAMPLES: &[(&str, &str, Option<&str>)] = &[
    (
        "positional parameters",
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 1}"#),
    ),
    (
        "positional parameters in another order",
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#,
        Some(r#"{"jsonrpc": "2.0", "result": -19, "id": 2}"#),
    ),
    (
        "named parameters",
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 3}"#),
    ),
    (
        "named parameters in another order",
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 4}"#),
    ),
    ("a notification", r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, None),
    ("a notification without parameters", r#"{"jsonrpc": "2.0", "method": "foobar"}"#, None),
    (
        "a method that does not exist",
        r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
        Some(r#"{"jsonrpc": "2.0", "error": -32601, "id": "1"}"#),
    ),
    (
        "invalid JSON",
        r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
        Some(r#"{"jsonrpc": "2.0", "error": -32700, "id": null}"#),
    ),
    (
        "an invalid request object",
        r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
        Some(r#"{"jsonrpc": "2.0", "error": -32600, "id": null}"#),
    ),
    (
        "a batch, invalid JSON",
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method" ]"#,
        Some(r#"{"jsonrpc": "2.0", "error": -32700, "id": null}"#),
    ),
    ("an empty array", "[]", Some(r#"{"jsonrpc": "2.0", "error": -32600, "id": null}"#)),
    ("an invalid batch, not empty", "[1]", Some(r#"[{"jsonrpc": "2.0", "error": -32600, "id": null}]"#)),
    (
        "an invalid batch",
        "[1,2,3]",
        Some(
            r#"[{"jsonrpc": "2.0", "error": -32600, "id": null}, {"jsonrpc": "2.0", "error": -32600, "id": null},
                {"jsonrpc": "2.0", "error": -32600, "id": null}]"#,
        ),
    ),
    (
        "a batch",
        r#"[
            {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]"#,
        Some(
            r#"[
                {"jsonrpc": "2.0", "result": 7, "id": "1"},
                {"jsonrpc": "2.0", "result": 19, "id": "2"},
                {"jsonrpc": "2.0", "error": -32600, "id": null},
                {"jsonrpc": "2.0", "error": -32601, "id": "5"},
                {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
            ]"#,
        ),
    ),
    (
        "a batch of notifications",
        r#"[
            {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
        ]"#,
        None,
    ),
];

/// Replaces an error by its code, since the specification leaves its text open.
fn with_codes(mut answer: Value) -> Value {
    let entries = match &mut answer {
        Value::Array(entries) => entries.iter_mut().collect(),
        single => vec![single],
    };
    for entry in entries {
        if let Some(error) = entry.get_mut("error") {
            assert!(!error["message"].as_str().unwrap().is_empty());
            *error = error["code"].take();
        }
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn all_examples_of_the_specification_hold_in_both_framings() {
    for framing in BOTH {
        for (what, said, answered) in EXAMPLES {
            let mut peer = Peer::new(methods(), framing);
            peer.say(said).await;
            let answers: Vec<Value> = peer.rest().await.into_iter().map(with_codes).collect();
            let expected: Vec<Value> =
                answered.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            assert_eq!(answers, expected, "{what}, {framing:?}");
            assert_eq!(peer.end().await, End::InputClosed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_examples_hold_one_after_the_other_on_one_connection() {
    for framing in BOTH {
        let mut peer = Peer::new(methods(), framing);
        for (what, said, answered) in EXAMPLES {
            peer.say(said).await;
            if let Some(text) = answered {
                let expected: Value = serde_json::from_str(text).unwrap();
                assert_eq!(with_codes(peer.next().await), expected, "{what}, {framing:?}");
            }
        }
        assert!(peer.rest().await.is_empty());
    }
}
