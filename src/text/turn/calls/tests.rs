//! Calls in every family's form, as their templates write them and as models do.

use serde_json::{Value, json};

use super::*;

fn tools() -> Tools {
    let tool = |name: &str, properties: Value| {
        json!({"type": "function", "function": {
            "name": name, "parameters": {"type": "object", "properties": properties},
        }})
    };
    Tools::new(&[
        tool(
            "find",
            json!({"text": {"type": "string"}, "n": {"type": "integer"}, "all": {"type": "boolean"}}),
        ),
        tool("now", json!({})),
    ])
}

/// The calls of a text as `[name, arguments]`, or the reason why there are none.
fn read(format: CallFormat, body: &str) -> Result<Vec<Value>, String> {
    let tag = format.tags().first().copied().unwrap_or(CallTag { begin: "", end: None });
    told(parsed(format, tag, body, &tools()))
}

fn told(parsed: Parsed) -> Result<Vec<Value>, String> {
    match parsed {
        Parsed::Calls(calls) => Ok(calls.into_iter().map(|it| json!([it.name, it.arguments])).collect()),
        Parsed::Incomplete(reason) | Parsed::Bad(reason) => Err(reason),
    }
}

#[test]
fn each_family_has_its_form() {
    let find = json!(["find", {"text": "a \"b\"\nc", "n": 2, "all": true}]);
    let json = r#"{"text": "a \"b\"\nc", "n": 2, "all": true}"#;
    let cases = [
        (CallFormat::Hermes, format!("\n{{\"name\": \"find\", \"arguments\": {json}}}\n")),
        (CallFormat::Llama, format!("{{\"name\": \"find\", \"parameters\": {json}}}")),
        (CallFormat::Llama, format!("{{\"type\": \"function\", \"name\": \"find\", \"parameters\": {json}}}")),
        (CallFormat::Granite, format!("[{{\"name\": \"find\", \"arguments\": {json}}}]<|/tool_call|>")),
        (CallFormat::Mistral, format!("[{{\"name\": \"find\", \"arguments\": {json}, \"id\": \"abcdefghi\"}}]")),
        (CallFormat::Mistral, format!("find[ARGS]{json}")),
        (CallFormat::Mistral, format!("find[CALL_ID]abcdefghi[ARGS]{json}")),
        (
            CallFormat::Qwen,
            "\n<function=find>\n<parameter=text>\na \"b\"\nc\n</parameter>\n<parameter=n>\n2\n</parameter>\n<parameter=all>\nTrue\n</parameter>\n</function>\n".to_owned(),
        ),
        (
            CallFormat::Seed,
            "\n<function=find>\n<parameter=text>a \"b\"\nc</parameter>\n<parameter=n>2</parameter>\n<parameter=all>true</parameter>\n</function>\n".to_owned(),
        ),
        (
            CallFormat::Glm,
            "find\n<arg_key>text</arg_key>\n<arg_value>a \"b\"\nc</arg_value>\n<arg_key>n</arg_key>\n<arg_value>2</arg_value>\n<arg_key>all</arg_key>\n<arg_value>true</arg_value>\n".to_owned(),
        ),
        (CallFormat::Gemma, "call:find{text:<|\"|>a \"b\"\nc<|\"|>,n:2,all:true}".to_owned()),
        (CallFormat::FunctionGemma, "call:find{text:<escape>a \"b\"\nc<escape>,n:2,all:true}".to_owned()),
        (CallFormat::Lfm, r#"[find(text="a \"b\"\nc", n=2, all=True)]"#.to_owned()),
        (CallFormat::Pythonic, r#"[find(text='a "b"\nc', n=2, all=true)]"#.to_owned()),
    ];
    for (format, body) in cases {
        assert_eq!(read(format, &body), Ok(vec![find.clone()]), "{format:?}: {body}");
    }
}

#[test]
fn a_function_may_have_no_arguments() {
    let now = json!(["now", {}]);
    for (format, body) in [
        (CallFormat::Hermes, "{\"name\": \"now\"}"),
        (CallFormat::Hermes, "{\"name\": \"now\", \"arguments\": \"\"}"),
        (CallFormat::Mistral, "now[ARGS]{}"),
        (CallFormat::Qwen, "<function=now>\n</function>"),
        (CallFormat::Glm, "now"),
        (CallFormat::Gemma, "call:now{}"),
        (CallFormat::Lfm, "[now()]"),
    ] {
        assert_eq!(read(format, body), Ok(vec![now.clone()]), "{format:?}: {body}");
    }
    assert_eq!(told(arguments_object(" ")), Ok(vec![json!(["", {}])]));
}

#[test]
fn one_text_may_have_several_calls() {
    let both = vec![json!(["find", {"n": 1}]), json!(["now", {}])];
    for (format, body) in [
        (CallFormat::Hermes, r#"{"name": "find", "arguments": {"n": 1}} {"name": "now", "arguments": {}}"#),
        (CallFormat::Llama, r#"{"name": "find", "parameters": {"n": 1}}; {"name": "now", "parameters": {}}"#),
        (
            CallFormat::Granite,
            r#"[{"name": "find", "arguments": {"n": 1}}, {"name": "now", "arguments": {}}]"#,
        ),
        (CallFormat::Mistral, r#"find[ARGS]{"n": 1}now[ARGS]{}"#),
        (CallFormat::Qwen, "<function=find><parameter=n>1</parameter></function><function=now></function>"),
        (CallFormat::Gemma, "call:find{n:1}call:now{}"),
        (CallFormat::Lfm, "[find(n=1), now()]"),
        (CallFormat::Pythonic, "[find(n=1), now()]"),
    ] {
        assert_eq!(read(format, body), Ok(both.clone()), "{format:?}: {body}");
    }
}

#[test]
fn values_nest() {
    let nested = json!(["find", {"text": {"a": [1, {"b": null}], "c d": "x,}"}, "n": -1.5}]);
    for (format, body) in [
        (CallFormat::Gemma, r#"call:find{text:{a:[1,{b:null}],<|"|>c d<|"|>:<|"|>x,}<|"|>},n:-1.5}"#),
        (CallFormat::Lfm, r#"[find(text={"a": [1, {'b': None}], "c d": "x,}"}, n=-1.5)]"#),
        (CallFormat::Mistral, r#"find[ARGS]{"text": {"a": [1, {"b": null}], "c d": "x,}"}, "n": -1.5}"#),
    ] {
        assert_eq!(read(format, body), Ok(vec![nested.clone()]), "{format:?}: {body}");
    }
}

#[test]
fn what_is_no_call_is_told_why() {
    for (format, body, why) in [
        (CallFormat::Hermes, "{\"name\": \"find\", \"arguments\": {\"n\": }}", "must be JSON"),
        (CallFormat::Hermes, "{\"arguments\": {}}", "must have a `name`"),
        (CallFormat::Hermes, "{\"name\": \"find\", \"arguments\": [1]}", "must be an object"),
        (CallFormat::Hermes, "", "no call"),
        (CallFormat::Mistral, "{", "must be JSON"),
        (CallFormat::Mistral, "find[ARGS]{\"n\": 1", "not complete"),
        (CallFormat::Qwen, "<function=find><parameter=n>1", "lacks `</parameter>`"),
        (CallFormat::Qwen, "<function=find>", "lacks `</function>`"),
        (CallFormat::Qwen, "find(n=1)", "no call"),
        (CallFormat::Glm, "find <arg_key>n</arg_key>1", "no `<arg_value>`"),
        (CallFormat::Glm, "I will find it", "name of a function"),
        (CallFormat::Gemma, "find{n:1}", "must begin with `call:`"),
        (CallFormat::Gemma, "call:find{text:<|\"|>a}", "at its end"),
        (CallFormat::Lfm, "[find(n=1]", "comma"),
        (CallFormat::Lfm, "[find(n=open('x'))]", "must be a literal"),
    ] {
        let reason = read(format, body).expect_err(body);
        assert!(reason.contains(why), "{format:?}: {body}: {reason}");
    }
    let deep = format!("[find(n={}1{})]", "[".repeat(1000), "]".repeat(1000));
    assert!(read(CallFormat::Lfm, &deep).expect_err("too deep").contains("nested too deeply"));
}
