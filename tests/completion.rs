//! Guarantees for completions: where they end, which text is never sent, and the word at the cursor.
//!
//! A bias makes the tiny model generate certain bytes. How rules work on real text is tested with the rules themselves.

use serde_json::{Value, json};

use crate::support::Worker;

/// A bias that makes the model generate these bytes, the first one most often; each occurrence makes a byte less
/// likely.
fn saying(bytes: &[u8]) -> Value {
    let weights = (0..).zip(bytes).map(|(i, byte)| (byte.to_string(), json!(100 - 10 * i)));
    Value::Object(weights.collect())
}

#[test]
fn a_rule_that_ends_a_text_is_named_and_the_text_it_cuts_is_never_sent() {
    let mut worker = Worker::tiny();
    let params = json!({"prefix": "x = f(", "suffix": ")\n", "path": "a.py", "logit_bias": saying(b"a)"),
                        "frequency_penalty": 2.0, "max_tokens": 50});
    let id = worker.request("complete", &params);
    let result = worker.result(id);
    assert_eq!((&result["finish_reason"], &result["rule"]), (&json!("rule"), &json!("bracket")), "{result}");
    assert!(result["text"].as_str().unwrap().bytes().all(|it| it == b'a'), "{result}");
    assert_eq!(worker.streamed_text(id), result["text"]);
    assert!(result["usage"]["completion_tokens"].as_u64().unwrap() < 50, "generation stopped: {result}");
}

#[test]
fn a_rule_that_is_off_does_not_apply_and_an_unknown_one_is_refused() {
    let mut worker = Worker::tiny();
    let mut params =
        json!({"prefix": "x = f(", "suffix": ")\n", "logit_bias": saying(b")"), "max_tokens": 5});
    assert_eq!(worker.call("complete", &params)["text"], "");
    params["rules"] = json!({"off": ["bracket"]});
    assert_eq!(worker.call("complete", &params)["text"], ")))))");
    params["rules"] = json!({"off": ["brackets"]});
    let error = worker.call_error("complete", &params);
    assert_eq!(error["code"], -32602, "{error}");
}

#[test]
fn mode_raw_has_no_rules() {
    let mut worker = Worker::tiny();
    let params = json!({"prefix": "f(", "mode": "raw", "logit_bias": saying(b")"), "max_tokens": 5});
    let result = worker.call("complete", &params);
    assert_eq!((&result["text"], &result["finish_reason"]), (&json!(")))))"), &json!("length")));
}

#[test]
fn the_word_at_the_cursor_is_generated_again_and_not_part_of_the_text() {
    let mut worker = Worker::tiny();
    // The model has a token for each byte, so the word is three tokens, and the space before it is another one.
    let params =
        json!({"prefix": "x = abc", "logit_bias": saying(b"d"), "max_tokens": 6, "return_tokens": true});
    let id = worker.request("complete", &params);
    let result = worker.result(id);
    assert_eq!(result["text"], "ddd", "{result}");
    assert_eq!(result["tokens"], json!([97, 98, 99, 100, 100, 100]));
    assert_eq!(worker.streamed_text(id), "ddd");
    let mut unhealed = params;
    unhealed["healing"] = json!(false);
    assert_eq!(worker.call("complete", &unhealed)["tokens"], json!([100, 100, 100, 100, 100, 100]));
}

#[test]
fn equal_texts_are_one_choice() {
    let mut worker = Worker::tiny();
    let params =
        json!({"prefix": "x = ", "n": 3, "temperature": 1, "logit_bias": saying(b"a"), "max_tokens": 4});
    let result = worker.call("complete", &params);
    let choices = result["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 1, "{result}");
    assert_eq!((&choices[0]["index"], &choices[0]["text"]), (&json!(0), &json!("aaaa")));
}

/// A completion of several lines, with LF line ends.
fn of_lines() -> Value {
    json!({"prefix": "x = [\n    1,\n", "suffix": "\n]\n", "path": "a.py", "logit_bias": {"97": 100, "98": 99.5, "10": 99},
           "context": [{"path": "b.py", "text": "y = 1\nz = 2\n"}],
           "rules": {"off": ["line", "statement", "block", "indentation", "repetition", "suffix", "blank"]},
           "frequency_penalty": 2.0, "max_tokens": 24})
}

/// The same params from an editor with CRLF line ends.
fn in_crlf(params: &Value) -> Value {
    let text = |it: &Value| json!(it.as_str().unwrap().replace('\n', "\r\n"));
    let mut params = params.clone();
    for field in ["prefix", "suffix"] {
        params[field] = text(&params[field]);
    }
    params["context"][0]["text"] = text(&params["context"][0]["text"]);
    params
}

#[test]
fn a_crlf_file_gets_the_same_text_as_in_lf_with_crlf_line_ends() {
    let mut worker = Worker::tiny();
    let lf = worker.call("complete", &of_lines());
    let text = lf["text"].as_str().unwrap();
    assert!(text.matches('\n').count() > 2 && !text.contains('\r'), "{lf}");
    let id = worker.request("complete", &in_crlf(&of_lines()));
    let crlf = worker.result(id);
    assert_eq!(crlf["text"], json!(text.replace('\n', "\r\n")));
    assert_eq!(crlf["usage"]["prompt_tokens"], lf["usage"]["prompt_tokens"], "the prompt is in LF");
    assert_eq!(worker.streamed_text(id), crlf["text"]);
    // Mode `raw` leaves line ends unchanged.
    let raw = |prefix: &str| json!({"prefix": prefix, "mode": "raw", "max_tokens": 1});
    let n_tokens = |result: &Value| result["usage"]["prompt_tokens"].as_u64().unwrap();
    let lf = n_tokens(&worker.call("complete", &raw("a\nb")));
    assert_eq!(n_tokens(&worker.call("complete", &raw("a\r\nb"))), lf + 1);
}

#[test]
fn any_line_end_as_a_stop_string_matches_those_of_a_crlf_file() {
    let mut worker = Worker::tiny();
    let whole = worker.call("complete", &of_lines())["text"].as_str().unwrap().to_owned();
    let first = whole.split('\n').next().unwrap();
    for stop in ["\n", "\r\n", "\r"] {
        let mut params = in_crlf(&of_lines());
        params["stop"] = json!([stop]);
        let result = worker.call("complete", &params);
        assert_eq!((&result["text"], &result["finish_reason"]), (&json!(first), &json!("stop")), "{stop:?}");
    }
}

#[test]
fn typing_continues_a_suggestion_across_crlf_line_ends() {
    let mut worker = Worker::tiny();
    let mut params = in_crlf(&of_lines());
    params["document"] = json!("file:///a");
    let text = worker.call("complete", &params)["text"].as_str().unwrap().to_owned();
    let n_typed = text.find("\r\n").unwrap() + 2;
    params["prefix"] = json!(params["prefix"].as_str().unwrap().to_owned() + &text[..n_typed]);
    let result = worker.call("complete", &params);
    assert_eq!(
        (&result["text"], &result["usage"]["completion_tokens"]),
        (&json!(text[n_typed..]), &json!(0))
    );
}

#[test]
fn half_of_a_line_end_is_never_sent() {
    let mut worker = Worker::tiny();
    let params = json!({"prefix": "x = 1", "suffix": "\r\n", "mode": "line", "logit_bias": saying(b"\r\n"),
                        "frequency_penalty": 2.0, "max_tokens": 8});
    let result = worker.call("complete", &params);
    assert_eq!(result["text"], "", "{result}");
}

#[test]
fn status_reports_the_completion_format() {
    let mut worker = Worker::tiny();
    worker.call("complete", &json!({"prefix": "a", "max_tokens": 1}));
    let status = worker.call("status", &json!({}));
    assert_eq!(status["model"]["completion_format"], "qwen");
}
