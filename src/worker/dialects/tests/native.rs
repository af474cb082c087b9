//! Turns of a conversation in the native dialect: reasoning, and calls of tools.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::peer::{Peer, app};

/// The answer to a conversation, with the joined deltas of its reasoning and of its content.
async fn chat(said: &str, more: &Value) -> (Value, String, String) {
    let model = ScriptedModel::saying(said);
    let mut client = Peer::of(&app(model));
    let mut params = json!({"messages": [{"role": "user", "content": "Is it?"}]});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "chat", "params": params})).await;
    let (before, answer) = client.answer(1).await;
    let deltas = before.iter().filter(|it| it["method"] == "delta").map(|it| &it["params"]);
    let (mut reasoning, mut content) = (String::new(), String::new());
    for (delta, seq) in deltas.zip(0..) {
        assert_eq!(delta["seq"], seq);
        let text = if delta["reasoning"] == true { &mut reasoning } else { &mut content };
        text.push_str(delta["text"].as_str().unwrap());
    }
    (answer, reasoning, content)
}

fn tools() -> Value {
    json!({"tools": [
        {"type": "function", "function": {
            "name": "find",
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}},
        }},
        {"type": "function", "function": {"name": "now"}},
    ]})
}

#[tokio::test]
async fn reasoning_is_told_apart_from_the_answer() {
    let said = "<think>\nhm\n</think>\n\nYes.";
    for stream in [true, false] {
        let (answer, reasoning, content) = chat(said, &json!({"stream": stream})).await;
        let message = json!({"role": "assistant", "content": "Yes.", "reasoning": "hm"});
        assert_eq!(answer["result"]["message"], message);
        let streamed = if stream { ("hm", "Yes.") } else { ("", "") };
        assert_eq!((reasoning.as_str(), content.as_str()), streamed);
    }
}

#[tokio::test]
async fn reasoning_that_is_cut_off_is_no_answer() {
    let (answer, reasoning, content) = chat("<think>\nhm and hm", &json!({"max_tokens": 12})).await;
    let result = &answer["result"];
    assert_eq!(result["message"], json!({"role": "assistant", "content": "", "reasoning": "hm a"}));
    assert_eq!(
        (result["finish_reason"].as_str(), reasoning.as_str(), &*content),
        (Some("length"), "hm a", "")
    );
}

#[tokio::test]
async fn calls_of_tools_are_read() {
    let said = "I look.\n<tool_call>\n{\"name\": \"find\", \"arguments\": {\"text\": \"a\", \"n\": 2}}\n</tool_call>\n<tool_call>{\"name\": \"now\"}</tool_call>";
    let (answer, _, content) = chat(said, &tools()).await;
    let result = &answer["result"];
    assert_eq!(result["finish_reason"], "tool_calls", "{answer}");
    assert_eq!((result["message"]["content"].as_str(), content.as_str()), (Some("I look."), "I look."));
    let calls = result["message"]["tool_calls"].as_array().unwrap();
    let functions: Vec<&Value> = calls.iter().map(|it| &it["function"]).collect();
    let find = json!({"name": "find", "arguments": {"text": "a", "n": 2}});
    assert_eq!(functions, [&find, &json!({"name": "now", "arguments": {}})]);
    assert!(calls.iter().all(|it| it["type"] == "function"));
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(result.get("tool_call_errors"), None);
}

#[tokio::test]
async fn a_message_that_only_calls_has_no_content_and_can_be_sent_back() {
    let (answer, _, content) = chat("<tool_call>{\"name\": \"now\"}</tool_call>", &tools()).await;
    let message = &answer["result"]["message"];
    assert_eq!((&message["content"], content.as_str()), (&Value::Null, ""));
    let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "noon"});
    let user = json!({"role": "user", "content": "When?"});
    let mut more = tools();
    more["messages"] = json!([user, message, result]);
    let (answer, _, _) = chat("At noon.", &more).await;
    assert_eq!(answer["result"]["message"], json!({"role": "assistant", "content": "At noon."}));
    assert_eq!(answer["result"]["finish_reason"], "eos");
}

#[tokio::test]
async fn what_cannot_be_called_stays_in_the_content_and_is_named() {
    for (said, why) in [
        ("So: <tool_call>{\"name\": now}</tool_call>", "must be JSON"),
        ("<tool_call>{\"name\": \"write\"}</tool_call>", "no tool named `write`"),
    ] {
        let (answer, _, content) = chat(said, &tools()).await;
        let result = &answer["result"];
        assert_eq!((result["message"]["content"].as_str(), content.as_str()), (Some(said), said));
        assert_eq!(
            (result["finish_reason"].as_str(), result["message"].get("tool_calls")),
            (Some("eos"), None)
        );
        let error = &result["tool_call_errors"][0];
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
        assert!(said.ends_with(error["text"].as_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn without_tools_a_call_is_text() {
    let said = "<tool_call>{\"name\": \"now\"}</tool_call>";
    let mut none = tools();
    none["tool_choice"] = json!("none");
    for more in [json!({}), none] {
        let (answer, _, content) = chat(said, &more).await;
        assert_eq!(answer["result"]["message"], json!({"role": "assistant", "content": said}));
        assert_eq!((answer["result"]["finish_reason"].as_str(), content.as_str()), (Some("eos"), said));
    }
}

#[tokio::test]
async fn a_call_that_is_required_is_made_and_fits_its_schema() {
    // What the model would say is not allowed, so another token takes its place.
    for (choice, names) in [
        (json!("required"), vec!["find", "now"]),
        (json!({"type": "function", "function": {"name": "now"}}), vec!["now"]),
        (json!({"function": {"name": "find"}}), vec!["find"]),
    ] {
        let mut more = tools();
        more["tool_choice"] = choice.clone();
        more["max_tokens"] = json!(500);
        let (answer, _, content) = chat("No, I will not.", &more).await;
        let result = &answer["result"];
        let calls =
            result["message"]["tool_calls"].as_array().unwrap_or_else(|| panic!("{choice}: {answer}"));
        assert!(calls.iter().all(|it| names.contains(&it["function"]["name"].as_str().unwrap())), "{answer}");
        assert_eq!((result["finish_reason"].as_str(), content.as_str()), (Some("tool_calls"), ""));
    }
}

#[tokio::test]
async fn tools_that_cannot_be_used_are_refused_by_name() {
    let format = json!({"type": "json_object"});
    for (more, field) in [
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": tools()["tools"], "tool_choice": {"function": {"name": "write"}}}), "tool_choice"),
        (json!({"tools": tools()["tools"], "tool_choice": "sometimes"}), "tool_choice"),
        (json!({"tools": tools()["tools"], "response_format": format}), "response_format"),
        (json!({"tools": [{"function": {"name": "a b"}}]}), "tools[0].function.name"),
        (
            json!({"tools": [{"function": {"name": "a"}}, {"function": {"name": "a"}}]}),
            "tools[1].function.name",
        ),
    ] {
        let (answer, _, _) = chat("Yes.", &more).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert_eq!(answer["error"]["data"]["field"], field, "{answer}");
    }
    let unique = json!({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}});
    let tool = json!({"function": {"name": "sum", "parameters": unique}});
    let (answer, _, _) = chat("Yes.", &json!({"tools": [tool], "tool_choice": "required"})).await;
    assert_eq!(answer["error"]["data"], json!({"kind": "unsupported", "field": "tools"}), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("`sum`"), "{answer}");
}
