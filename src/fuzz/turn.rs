//! What models write: reasoning, content and calls of tools, in the forms of their families.

use std::sync::LazyLock;

use runabout_text::{Piece, Tools, Turn, TurnFormat, TurnReader};
use serde_json::{Value, json};

use crate::mutate::{joined, parts, pieces};
use crate::sample;

/// A mark by which a template's form is recognized, and a turn in this form.
const FORMS: [(&str, &str); 12] = [
    (
        "<tool_call>",
        "<think>\nhm\n</think>\n\nYes.<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
    ),
    (
        "<tool_call>\n<function= <parameter=",
        "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
    ),
    (
        "<seed:tool_call>",
        "<seed:think>x</seed:think><seed:tool_call><function=f><parameter=a>1</parameter></function></seed:tool_call>",
    ),
    ("<arg_key>", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"),
    ("[TOOL_CALLS]", "[TOOL_CALLS]f[CALL_ID]123[ARGS]{\"a\": 1}"),
    ("<|tool_call><tool_call|>", "<|tool_call>call:f{a:<|\"|>x<|\"|>,b:[1,true]}<tool_call|>"),
    ("<start_function_call>", "<start_function_call>call:f{a:<escape>x<escape>}<end_function_call>"),
    ("<|tool_call_start|>", "<|tool_call_start|>[f(a=1, b='x'), g()]<|tool_call_end|>done"),
    ("<|python_start|>", "[f(a={'k': [1, None]}, b=\"x\")]"),
    ("<|python_tag|>", "<|python_tag|>{\"name\": \"f\", \"parameters\": {\"a\": 1}}"),
    ("<|tool_call|>", "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": \"x\"}}]"),
    (
        "<|channel|><|message|>",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>",
    ),
];

static FORMATS: LazyLock<Vec<TurnFormat>> =
    LazyLock::new(|| FORMS.iter().map(|it| sample::tokenizer(it.0).turn_format()).collect());

static TOOLS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let function = |name: &str| {
        let a = json!({"anyOf": [{"type": "integer"}, {"type": "string"}]});
        json!({"type": "function", "function": {"name": name, "parameters":
            {"type": "object", "properties": {"a": a, "b": {"type": "array"}}, "required": ["a"]}}})
    };
    vec![function("f"), function("g")]
});

pub(crate) fn run(data: &[u8]) {
    let [how, cuts, text] = parts::<3>(data);
    let (form, is_reasoning) = how.first().map_or((0, false), |it| (usize::from(*it / 2), it % 2 == 1));
    let format = FORMATS[form % FORMATS.len()];
    let text = String::from_utf8_lossy(text);
    let read = |pieces: &[&str]| -> Turn {
        let mut reader = TurnReader::new(format, Tools::new(&TOOLS), is_reasoning, 1);
        let mut said = [String::new(), String::new()];
        let mut add = |pieces: Vec<Piece>| {
            for piece in pieces {
                match piece {
                    Piece::Reasoning(text) => said[0].push_str(&text),
                    Piece::Content(text) => said[1].push_str(&text),
                }
            }
        };
        for piece in pieces {
            add(reader.push(piece));
        }
        add(reader.finish());
        let turn = reader.turn();
        assert_eq!(said, [turn.reasoning.clone(), turn.content.clone()], "deltas are the turn");
        turn
    };
    let whole = read(&[&text]);
    assert_eq!(read(&pieces(&text, cuts)), whole, "a turn does not depend on how it is cut");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |(form, (_, text)): (usize, &(&str, &str))| {
        let how = u8::try_from(2 * form).expect("there are few forms");
        joined(&[&[how], &[2, 0, 7], text.as_bytes()])
    };
    FORMS.iter().enumerate().map(seed).collect()
}
