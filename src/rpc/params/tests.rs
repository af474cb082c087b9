//! Wrong parameters of clients, and the errors they get.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
struct Turn {
    role: Role,
    content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Chat {
    turns: Vec<Turn>,
    #[serde(default)]
    max_tokens: u32,
    #[serde(default)]
    temperature: f32,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    bias: BTreeMap<u32, f32>,
    schema: Option<serde_json::Value>,
    id: Option<Box<RawValue>>,
    pair: Option<[u32; 2]>,
}

fn chat(params: &str) -> Result<Chat, (String, Option<String>)> {
    parse(&Params::new(Some(params))).map_err(|error| {
        assert_eq!(error.code(), -32602);
        (error.message().to_owned(), error.data().map(|data| data.get().to_owned()))
    })
}

#[track_caller]
fn check(params: &str, message: &str, field: &str) {
    let (got, data) = chat(params).unwrap_err();
    assert_eq!(got, message);
    let data: serde_json::Value = serde_json::from_str(&data.unwrap()).unwrap();
    assert_eq!(data["field"], field);
}

#[test]
fn valid_params_are_read() {
    let params = r#"{
        "turns": [{"role": "user", "content": "hi\n\u00e9"}, {"role": "assistant", "content": null}],
        "max_tokens": 7, "temperature": 1, "stream": true, "bias": {"5": -1.5}, "pair": [1, 2],
        "schema": {"type": ["a", {"b": 1}]}, "id": 1e2
    }"#;
    let chat = chat(params).unwrap();
    assert_eq!(chat.turns[0].content.as_deref(), Some("hi\né"));
    assert!(matches!(chat.turns[1], Turn { role: Role::Assistant, content: None }));
    assert_eq!((chat.max_tokens, chat.stream, chat.pair), (7, true, Some([1, 2])));
    assert!((chat.temperature - 1.0).abs() < f32::EPSILON);
    assert_eq!(chat.bias, BTreeMap::from([(5, -1.5)]));
    assert_eq!(chat.schema.unwrap()["type"][1]["b"], 1);
    assert_eq!(chat.id.unwrap().get(), "1e2", "a raw value keeps its text");
}

#[test]
fn an_unknown_parameter_is_named_with_the_nearest_known_one() {
    check(
        r#"{"turns": [], "max_token": 5}"#,
        "unknown parameter `max_token`\nhint: did you mean `max_tokens`?",
        "max_token",
    );
    check(
        r#"{"turns": [], "maxTokens": 5}"#,
        "unknown parameter `maxTokens`\nhint: did you mean `max_tokens`?",
        "maxTokens",
    );
    check(
        r#"{"turns": [{"role": "user", "contents": "x"}]}"#,
        "unknown parameter `turns[0].contents`\nhint: did you mean `content`?",
        "turns[0].contents",
    );
    let (message, data) = chat(r#"{"zzz": 1}"#).unwrap_err();
    assert!(message.starts_with("unknown parameter `zzz`\nhint: the nearest known one is `"), "{message}");
    assert!(data.unwrap().contains("nearest"));
}

#[test]
fn names_that_belong_to_the_client_are_ignored() {
    let params = r#"{"turns": [{"role": "user", "x_at": 1}], "x_trace": {"a": 1}, "_meta": [5]}"#;
    assert_eq!(chat(params).unwrap().turns.len(), 1);
}

#[test]
fn a_lenient_reader_ignores_unknown_names_and_checks_the_rest() {
    let lenient = |params: &str| parse_lenient::<Chat>(&Params::new(Some(params)));
    let given =
        r#"{"turns": [{"role": "user", "contents": "x", "name": null}], "maxTokens": 5, "stream": true}"#;
    let chat = lenient(given).unwrap();
    assert_eq!((chat.turns.len(), chat.max_tokens, chat.stream), (1, 0, true));
    let error = lenient(r#"{"other": 1, "turns": [{"role": 5, "more": 1}]}"#).unwrap_err();
    assert_eq!(error.code(), -32602);
    assert_eq!(error.message(), "`turns[0].role` must be a string, got 5");
    assert_eq!(error.data().unwrap().get(), r#"{"field":"turns[0].role"}"#);
    assert_eq!(
        lenient("[1]").unwrap_err().message(),
        parse::<Chat>(&Params::new(Some("[1]"))).unwrap_err().message()
    );
}

#[test]
fn a_lenient_reader_accepts_flattened_types() {
    #[derive(Debug, Deserialize)]
    struct Flattened {
        a: u32,
        #[serde(flatten)]
        turn: Turn,
    }
    let flattened: Flattened =
        parse_lenient(&Params::new(Some(r#"{"a": 1, "role": "user", "content": "x", "b": {}}"#))).unwrap();
    assert_eq!((flattened.a, flattened.turn.content.as_deref()), (1, Some("x")));
}

#[test]
fn a_missing_parameter_is_named() {
    check("{}", "`turns` is required", "turns");
    check(r#"{"turns": [{"content": "x"}]}"#, "`turns[0].role` is required", "turns[0].role");
}

#[test]
fn a_wrong_type_is_named_by_its_path() {
    check(
        r#"{"turns": [{"role": "user"}, {"role": 5}]}"#,
        "`turns[1].role` must be a string, got 5",
        "turns[1].role",
    );
    check(
        r#"{"turns": [{"role": "boss"}]}"#,
        "`turns[0].role` must be one of `user`, `assistant`, got `boss`",
        "turns[0].role",
    );
    check(
        r#"{"turns": [{"role": "user", "content": {}}]}"#,
        "`turns[0].content` must be a string, got an object",
        "turns[0].content",
    );
    check(r#"{"turns": {}}"#, "`turns` must be an array, got an object", "turns");
    check(r#"{"turns": ["x"]}"#, "`turns[0]` must be an object, got a string", "turns[0]");
    check(r#"{"turns": [], "stream": 1}"#, "`stream` must be a boolean, got 1", "stream");
    check(
        r#"{"turns": [], "temperature": "hot"}"#,
        "`temperature` must be a number, got a string",
        "temperature",
    );
    check(
        r#"{"turns": [], "temperature": 1e39}"#,
        "`temperature` must be a number within f32, got 1e39",
        "temperature",
    );
    check(r#"{"turns": [], "bias": {"a": 1}}"#, "`bias.a` must be an integer, got text", "bias.a");
    check(r#"{"turns": [], "bias": {"3": "x"}}"#, "`bias.3` must be a number, got a string", "bias.3");
    check(r#"{"turns": [], "pair": [1]}"#, "`pair` must be an array of 2 entries, got 1", "pair");
}

#[test]
fn null_counts_as_absent() {
    let given = chat(r#"{"turns": [], "max_tokens": null, "stream": null, "bias": null}"#).unwrap();
    assert_eq!(format!("{given:?}"), format!("{:?}", chat(r#"{"turns": []}"#).unwrap()));
    check(r#"{"turns": null}"#, "`turns` is required", "turns");
    let message = "unknown parameter `turn`\nhint: did you mean `turns`?";
    check(r#"{"turns": [], "turn": null}"#, message, "turn");
}

#[test]
fn the_error_for_an_integer_out_of_range_states_the_range() {
    for wrong in ["-1", "1.5", "4294967296", "1e3"] {
        check(
            &format!(r#"{{"turns": [], "max_tokens": {wrong}}}"#),
            &format!("`max_tokens` must be an integer from 0 to 4294967295, got {wrong}"),
            "max_tokens",
        );
    }
}

#[test]
fn a_repeated_parameter_is_named() {
    check(
        r#"{"turns": [], "stream": true, "stream": false}"#,
        "`stream` must be given once, got it twice",
        "stream",
    );
}

#[test]
fn half_a_surrogate_pair_is_not_text() {
    check(
        r#"{"turns": [{"role": "user", "content": "\ud800"}]}"#,
        "`turns[0].content` must be Unicode text, got a string",
        "turns[0].content",
    );
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
    let depth = 200_000;
    let params = format!(r#"{{"turns": [], "schema": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let (message, _) = chat(&params).unwrap_err();
    assert!(message.starts_with("`schema`: recursion limit exceeded"), "{message}");
}

#[test]
fn parameters_by_position_are_refused_unless_there_are_none() {
    #[derive(Debug, Deserialize)]
    struct Nothing {}
    let none = |params: Option<&str>| parse::<Nothing>(&Params::new(params));
    assert!(none(None).is_ok());
    assert!(none(Some("[]")).is_ok());
    assert!(none(Some(" [ ] ")).is_ok());
    assert!(none(Some("{}")).is_ok());
    assert!(none(Some(r#"{"a":1}"#)).is_err());
    let error = none(Some("[1]")).unwrap_err();
    assert_eq!(error.code(), -32602);
    assert!(error.message().starts_with("`params` must be an object, got an array"), "{}", error.message());
}

#[test]
fn a_method_can_tell_which_set_of_parameters_was_given() {
    let params = Params::new(Some(r#"{"turns": [], "\u0061": {"b": 1}}"#));
    assert!(has(&params, "turns"));
    assert!(has(&params, "a"));
    assert!(!has(&params, "b"));
    assert!(!has(&Params::new(None), "a"));
}

#[test]
fn an_unknown_null_is_absent_within_objects_and_refused_on_top() {
    let read = chat(r#"{"turns": [{"role": "user", "content": "a", "refusal": null}]}"#).unwrap();
    assert_eq!(read.turns.len(), 1);
    check(
        r#"{"turns": [{"role": "user", "refusal": "no"}]}"#,
        "unknown parameter `turns[0].refusal`\nhint: the nearest known one is `role`",
        "turns[0].refusal",
    );
    check(
        r#"{"turns": [], "refusal": null}"#,
        "unknown parameter `refusal`\nhint: the nearest known one is `temperature`",
        "refusal",
    );
}
