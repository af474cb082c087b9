//! Messages that some server has dropped, misread or crashed on.

use super::*;

/// The code of the error in a response.
#[track_caller]
fn error_code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

async fn still_answers(peer: &mut Peer) {
    peer.call("still", "echo", json!({"a": 1})).await;
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": "still", "result": {"a": 1}}));
}

#[tokio::test(start_paused = true)]
async fn ids_are_echoed_exactly_as_written() {
    let ids = ["0", "-1", "1.5", "1e2", "18446744073709551616", "-0.0", r#""""#, r#""\u0061\/b""#, r#""世""#];
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        for id in ids {
            for method in ["nothing", "fail", "unheard_of", "panic"] {
                peer.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)).await;
                let answer = peer.next_text().await.unwrap();
                assert!(answer.contains(&format!(r#""id":{id},"#)), "{id} {method}: {answer}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_an_invalid_id_is_answered() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    for id in ["null", "true", "[1]", r#"{"a":1}"#] {
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"nothing"}}"#)).await;
        let answer = peer.next().await;
        assert_eq!((error_code(&answer), &answer["id"]), (-32600, &Value::Null), "{id}");
    }
    peer.say(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"nothing"}"#).await;
    assert_eq!(error_code(&peer.next().await), -32600);
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_with_an_id_that_is_too_long_is_answered_without_it() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    let longest = "x".repeat(1022);
    peer.call(longest.as_str(), "nothing", json!({})).await;
    assert_eq!(peer.next().await["id"], longest);
    peer.call(longest + "x", "nothing", json!({})).await;
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["id"]), (-32600, &Value::Null));
    assert_eq!(answer["error"]["message"], "`id` must have at most 1024 bytes, got 1025");
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn no_reader_takes_a_message_for_several_lines() {
    // The characters at which Python's `splitlines` breaks lines and that JSON does not escape.
    let text = "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\u{1c}g\u{1e}h – \u{e000}\u{2027}";
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        let id = format!(r#""id {text}""#).replace(|it: char| it.is_ascii_control(), "");
        let params = serde_json::to_string(&json!({(text): text})).unwrap();
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"echo","params":{params}}}"#)).await;
        let answer = peer.next_text().await.unwrap();
        let breaks =
            ['\u{2028}', '\u{2029}', '\u{85}', '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}'];
        assert!(!answer.contains(breaks), "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["result"], json!({(text): text}));
        assert_eq!(answer["id"], serde_json::from_str::<Value>(&id).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_an_id_in_flight_is_refused_and_the_running_request_continues() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call("a", "wait", json!({})).await;
    assert_eq!(peer.next().await["method"], "waiting");
    // The same id in another spelling.
    peer.say(r#"{"jsonrpc":"2.0","id":"\u0061","method":"nothing"}"#).await;
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["id"]), (-32600, &Value::Null));
    assert!(answer["error"]["message"].as_str().unwrap().contains("in flight"), "{answer}");
    peer.notify("$/cancelRequest", json!({"id": "a"})).await;
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["id"]), (-32800, &json!("a")));
    // After the answer, the id can be used again.
    peer.call("a", "nothing", json!({})).await;
    assert_eq!(peer.next().await["result"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn params_that_are_not_an_object_or_array_are_invalid() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    for params in ["5", r#""s""#, "false"] {
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{params}}}"#)).await;
        assert_eq!(error_code(&peer.next().await), -32600);
    }
    peer.say(r#"{"jsonrpc":"2.0","id":1,"method":"nothing","params":null}"#).await;
    assert_eq!(peer.next().await["result"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_request_is_not_answered() {
    let mut peer = Peer::new(behaviours(), Framing::Headers);
    peer.say(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#).await;
    peer.say(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#).await;
    peer.say(r#"[{"jsonrpc":"2.0","id":9,"result":{}}]"#).await;
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_handler_panics_is_answered() {
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        for method in ["panic", "panic_later"] {
            peer.call(method, method, json!({})).await;
            let answer = peer.next().await;
            assert_eq!((error_code(&answer), &answer["id"]), (-32603, &json!(method)));
        }
        still_answers(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_notification_handler_ends_nothing() {
    let notifications = Notifications::new().on("boom", |_, _| panic!("as asked"));
    let mut peer = Peer::with(behaviours(), notifications, Options::default(), Framing::Lines, PIPE_BYTES);
    peer.notify("boom", json!({})).await;
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_handlers_error_keeps_its_code_and_data() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call(1, "fail", json!({})).await;
    let expected = json!({"code": 1234, "message": "as asked", "data": {"a": 1}});
    assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "error": expected}));
}

#[tokio::test(start_paused = true)]
async fn the_error_for_an_unknown_method_suggests_the_nearest_one() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.call(1, "strem", json!({})).await;
    let answer = peer.next().await;
    assert_eq!(error_code(&answer), -32601);
    assert_eq!(answer["error"]["message"], "unknown method `strem`\nhint: did you mean `stream`?");
    // As in LSP, an unknown `$/` request is an error, and an unknown `$/` notification is ignored.
    peer.call(2, "$/unknown", json!({})).await;
    assert_eq!(error_code(&peer.next().await), -32601);
    peer.notify("$/unknown", json!({})).await;
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_large_is_one_error_and_reading_continues() {
    for framing in BOTH {
        let options = Options { max_frame_bytes: 1000, ..Options::default() };
        let mut peer = Peer::with(behaviours(), Notifications::new(), options, framing, PIPE_BYTES);
        peer.call(1, "echo", json!({"text": "x".repeat(100_000)})).await;
        let answer = peer.next().await;
        assert_eq!((error_code(&answer), &answer["id"]), (-32007, &Value::Null));
        assert_eq!(answer["error"]["data"], json!({"max_frame_bytes": 1000}));
        still_answers(&mut peer).await;
        assert!(peer.rest().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_text_are_a_parse_error() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}\n").await;
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["id"]), (-32700, &Value::Null));
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn bad_headers_are_one_error_and_reading_continues() {
    let mut peer = Peer::new(behaviours(), Framing::Headers);
    peer.send(b"Content-Length: many\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}").await;
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["id"]), (-32700, &Value::Null));
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_may_begin_with_a_byte_order_mark() {
    for framing in BOTH {
        let mut peer = Peer::new(behaviours(), framing);
        peer.send("\u{feff}".as_bytes()).await;
        still_answers(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn headers_may_be_written_in_any_case_and_with_bare_line_feeds() {
    let mut peer = Peer::new(behaviours(), Framing::Headers);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#;
    let head =
        format!("content-type: application/vscode-jsonrpc; charset=utf-8\ncontent-LENGTH:{}\n\n", body.len());
    peer.send(format!("{head}{body}").as_bytes()).await;
    assert_eq!(peer.next().await["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn deep_nesting_is_read_or_refused_but_does_not_overflow_the_stack() {
    let nested = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    let writing = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"nothing","params":{nested}}}"#);
    let Peer { to, .. } = &mut peer;
    // The message is larger than the pipe, so it is written while the connection reads.
    let mut to = to.take().unwrap();
    let write = tokio::spawn(async move {
        to.write_all(format!("{writing}\n{nested}\n").as_bytes()).await.unwrap();
        to
    });
    assert_eq!(peer.next().await["result"], Value::Null);
    assert_eq!(error_code(&peer.next().await[0]), -32600);
    peer.to = Some(write.await.unwrap());
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn batch_entries_run_concurrently_and_are_answered_in_one_response() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    // The first entry ends only because the second one runs concurrently.
    peer.say(
        r#"[{"jsonrpc":"2.0","id":1,"method":"wait"},
            {"jsonrpc":"2.0","id":2,"method":"cancel","params":{"id":1}},
            {"jsonrpc":"2.0","id":1,"method":"nothing"}]"#,
    )
    .await;
    assert_eq!(peer.next().await["method"], "waiting");
    let answer = peer.next().await;
    assert_eq!(answer[0], json!({"jsonrpc": "2.0", "id": 1, "result": "Program"}));
    assert_eq!(answer[1], json!({"jsonrpc": "2.0", "id": 2, "result": ["cancelled", 7]}));
    assert_eq!((error_code(&answer[2]), &answer[2]["id"]), (-32600, &Value::Null), "a repeated id");
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_refused_completely() {
    let mut peer = Peer::new(behaviours(), Framing::Lines);
    peer.say(format!("[{}]", ["1"; 257].join(","))).await;
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["error"]["data"]), (-32010, &json!({"max_batch_entries": 256})));
    still_answers(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_refused() {
    let options = Options { max_in_flight: 2, ..Options::default() };
    let mut peer = Peer::with(behaviours(), Notifications::new(), options, Framing::Lines, PIPE_BYTES);
    for id in 1..=3 {
        peer.call(id, "hang", json!({})).await;
    }
    let answer = peer.next().await;
    assert_eq!((error_code(&answer), &answer["id"]), (-32009, &json!(3)));
}
