//! Tables of messages as clients may send them, and their classification.

#![allow(clippy::unwrap_used)]

use super::*;

const MAX_BATCH_ENTRIES: usize = 4;

/// A message in a form that is easy to compare: `request ID METHOD PARAMS`, `invalid ID CODE`, ...
fn summary(message: &Message<'_>) -> String {
    let params = |params: Option<&RawValue>| params.map_or("-", RawValue::get).to_owned();
    match message {
        Message::Request { id, method, params: p } => format!("request {id} {method} {}", params(*p)),
        Message::Notification { method, params: p } => format!("notification {method} {}", params(*p)),
        Message::Answer(Answer { id, .. }) => format!("answer {}", id.map_or("-", RawValue::get)),
        Message::NullAnswer { id, error } => {
            format!("null answer {id}, or invalid {}", error.to_error().code())
        }
        Message::Batch(entries) => {
            format!("batch [{}]", entries.iter().map(summary).collect::<Vec<_>>().join("; "))
        }
        Message::Invalid { id, error } => {
            let id = id.as_ref().map_or("null".to_owned(), ToString::to_string);
            format!("invalid {id} {}", error.to_error().code())
        }
    }
}

fn check(text: &str, expected: &str) {
    assert_eq!(
        summary(&classify(text.as_bytes(), MAX_BATCH_ENTRIES, Strictness::default())),
        expected,
        "{text}"
    );
}

#[test]
fn requests_and_notifications_differ_by_the_id() {
    check(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1}}"#, r#"request 1 m {"a":1}"#);
    check(r#" {"method":"m","id":"x","jsonrpc":"2.0","params":[1, 2]} "#, r#"request "x" m [1, 2]"#);
    check(r#"{"jsonrpc":"2.0","method":"m"}"#, "notification m -");
    check(r#"{"jsonrpc":"2.0","method":"m","params":null}"#, "notification m -");
    check(r#"{"jsonrpc":"2.0","method":"m","extra":{"id":3}}"#, "notification m -");
    check(r#"{"\u006asonrpc":"\u0032.0","\u0069d":7,"method":"\u006d"}"#, "request 7 m -");
}

#[test]
fn an_id_beyond_u64_makes_a_request_not_a_notification() {
    for id in ["-1", "1.5", "18446744073709551616", "1e2", "0", r#""""#, r#""\u00e9""#] {
        check(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#), &format!("request {id} m -"));
    }
}

#[test]
fn an_invalid_id_makes_an_invalid_message_not_a_notification() {
    for id in ["null", "true", "[1]", r#"{"a":1}"#, r#""\ud800""#] {
        check(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#), "invalid null -32600");
    }
}

#[test]
fn a_repeated_member_is_invalid() {
    check(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#, "invalid null -32600");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#, "invalid null -32600");
}

#[test]
fn params_are_an_object_or_an_array() {
    for params in ["5", r#""s""#, "true"] {
        check(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#), "invalid 1 -32600");
    }
}

#[test]
fn an_invalid_request_is_answered_under_its_id() {
    check(r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, "invalid 1 -32600");
    check(r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, "invalid 1 -32600");
    check(r#"{"id":"a","method":"m"}"#, r#"invalid "a" -32600"#);
    check(r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "invalid 1 -32600");
    check(r#"{"jsonrpc":"2.0","id":1,"params":{}}"#, "invalid 1 -32600");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"m","result":0}"#, "invalid 1 -32600");
    check("{}", "invalid null -32600");
}

#[test]
fn json_that_is_not_an_object_is_an_invalid_request_not_a_parse_error() {
    for text in ["5", r#""s""#, "null", "true", "-1e5"] {
        check(text, "invalid null -32600");
    }
}

#[test]
fn text_that_is_not_json_is_a_parse_error() {
    for text in ["", "{", r#"{"jsonrpc":"2.0","id":1"#, "hello", "{} {}", "{'a':1}", "[1,", "\u{0}", "[1] x"]
    {
        check(text, "invalid null -32700");
    }
    assert_eq!(
        summary(&classify(b"{\"jsonrpc\":\"2.0\xff\"}", 1, Strictness::default())),
        "invalid null -32700"
    );
}

#[test]
fn answers_are_recognized_even_if_malformed() {
    check(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#, "answer 9");
    check(r#"{"jsonrpc":"2.0","id":9.0,"result":null}"#, "answer 9.0");
    check(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#, "answer null");
    check(r#"{"id":9,"result":1,"error":{}}"#, "answer 9");
    check(r#"{"result":1}"#, "answer -");
    check(r#"{"id":[1],"error":5}"#, "answer [1]");
    check(r#"{"id":1,"id":2,"result":1}"#, "answer -");
    check(r#"{"id":1,"error":1,"error":1}"#, "answer -");
    let long_id = format!("{:?}", "x".repeat(MAX_ID_BYTES));
    check(&format!(r#"{{"id":{long_id},"result":1}}"#), &format!("answer {long_id}"));
}

#[test]
fn an_id_alone_may_be_the_answer_of_a_client_whose_result_is_undefined() {
    check(r#"{"jsonrpc":"2.0","id":1}"#, "null answer 1, or invalid -32600");
    check(r#"{"id":1}"#, "invalid 1 -32600");
    check(r#"{"jsonrpc":"2.0","id":null}"#, "invalid null -32600");
}

#[test]
fn the_version_is_ignored_if_it_is_not_required() {
    let lenient = Strictness { requires_version: false, ..Strictness::default() };
    for version in ["", r#""jsonrpc":"1.0","#, r#""jsonrpc":null,"#] {
        let text = format!(r#"{{{version}"id":1,"method":"m"}}"#);
        assert_eq!(summary(&classify(text.as_bytes(), 1, lenient)), "request 1 m -", "{text}");
    }
    assert_eq!(summary(&classify(br#"{"id":1}"#, 1, lenient)), "null answer 1, or invalid -32600");
}

#[test]
fn batches_are_classified_entry_by_entry() {
    check("[]", "invalid null -32600");
    check(
        r#"[{"jsonrpc":"2.0","id":1,"method":"m"}, 1, [], {"jsonrpc":"2.0","method":"n"}]"#,
        "batch [request 1 m -; invalid null -32600; invalid null -32600; notification n -]",
    );
    check("[1,2,3,4]", &format!("batch [{}]", ["invalid null -32600"; 4].join("; ")));
    check("[1,2,3,4,5]", "invalid null -32010");
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let depth = 1_000_000;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(&nested, "batch [invalid null -32600]");
    let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    check(&objects, "invalid null -32600");
    check(
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{nested}}}"#),
        &format!("request 1 m {nested}"),
    );
    check(&"[".repeat(depth), "invalid null -32700");
}

#[test]
fn errors_name_what_was_expected_then_what_was_got() {
    let text = |json: &str| match classify(json.as_bytes(), MAX_BATCH_ENTRIES, Strictness::default()) {
        Message::Invalid { error, .. } => error.to_string(),
        other => summary(&other),
    };
    assert_eq!(text("5"), "message must be an object or an array of objects, got a number");
    assert_eq!(text(r#"{"id":1,"method":"m"}"#), r#"`jsonrpc` must be "2.0", got none"#);
    assert_eq!(text(r#"{"jsonrpc":"2.0","id":1,"method":5}"#), "`method` must be a string, got 5");
    assert_eq!(
        text(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":5}"#),
        "`params` must be an object or an array, got a number"
    );
    assert_eq!(
        text(r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#),
        "`id` must be a string or a number, got null"
    );
}
