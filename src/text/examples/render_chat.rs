//! Renders conversations for comparison with transformers: a JSON object a line in, one a line out.
//!
//! In: `template`, `messages`, `tools`, `kwargs`, `add_generation_prompt`, `special_tokens`. Out: `rendered`, or
//! `refused` with the reason.

use std::io::{BufRead, Write};

use runabout_text::{ChatRequest, Message, Tokenizer, TokenizerParts};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Case {
    template: Value,
    messages: Vec<Message>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    kwargs: Map<String, Value>,
    add_generation_prompt: bool,
    #[serde(default)]
    special_tokens: Value,
}

fn render(case: &Case) -> Result<String, String> {
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
    });
    let parts = TokenizerParts {
        tokenizer_json: tokenizer.to_string().into_bytes(),
        tokenizer_config: Some(case.special_tokens.clone()),
        chat_template: Some(case.template.clone()),
        ..TokenizerParts::default()
    };
    let tokenizer = Tokenizer::from_parts(&parts).map_err(|err| err.to_string())?;
    let request = ChatRequest {
        messages: &case.messages,
        tools: case.tools.as_deref().unwrap_or_default(),
        kwargs: &case.kwargs,
        add_generation_prompt: case.add_generation_prompt,
    };
    tokenizer.render_chat(&request).map_err(|err| err.to_string())
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case = serde_json::from_str(&line?)?;
        let answer = match render(&case) {
            Ok(rendered) => json!({"rendered": rendered}),
            Err(reason) => json!({"refused": reason}),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
