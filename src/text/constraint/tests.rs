//! Random texts under constraints have their format, and what may come next is exactly what the format allows.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::TurnReader;
use crate::tokenizer::byte_parts;

const END: TokenId = 256;
const OTHER_END: TokenId = 258;
/// The first id that the test tokenizer does not have.
const FIRST: TokenId = 265;

fn tokenizer() -> Arc<Tokenizer> {
    Arc::new(Tokenizer::bytes_for_tests())
}

/// A byte-level tokenizer with these words as tokens of several bytes, from id [`FIRST`] on.
fn with_words(words: &[&str]) -> Tokenizer {
    let mut parts = byte_parts();
    let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
    for (word, id) in words.iter().zip(FIRST..) {
        json["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": id, "content": word, "special": false, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        }));
    }
    parts.tokenizer_json = json.to_string().into_bytes();
    Tokenizer::from_parts(&parts).unwrap()
}

fn schema(schema: &Value) -> Format {
    Format::JsonSchema(schema.to_string())
}

fn constraint(format: &Format) -> Constraint {
    Constraint::new(&tokenizer(), format, "").unwrap()
}

fn bytes(text: &str) -> Vec<TokenId> {
    text.bytes().map(TokenId::from).collect()
}

/// The tokens that may come next, as text; an end token is shown as `$`.
fn next(constraint: &mut Constraint) -> String {
    let sets = constraint.allowed(&[], &[END, OTHER_END]).unwrap().sets;
    assert_eq!(sets[0].contains(END), sets[0].contains(OTHER_END));
    let shown = |it| match it {
        END => Some('$'),
        OTHER_END => None,
        it => char::from_u32(it),
    };
    sets[0].iter().filter_map(shown).collect()
}

fn push(constraint: &mut Constraint, text: &str) {
    for token in bytes(text) {
        assert!(constraint.allowed(&[], &[END]).unwrap().sets[0].contains(token), "{text}: {token}");
        constraint.push(token).unwrap();
    }
}

/// Generates a text by random choices, at most `n` tokens; the text, and whether it is whole.
fn generate(constraint: &mut Constraint, seed: u64, n: usize) -> (String, bool) {
    let mut state = seed;
    let mut text = Vec::new();
    for _ in 0..n {
        let allowed = constraint.allowed(&[], &[END]).unwrap().sets.remove(0);
        let tokens: Vec<TokenId> = allowed.iter().collect();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let token = tokens[usize::try_from(state >> 33).unwrap() % tokens.len()];
        // Ends as soon as it may, since a random text of any length would otherwise be nearly endless.
        if allowed.contains(END) {
            return (String::from_utf8(text).unwrap(), true);
        }
        text.push(u8::try_from(token).unwrap());
        constraint.push(token).unwrap();
        if constraint.is_complete() {
            return (String::from_utf8(text).unwrap(), true);
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), false)
}

fn issue() -> Value {
    json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["bug", "feature"]},
            "line": {"type": "integer", "minimum": 1, "maximum": 99},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
        },
        "required": ["kind", "line", "tags"],
        "additionalProperties": false,
    })
}

proptest! {
    #[test]
    fn whatever_is_drawn_the_text_is_valid_by_the_schema(seed: u64) {
        let (text, is_whole) = generate(&mut constraint(&schema(&issue())), seed, 2000);
        prop_assert!(is_whole, "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let fields = value.as_object().unwrap();
        prop_assert_eq!(fields.len(), 3);
        prop_assert!(["bug", "feature"].contains(&value["kind"].as_str().unwrap()));
        prop_assert!((1..=99).contains(&value["line"].as_i64().unwrap()));
        let tags = value["tags"].as_array().unwrap();
        prop_assert!(tags.len() <= 2);
        prop_assert!(tags.iter().all(|it| it.as_str().unwrap().chars().count() <= 3));
    }

    #[test]
    fn drafts_are_cut_at_the_first_that_is_not_allowed_and_change_nothing(
        text in "[ab]{0,4}", drafts in "[abc]{0,6}",
    ) {
        let mut constraint = constraint(&Format::Regex("[ab]{2,5}".to_owned()));
        push(&mut constraint, &text);
        let before = if constraint.is_complete() { None } else { Some(next(&mut constraint)) };
        if let Some(before) = before {
            let allowed = constraint.allowed(&bytes(&drafts), &[END]).unwrap();
            // After the fifth character nothing is drawn.
            let fitting = drafts.chars().take_while(|it| *it != 'c').count().min(4 - text.len());
            prop_assert_eq!(allowed.n_drafts, fitting);
            prop_assert_eq!(allowed.sets.len(), fitting + 1);
            prop_assert_eq!(next(&mut constraint), before);
            for (n, set) in allowed.sets.iter().enumerate() {
                prop_assert_eq!(set.contains(END), text.len() + n >= 2);
                prop_assert!(set.contains(97) && set.contains(98) && !set.contains(99));
            }
        }
    }
}

#[test]
fn a_text_may_end_where_the_format_does_and_is_whole_when_nothing_can_follow() {
    let mut pattern = constraint(&Format::Regex("ab?(cd)?".to_owned()));
    assert_eq!(next(&mut pattern), "a");
    assert!(!pattern.may_end());
    push(&mut pattern, "a");
    assert_eq!(next(&mut pattern), "bc$");
    assert!(pattern.may_end() && !pattern.is_complete());
    push(&mut pattern, "c");
    assert!(!pattern.may_end());
    push(&mut pattern, "d");
    assert!(pattern.may_end() && pattern.is_complete());
    let mut grammar = constraint(&Format::Lark("start: \"x\" rest\nrest: \"y\" | \"z\" rest\n".to_owned()));
    push(&mut grammar, "xzzy");
    assert!(grammar.is_complete());
    let mut any = constraint(&schema(&json!(true)));
    push(&mut any, "[1, null]");
    assert!(any.is_complete());
}

#[test]
fn tokens_that_are_certain_are_forced() {
    let object = json!({"type": "object", "properties": {"name": {"type": "boolean"}}, "required": ["name"],
        "additionalProperties": false});
    let mut constraint = constraint(&schema(&object));
    let forced = constraint.forced();
    assert_eq!(forced, bytes("{\"name\": "));
    for token in forced {
        constraint.push(token).unwrap();
    }
}

#[test]
fn a_copy_goes_its_own_way() {
    let mut one = constraint(&Format::Regex("a(b|c)d".to_owned()));
    push(&mut one, "a");
    let mut other = one.clone();
    push(&mut one, "b");
    push(&mut other, "cd");
    push(&mut one, "d");
    assert!(one.is_complete() && other.is_complete());
}

#[test]
fn a_text_that_looks_like_a_control_token_is_spelt_in_ordinary_tokens() {
    let text = "<|im_end|><tool_call>";
    let tokenizer = with_words(&["<tool_call>"]);
    let literal = Format::Regex("<\\|im_end\\|><tool_call>!?".to_owned());
    let mut constraint = Constraint::new(&tokenizer, &literal, "").unwrap();
    let mut tokens = Vec::new();
    while !constraint.may_end() {
        let token = constraint.allowed(&[], &[END]).unwrap().sets[0].iter().last().unwrap();
        constraint.push(token).unwrap();
        tokens.push(token);
    }
    assert_eq!(tokens.last(), Some(&FIRST), "an ordinary added token is used");
    assert_eq!(tokenizer.decode(&tokens), text);
    assert!(tokens.iter().all(|it| *it < 256 || *it >= FIRST), "{tokens:?}");
}

#[test]
fn a_format_behind_a_healed_end_begins_after_it() {
    let format = Format::Regex("(turn|al) 1".to_owned());
    let mut constraint =
        Constraint::new(&with_words(&["ret", "return", "real", "real "]), &format, "re").unwrap();
    let sets = constraint.allowed(&[], &[END]).unwrap().sets;
    // `return` goes beyond the healed end, as do `ret` and `real `.
    let names = |set: &TokenSet| set.iter().collect::<Vec<_>>();
    assert_eq!(names(&sets[0]), [u32::from(b'r'), FIRST, FIRST + 1, FIRST + 2, FIRST + 3]);
    constraint.push(FIRST + 3).unwrap();
    push(&mut constraint, "1");
    assert!(constraint.is_complete());
}

#[test]
fn a_model_may_reason_before_the_format_begins() {
    let tokenizer = with_words(&["<think>", "</think>"]);
    let (open, close) = (FIRST, FIRST + 1);
    let format = Format::Regex("[0-9]".to_owned());
    let after = |prompt: &[TokenId]| {
        Constraint::new(&tokenizer, &format, "").unwrap().after_reasoning(&tokenizer, prompt)
    };
    // The text may begin with reasoning, and need not.
    let mut constraint = after(&bytes("Q"));
    let set = constraint.allowed(&[], &[END]).unwrap().sets.remove(0);
    assert!(set.contains(open) && set.contains(u32::from(b'7')) && !set.contains(u32::from(b'x')));
    constraint.push(open).unwrap();
    // Any token may come, but none is drafted behind the end of the reasoning.
    let drafts = [u32::from(b'x'), close, u32::from(b'x')];
    assert_eq!(constraint.allowed(&drafts, &[END]).unwrap(), Allowed { sets: Vec::new(), n_drafts: 1 });
    assert!(constraint.forced().is_empty());
    for token in [u32::from(b'x'), close] {
        constraint.push(token).unwrap();
        assert!(!constraint.may_end());
    }
    assert_eq!(next(&mut constraint), "0123456789");
    // The template begins the reasoning, or closes it.
    let mut opened = after(&[1, open, u32::from(b'\n')]);
    assert!(opened.allowed(&[], &[END]).unwrap().sets.is_empty());
    let mut closed = after(&[1, open, close, u32::from(b'\n')]);
    assert_eq!(next(&mut closed), "0123456789");
    // An earlier turn's reasoning does not count.
    let mut earlier = after(&[open, close, u32::from(b'x')]);
    assert!(earlier.allowed(&[], &[END]).unwrap().sets[0].contains(open));
}

/// A byte-level tokenizer with a family's template, and its marks as control tokens from id [`FIRST`] on.
fn of_family(template: &str, marks: &[&str]) -> Tokenizer {
    let mut parts = byte_parts();
    let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
    for (mark, id) in marks.iter().zip(FIRST..) {
        json["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": id, "content": mark, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        }));
    }
    parts.tokenizer_json = json.to_string().into_bytes();
    parts.chat_template = Some(json!(format!("{{{{ tools }}}}{{# {template} #}}")));
    Tokenizer::from_parts(&parts).unwrap()
}

fn find_and_now() -> Tools {
    let parameters = json!({
        "type": "object", "required": ["text", "n"],
        "properties": {"text": {"type": "string"}, "n": {"type": "integer"}, "all": {"type": "boolean"}},
    });
    Tools::new(&[
        json!({"type": "function", "function": {"name": "find", "parameters": parameters}}),
        json!({"type": "function", "function": {"name": "now"}}),
    ])
}

/// The calls of a text that a constraint allows token by token, as `[name, arguments]`.
fn called(tokenizer: &Tokenizer, choice: &ToolChoice, text: &str) -> Result<Vec<Value>, String> {
    let tools = find_and_now();
    let mut constraint = Constraint::of_calls(tokenizer, &tools, choice).unwrap().unwrap();
    for token in tokenizer.encode_rendered(text, str::to_owned) {
        if constraint.is_complete() {
            return Err("nothing more".to_owned());
        }
        let set = constraint.allowed(&[], &[END]).unwrap().sets.remove(0);
        if !set.contains(token) {
            let allowed: String = set.iter().take(20).map(|it| tokenizer.decode(&[it])).collect();
            return Err(format!("{:?}, but only {allowed:?}", tokenizer.decode(&[token])));
        }
        constraint.push(token).unwrap();
    }
    assert!(constraint.may_end(), "{text}");
    let mut reader = TurnReader::new(tokenizer.turn_format(), tools, false, 1);
    reader.push(text);
    reader.finish();
    let turn = reader.turn();
    assert_eq!((turn.content.as_str(), turn.faults.as_slice()), ("", &[][..]), "{text}");
    Ok(turn.calls.iter().map(|it| json!([it.name, it.arguments])).collect())
}

#[test]
fn a_demanded_call_has_its_familys_form_and_fits_its_schema() {
    let json = r#"{"text": "a", "n": 2, "all": true}"#;
    let cases: &[(&str, &[&str], String)] = &[
        ("<tool_call>", &[], format!("<tool_call>\n{{\"name\": \"find\", \"arguments\": {json}}}\n</tool_call>")),
        (
            "<tool_call>",
            &["<tool_call>", "</tool_call>"],
            format!("<tool_call>\n{{\"name\": \"find\", \"arguments\": {json}}}\n</tool_call>"),
        ),
        (
            "<tool_call>\n<function=a><parameter=",
            &[],
            "<tool_call>\n<function=find>\n<parameter=text>\na\n</parameter>\n<parameter=n>\n2\n</parameter>\n<parameter=all>\ntrue\n</parameter>\n</function>\n</tool_call>".to_owned(),
        ),
        (
            "<seed:tool_call><function=a><parameter=",
            &[],
            "<seed:tool_call>\n<function=find>\n<parameter=text>a</parameter>\n<parameter=n>2</parameter>\n<parameter=all>true</parameter>\n</function>\n</seed:tool_call>".to_owned(),
        ),
        (
            "<arg_key>",
            &["<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
            "<tool_call>find\n<arg_key>text</arg_key>\n<arg_value>a</arg_value>\n<arg_key>n</arg_key>\n<arg_value>2</arg_value>\n<arg_key>all</arg_key>\n<arg_value>true</arg_value>\n</tool_call>".to_owned(),
        ),
        (
            "<arg_key>",
            &[],
            "<tool_call>find<arg_key>text</arg_key><arg_value>a</arg_value><arg_key>n</arg_key><arg_value>2</arg_value><arg_key>all</arg_key><arg_value>true</arg_value></tool_call>".to_owned(),
        ),
        ("[TOOL_CALLS]", &["[TOOL_CALLS]", "[ARGS]"], format!("[TOOL_CALLS]find[ARGS]{json}")),
        ("[TOOL_CALLS]", &["[TOOL_CALLS]"], format!("[TOOL_CALLS][{{\"name\": \"find\", \"arguments\": {json}}}]")),
        (
            "<|tool_call><tool_call|>",
            &["<|tool_call>", "<tool_call|>", "<|\"|>"],
            "<|tool_call>call:find{text:<|\"|>a<|\"|>,n:2,all:true}<tool_call|>".to_owned(),
        ),
        (
            "<start_function_call>",
            &["<start_function_call>", "<end_function_call>", "<escape>"],
            "<start_function_call>call:find{text:<escape>a<escape>,n:2,all:true}<end_function_call>".to_owned(),
        ),
        (
            "<|tool_call_start|>",
            &["<|tool_call_start|>", "<|tool_call_end|>"],
            "<|tool_call_start|>[find(text=\"a\", n=2, all=true)]<|tool_call_end|>".to_owned(),
        ),
        ("[func_name1(", &[], "[find(text=\"a\", n=2, all=true)]".to_owned()),
        ("\"parameters\": dictionary", &[], format!("{{\"name\": \"find\", \"parameters\": {json}}}")),
        ("<|tool_call|>", &["<|tool_call|>"], format!("<|tool_call|>[{{\"name\": \"find\", \"arguments\": {json}}}]")),
        (
            "<|channel|><|message|>",
            &["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>"],
            format!(
                "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.find <|constrain|>json<|message|>{json}"
            ),
        ),
    ];
    for (template, marks, text) in cases {
        let tokenizer = of_family(template, marks);
        let choice = ToolChoice::Named("find".to_owned());
        let find = json!(["find", {"text": "a", "n": 2, "all": true}]);
        assert_eq!(called(&tokenizer, &choice, text), Ok(vec![find]), "{text}");
        assert!(called(&tokenizer, &ToolChoice::Required, text).is_ok(), "{text}");
        // Another tool, another type, and no call at all.
        assert!(called(&tokenizer, &ToolChoice::Named("now".to_owned()), text).is_err(), "{text}");
        assert!(called(&tokenizer, &choice, &text.replace('2', "two")).is_err(), "{text}");
        assert!(called(&tokenizer, &choice, "No.").is_err());
    }
}

#[test]
fn a_format_applies_to_the_final_channel() {
    let marks = ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>"];
    let tokenizer = of_family("<|channel|><|message|>", &marks);
    let format = Format::Regex("[0-9]+".to_owned());
    for (text, is_allowed) in [
        ("<|channel|>final<|message|>12", true),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>12", true),
        ("<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>1", true),
        ("12", false),
        ("<|channel|>final<|message|>a", false),
        ("<|channel|>commentary<|message|>1", false),
    ] {
        let mut constraint = Constraint::of_turn(&tokenizer, &format, &[]).unwrap();
        let follows = |token: TokenId| {
            let is_next = constraint.allowed(&[], &[END]).unwrap().sets[0].contains(token);
            is_next && constraint.push(token).is_ok()
        };
        assert_eq!(
            tokenizer.encode_rendered(text, str::to_owned).into_iter().all(follows),
            is_allowed,
            "{text}"
        );
        assert!(!is_allowed || constraint.may_end(), "{text}");
    }
}

#[test]
fn arguments_may_be_left_out_where_the_schema_lets_them() {
    for (template, without, too_few) in [
        ("[func_name1(", "[find(text=\"a\", n=2)]", "[find(n=2)]"),
        (
            "<tool_call>\n<function=a><parameter=",
            "<tool_call>\n<function=find>\n<parameter=text>\na\n</parameter>\n<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>",
            "<tool_call>\n<function=find>\n<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>",
        ),
    ] {
        let tokenizer = of_family(template, &[]);
        assert!(called(&tokenizer, &ToolChoice::Required, without).is_ok(), "{without}");
        assert!(called(&tokenizer, &ToolChoice::Required, too_few).is_err(), "{too_few}");
    }
}

#[test]
fn several_calls_may_be_demanded_at_once() {
    let now = r#"{"name": "now", "arguments": {}}"#;
    for (template, marks, text) in [
        (
            "<tool_call>",
            &[][..],
            format!("<tool_call>\n{now}\n</tool_call>\n<tool_call>\n{now}\n</tool_call>"),
        ),
        (
            "[TOOL_CALLS]",
            &["[TOOL_CALLS]", "[ARGS]"],
            "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]now[ARGS]{}".to_owned(),
        ),
        ("[func_name1(", &[], "[now(), now()]".to_owned()),
    ] {
        let tokenizer = of_family(template, marks);
        assert_eq!(called(&tokenizer, &ToolChoice::Required, &text).unwrap().len(), 2, "{text}");
        assert!(called(&tokenizer, &ToolChoice::Named("now".to_owned()), &text).is_err(), "once: {text}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused_by_name_and_annotations_are_not() {
    let unsupported = [
        (json!({"type": "array", "items": {}, "uniqueItems": true}), "uniqueItems"),
        (json!({"type": "array", "contains": {"type": "null"}}), "contains"),
        (json!({"not": {"type": "null"}}), "not"),
        (json!({"if": {}, "then": {}, "else": {}}), "if"),
        (json!({"type": "object", "propertyNames": {"maxLength": 3}}), "propertyNames"),
        (
            json!({"type": "object", "properties": {"b": {}}, "propertyNames": {"pattern": "^a"}}),
            "propertyNames",
        ),
        (json!({"type": "object", "dependentRequired": {"a": ["b"]}}), "dependentRequired"),
        (json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "oneOf"),
        (json!({"type": "string", "pattern": "^(?=a)b"}), "look"),
    ];
    for (value, named) in unsupported {
        let err = Constraint::new(&tokenizer(), &schema(&value), "").unwrap_err();
        assert!(matches!(err, TextError::UnsupportedFormat { .. }), "{value}: {err:?}");
        assert!(err.to_string().contains(named), "{value}: {err}");
    }
    let bad = [
        Format::JsonSchema("{".to_owned()),
        Format::JsonSchema("3".to_owned()),
        schema(&json!({"type": "strnig"})),
        schema(&json!({"$ref": "#/$defs/none"})),
        Format::Regex("(".to_owned()),
        Format::Lark("start: nothing".to_owned()),
        Format::Lark(String::new()),
        Format::Regex("(".repeat(200)),
        Format::Lark("x".repeat(MAX_BYTES + 1)),
    ];
    for format in bad {
        let err = Constraint::new(&tokenizer(), &format, "").unwrap_err();
        assert!(matches!(err, TextError::BadFormat { .. }), "{format:?}: {err:?}");
    }
    let fine = [
        json!({"type": "string", "format": "password", "title": "t", "default": "d"}),
        json!({"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "integer"}}),
        json!({"type": "array", "items": {}, "uniqueItems": false}),
        json!({"$defs": {"a": {"type": "string", "format": "path"}}, "$ref": "#/$defs/a"}),
        // Values are not schemas.
        json!({"const": {"format": "path"}}),
        json!({"properties": {"format": {"enum": ["path"]}}}),
    ];
    for value in fine {
        Constraint::new(&tokenizer(), &schema(&value), "").unwrap();
    }
}

#[test]
fn names_of_properties_can_be_listed_or_have_a_pattern() {
    let listed = json!({"type": "object", "propertyNames": {"type": "string", "enum": ["a", "b"]},
        "additionalProperties": {"type": "null"}, "required": ["b"]});
    let mut constraint = constraint(&schema(&listed));
    push(&mut constraint, "{\"a\": null, \"");
    assert_eq!(next(&mut constraint), "b");
    let matched =
        json!({"type": "object", "propertyNames": {"pattern": "^x[0-9]$"}, "additionalProperties": true});
    let mut constraint = self::constraint(&schema(&matched));
    push(&mut constraint, "{\"x");
    assert_eq!(next(&mut constraint), "0123456789");
    push(&mut constraint, "7\": 1}");
    assert!(constraint.is_complete());
}

#[test]
fn json_is_written_on_one_line() {
    let mut constraint = constraint(&schema(&json!({"type": "array", "items": {"type": "null"}})));
    push(&mut constraint, "[");
    assert_eq!(next(&mut constraint), "]n");
    push(&mut constraint, "null");
    assert_eq!(next(&mut constraint), ",]");
    push(&mut constraint, ", null]");
    assert!(constraint.is_complete());
}
