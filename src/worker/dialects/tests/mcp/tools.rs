//! The tools that need no files: what they are given, what they return, and how they fail.

use runabout_engine::scripted::{ScriptedModel, bytes};
use serde_json::{Value, json};

use super::super::inside_a_step;
use super::super::peer::{app, ready};
use super::agent::Agent;

fn texts(result: &Value) -> Vec<&str> {
    result["content"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_tool_is_described_with_schemas_and_hints_and_always_in_the_same_order() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    let list = agent.result("tools/list", json!({})).await;
    let tools = list["tools"].as_array().unwrap();
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        assert!(name.chars().all(|it| it.is_ascii_lowercase() || it == '_'), "{name}");
        for text in ["title", "description"] {
            assert!(!tool[text].as_str().unwrap().contains(['\n', '\t']), "{name}");
        }
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{name}");
            let text = tool[schema].to_string();
            // Some validators know no number formats, and some agents show a schema to their model as it is.
            for noise in ["\"format\"", "$ref", "$schema", "null"] {
                assert!(!text.contains(noise), "{name} has {noise}: {text}");
            }
        }
        assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{name}");
        assert_eq!(tool["annotations"]["openWorldHint"], false, "{name}");
    }
    let again = Agent::of(&app(ScriptedModel::hashing())).result("tools/list", json!({})).await;
    assert_eq!(list, again);
    let answer = agent.request("tools/list", json!({"cursor": "2"})).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["data"]["field"]),
        (&json!(-32602), &json!("cursor"))
    );
}

#[tokio::test]
async fn a_message_is_answered_with_evidence() {
    let model = ScriptedModel::saying("Sure.").with_logprobs(|_, _| -0.5);
    let recording = model.recording();
    let mut agent = Agent::of(&app(model));
    let result = agent.call("generate", json!({"system": "be brief", "prompt": "well?"})).await;
    let output = &result["structuredContent"];
    assert_eq!(result["isError"], false);
    assert_eq!((&output["text"], &output["finish_reason"]), (&json!("Sure."), &json!("eos")));
    assert_eq!(output["truncated"], false);
    let evidence = &output["evidence"];
    assert_eq!((&evidence["model"], &evidence["mean_logprob"]), (&json!("scripted"), &json!(-0.5)));
    assert_eq!(evidence["completion_tokens"], 6);
    assert!(evidence["prompt_tokens"].as_u64().unwrap() > 10 && evidence["seconds"].is_f64(), "{evidence}");
    let texts = texts(&result);
    assert_eq!(texts[0], "Sure.");
    assert!(texts[1].contains("scripted") && !texts[1].contains("cut off"), "{texts:?}");
    let read: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    for said in ["be brief", "well?"] {
        assert!(read.windows(said.len()).any(|it| it == bytes(said)), "the model has not read `{said}`");
    }
}

#[tokio::test]
async fn a_conversation_is_continued() {
    let mut agent = Agent::of(&app(ScriptedModel::saying("Sure.")));
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]);
    let result = agent.call("generate", json!({"messages": messages, "temperature": 0, "stop": ["r"]})).await;
    let output = &result["structuredContent"];
    assert_eq!((&output["text"], &output["finish_reason"]), (&json!("Su"), &json!("stop")));
}

#[tokio::test]
async fn an_answer_has_the_form_that_was_asked_for_or_says_where_it_ends() {
    let mut agent = Agent::of(&app(ScriptedModel::saying("yes or no? {\"a\": 12}")));
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let ask = |max_tokens: u32| json!({"prompt": "?", "json_schema": schema, "max_tokens": max_tokens});
    let result = agent.call("generate", ask(3)).await;
    let output = &result["structuredContent"];
    assert_eq!((&output["valid"], output.get("json")), (&json!(false), None), "{output}");
    assert_eq!((&output["truncated"], output["incomplete_at"].is_string()), (&json!(true), true), "{output}");
    let result = agent.call("generate", json!({"prompt": "?", "regex": "yes|no"})).await;
    let output = &result["structuredContent"];
    assert_eq!((&output["text"], &output["valid"]), (&json!("yes"), &json!(true)), "{output}");
    assert_eq!(output.get("json"), None);
    let result = agent.call("generate", json!({"prompt": "?"})).await;
    assert_eq!(result["structuredContent"].get("valid"), None);
}

#[tokio::test]
async fn a_text_that_was_cut_off_is_marked() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    for (tool, arguments, text) in [
        ("generate", json!({"prompt": "a", "max_tokens": 5}), "/structuredContent/text"),
        ("complete_code", json!({"prefix": "let x", "max_tokens": 1}), "/structuredContent/texts/0/text"),
    ] {
        let result = agent.call(tool, arguments).await;
        assert_eq!(result["structuredContent"]["truncated"], true, "{result}");
        assert!(result.pointer(text).is_some(), "{result}");
        assert!(texts(&result).last().unwrap().contains("cut off"), "{result}");
    }
    let result =
        agent.call("generate", json!({"prompt": "a", "max_tokens": 8000, "time_limit_seconds": 0.05})).await;
    let output = &result["structuredContent"];
    assert_eq!((&output["truncated"], &output["finish_reason"]), (&json!(true), &json!("time_limit")));
}

#[tokio::test]
async fn code_is_completed_between_what_stands_around_it() {
    let mut agent = Agent::of(&app(ScriptedModel::saying(" = 1;\n")));
    let arguments = json!({"prefix": "let x", "suffix": "\nlet y = 2;\n", "path": "a.rs"});
    let result = agent.call("complete_code", arguments).await;
    let output = &result["structuredContent"];
    let text = output["texts"][0]["text"].as_str().unwrap();
    // The model wrote the word at the cursor anew, which took its first character.
    assert_eq!(text.trim_start(), "= 1;", "{result}");
    assert_eq!(output["texts"][0]["confidence"], 1.0);
    assert_eq!(texts(&result)[0], text);
    let result = agent.call("complete_code", json!({"prefix": "let x", "n": 3, "extent": "line"})).await;
    assert_eq!(
        result["structuredContent"]["texts"].as_array().unwrap().len(),
        1,
        "the same text is there once"
    );
}

#[tokio::test]
async fn wrong_arguments_are_failures_that_name_the_argument() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    for (tool, arguments, named) in [
        ("generate", json!({}), "`prompt`"),
        ("generate", json!({"prompt": 1}), "`prompt`"),
        ("generate", json!({"prompt": "a", "messages": []}), "`messages`"),
        ("generate", json!({"messages": []}), "`messages`"),
        ("generate", json!({"messages": [{"role": "robot", "content": "a"}]}), "`messages[0].role`"),
        ("generate", json!({"prompt": "a", "max_token": 1}), "`max_tokens`"),
        ("generate", json!({"prompt": "a", "max_tokens": 0}), "`max_tokens` must be 1 to 8192, got 0"),
        ("generate", json!({"prompt": "a", "max_tokens": -1}), "`max_tokens`"),
        ("generate", json!({"prompt": "a", "time_limit_seconds": 0}), "`time_limit_seconds`"),
        ("generate", json!({"prompt": "a", "stop": ["a", ""]}), "`stop[1]`"),
        ("generate", json!({"prompt": "a", "temperature": -1}), "`temperature`"),
        ("generate", json!({"prompt": "a", "json_schema": {}, "regex": "a"}), "`regex`"),
        ("generate", json!({"prompt": "a", "regex": "a", "grammar": "start: \"a\""}), "`grammar`"),
        ("generate", json!({"prompt": "a", "regex": "("}), "format"),
        ("generate", json!({"prompt": "a", "json_schema": {"not": {}}}), "`not`"),
        ("complete_code", json!({}), "`prefix`"),
        ("complete_code", json!({"prefix": "a", "n": 9}), "`n` must be 1 to 8, got 9"),
        ("complete_code", json!({"prefix": "a", "extent": "page"}), "`extent`"),
        ("status", json!({"x": 1}), "`x"),
    ] {
        let message = agent.failure(tool, arguments.clone()).await;
        let is_known = tool == "status" && message.is_empty();
        assert!(message.contains(named) || is_known, "{tool} {arguments}: {message}");
    }
}

#[tokio::test]
async fn a_call_that_names_no_tool_is_an_error_of_the_protocol() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    for (params, field) in [
        (json!({"name": "gener", "arguments": {}}), "name"),
        (json!({"arguments": {}}), "name"),
        (json!({"name": 1}), "name"),
        (json!({"name": "status", "arguments": []}), "arguments"),
        (json!({"name": "status", "arguments": "{}"}), "arguments"),
    ] {
        let answer = agent.request("tools/call", params.clone()).await;
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
        assert_eq!(answer["error"]["data"]["field"], field, "{params}: {answer}");
    }
    assert_eq!(agent.result("tools/call", json!({"name": "status"})).await["isError"], false);
}

#[tokio::test]
async fn a_model_that_fails_fails_the_call_alone() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut agent = Agent::of(&app(model));
    let id = agent.begin("generate", json!({"prompt": "a", "max_tokens": 4})).await;
    inside_a_step(gate).await.fail("out of ink");
    let answer = agent.answer(id).await;
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("out of ink"), "{answer}");
    assert_eq!(agent.call("generate", json!({"prompt": "a", "max_tokens": 4})).await["isError"], false);
}

#[tokio::test]
async fn the_status_tells_what_the_server_runs_on() {
    let mut agent = Agent::of(&ready(ScriptedModel::hashing()).await);
    let result = agent.call("status", json!({})).await;
    let output = &result["structuredContent"];
    assert_eq!((&output["state"], &output["model"]), (&json!("ready"), &json!("scripted")));
    assert_eq!((&output["device"], &output["context_length"]), (&json!("script"), &json!(4096)));
    assert!(texts(&result)[0].starts_with("scripted: ready"), "{result}");
}
