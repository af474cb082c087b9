//! Renders conversations for comparison with transformers: a JSON object a line in, one a line out.
//!
//! In: `template`, `messages`, `tools`, `kwargs`, `add_generation_prompt`, `special_tokens`. Out: `rendered`, or
//! `refused` with the reason. With `text`, that is read as the model's turn instead: out come `reasoning`, `content`,
//! `calls` and `faults`, and whether the template's `has_calls` in a known form.

use std::io::{BufRead, Write};

use runabout_text::{ChatRequest, Message, Tokenizer, TokenizerParts, Tools, TurnReader};
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
    text: Option<String>,
}

fn tokenizer(case: &Case) -> Result<Tokenizer, String> {
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
    Tokenizer::from_parts(&parts).map_err(|err| err.to_string())
}

fn read(case: &Case, text: &str) -> Result<Value, String> {
    let format = tokenizer(case)?.turn_format();
    let tools = Tools::new(case.tools.as_deref().unwrap_or_default());
    let mut reader = TurnReader::new(format, tools, false, 0);
    reader.push(text);
    reader.finish();
    let turn = reader.turn();
    let calls: Vec<Value> = turn.calls.iter().map(|it| json!([it.name, it.arguments])).collect();
    let faults: Vec<String> = turn.faults.iter().map(ToString::to_string).collect();
    Ok(json!({
        "reasoning": turn.reasoning, "content": turn.content, "calls": calls, "faults": faults,
        "has_calls": format.has_calls(),
    }))
}

fn render(case: &Case) -> Result<Value, String> {
    let tokenizer = tokenizer(case)?;
    let request = ChatRequest {
        messages: &case.messages,
        tools: case.tools.as_deref().unwrap_or_default(),
        kwargs: &case.kwargs,
        add_generation_prompt: case.add_generation_prompt,
    };
    tokenizer.render_chat(&request).map(|it| json!({"rendered": it})).map_err(|err| err.to_string())
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let answer = match &case.text {
            Some(text) => read(&case, text),
            None => render(&case),
        };
        let answer = answer.unwrap_or_else(|reason| json!({"refused": reason}));
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
