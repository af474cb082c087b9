//! The method `next_edit`, with the tiny model and with a real one: whatever the model answers, the edits fit the document.

use serde_json::{Value, json};

use crate::support::{Worker, named_model};

const PREFIX: &str = "\
def area(width, height):\n    return width * height\n\n\ndef volume(width, height, depth):\n    return area(width, ";
const SUFFIX: &str = ") * depth\n\n\nprint(volume(2, 3, 4))\n";

fn request(format: &str) -> Value {
    json!({
        "prefix": PREFIX, "suffix": SUFFIX, "path": "shapes.py", "format": format,
        "edits": [{"original": "def area(w, h):\n    return w * h\n", "updated": "def area(width, height):\n    return width * height\n"}],
    })
}

/// The document after the edits of a result, which must be in order.
fn applied(document: &str, result: &Value) -> String {
    let chars: Vec<char> = document.chars().collect();
    let (mut text, mut at) = (String::new(), 0);
    for edit in result["edits"].as_array().unwrap() {
        let [start, end] = ["start", "end"].map(|it| usize::try_from(edit[it].as_u64().unwrap()).unwrap());
        assert!(at <= start && start <= end && end <= chars.len(), "{result}");
        text.extend(&chars[at..start]);
        text.push_str(edit["text"].as_str().unwrap());
        at = end;
    }
    text.extend(&chars[at..]);
    let first = &result["edits"][0]["start"];
    assert_eq!(&result["jump_to"], first, "{result}");
    text
}

#[test]
fn a_model_that_writes_nonsense_changes_nothing() {
    let mut worker = Worker::tiny();
    let result = worker.call("next_edit", &request("sweep"));
    assert_eq!((&result["edits"], &result["source"]), (&json!([]), &json!("sweep")), "{result}");
    assert!(result.get("jump_to").is_none() && result.get("confidence").is_none(), "{result}");
}

#[test]
fn a_format_whose_tokens_the_model_does_not_have_is_refused() {
    let mut worker = Worker::tiny();
    let error = worker.call_error("next_edit", &request("zeta-2"));
    assert_eq!(error["data"], json!({"kind": "unsupported", "field": "format"}), "{error}");
    let mut params = request("auto");
    params["format"] = json!("zeta");
    assert_eq!(worker.call_error("next_edit", &params)["code"], -32602);
    params = request("auto");
    params["min_confidence"] = json!(2);
    assert_eq!(worker.call_error("next_edit", &params)["data"]["field"], "min_confidence");
}

#[test]
fn a_real_model_fills_in_at_the_place_of_the_latest_edit() {
    let mut worker = Worker::serving(&named_model("qwen2.5-coder-0.5b"), &[]);
    let document = "def mean(values):\n    return sum(values) / len(values)\n\n\ndef variance(values):\n    center = \n    \
                    return sum((it - center) ** 2 for it in values) / len(values)\n";
    let params = json!({
        "prefix": document, "suffix": "", "path": "stats.py",
        "edits": [{"original": "    c\n", "updated": "    center = \n", "line": 5}],
    });
    let result = worker.call("next_edit", &params);
    assert_eq!(result["source"], "fill_in_the_middle", "{result}");
    let new = applied(document, &result);
    assert_eq!(new, document.replace("center = \n", "center = mean(values)\n"));
    assert!(result["confidence"].as_f64().unwrap() > 0.5, "{result}");
    // The same file in an editor that ends lines with CRLF.
    let mut crlf = params;
    crlf["prefix"] = json!(document.replace('\n', "\r\n"));
    let result = worker.call("next_edit", &crlf);
    assert_eq!(applied(&document.replace('\n', "\r\n"), &result), new.replace('\n', "\r\n"));
}

#[test]
fn what_a_real_model_rewrites_fits_the_document() {
    let mut worker = Worker::serving(&named_model("qwen2.5-coder-0.5b"), &[]);
    let document = format!("{PREFIX}{SUFFIX}");
    let result = worker.call("next_edit", &request("sweep"));
    let new = applied(&document, &result);
    // It was not made for this, so it may well change nothing.
    assert!(new.contains("def area(") && new.contains("def volume("), "{new}");
    assert_eq!(result["edits"].as_array().unwrap().is_empty(), result["confidence"].is_null(), "{result}");
}
