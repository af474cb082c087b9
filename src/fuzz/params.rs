//! The params of every method of the native protocol: what is read is what would be written.

use runabout_api::Method;
use serde_json::Value;

use crate::mutate::{joined, parts};

pub(crate) fn run(data: &[u8]) {
    let [method, params] = parts::<2>(data);
    let Ok(params) = serde_json::from_slice::<Value>(params) else { return };
    let method = String::from_utf8_lossy(method);
    macro_rules! read {
        ($($path:path),*) => {
            $(if method == <$path as Method>::NAME {
                round_trip::<<$path as Method>::Params>(&params);
            })*
        };
    }
    runabout_api::for_each_method!(read);
}

fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(params: &Value) {
    let Ok(read) = serde_json::from_value::<T>(params.clone()) else { return };
    let written = serde_json::to_value(&read).expect("params can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(&again).expect("params can be written"), written);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let complete = r#"{"prefix":"def f(","suffix":"\n","path":"a.py","language":"python","document":"file:///a.py",
        "mode":"line","max_tokens":32,"temperature":0.2,"top_p":0.9,"seed":7,"stop":["\n\n"],"n":2,"logprobs":3,
        "logit_bias":{"65":-1.5},"context":[{"path":"b.py","text":"x"}],"rules":{"bracket":false},"stream":true}"#;
    let chat = r#"{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto",
        "response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}},"budget_ms":100}"#;
    let seeds = [
        ("initialize", r#"{"protocol_version":1,"client":{"name":"a","version":"1"}}"#),
        ("complete", complete),
        ("warm", complete),
        ("chat", chat),
        (
            "next_edit",
            r#"{"prefix":"a","suffix":"b","edits":[{"path":"a","original":"x","updated":"y","line":3}]}"#,
        ),
        ("cancel", r#"{"id":"a"}"#),
        ("tokenize", r#"{"text":"abc","return_tokens":true}"#),
        ("status", "{}"),
    ];
    seeds.map(|(method, params)| joined(&[method.as_bytes(), params.as_bytes()])).into()
}
