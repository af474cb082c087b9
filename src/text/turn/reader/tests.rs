//! Turns in every family's form, whole and in pieces.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Templates of the families, as far as they tell the format.
const HERMES: &str = "<think></think><tool_call>";
const MISTRAL: &str = "[THINK][/THINK][TOOL_CALLS]";
const GEMMA: &str = "<|channel>thought\n<channel|><|tool_call><tool_call|>";
const HARMONY: &str = "<|channel|><|message|>";
const LLAMA: &str = "\"parameters\": dictionary";
const PYTHONIC: &str = "[func_name1(";

fn tools() -> Vec<Value> {
    ["find", "now"].map(|it| json!({"type": "function", "function": {"name": it}})).to_vec()
}

fn reader(template: &str, tools: &[Value], is_reasoning: bool) -> TurnReader {
    TurnReader::new(TurnFormat::detect(template, |_| false), Tools::new(tools), is_reasoning, 7)
}

/// Reads a turn that comes in these pieces. The pieces that come out are its texts.
fn read_in<'a>(mut reader: TurnReader, pieces: impl IntoIterator<Item = &'a str>) -> Turn {
    let mut all: Vec<Piece> = pieces.into_iter().flat_map(|it| reader.push(it)).collect();
    all.extend(reader.finish());
    let turn = reader.turn();
    let (mut reasoning, mut content) = (String::new(), String::new());
    for piece in all {
        match piece {
            Piece::Reasoning(text) => reasoning += &text,
            Piece::Content(text) => content += &text,
        }
    }
    assert_eq!((&reasoning, &content), (&turn.reasoning, &turn.content));
    turn
}

fn read(template: &str, text: &str) -> Turn {
    let whole = read_in(reader(template, &tools(), false), [text]);
    let chars = text.char_indices().map(|(at, it)| &text[at..at + it.len_utf8()]);
    assert_eq!(read_in(reader(template, &tools(), false), chars), whole, "character by character: {text}");
    whole
}

fn texts(turn: &Turn) -> (&str, &str) {
    (&turn.reasoning, &turn.content)
}

fn names(turn: &Turn) -> Vec<&str> {
    turn.calls.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn reasoning_is_what_the_tags_enclose_at_the_beginning() {
    for (reply, reasoning, content) in [
        ("<think>\nhm\n</think>\n\nYes.\n", "hm", "Yes.\n"),
        (" \n<think>hm</think>Yes.", "hm", "Yes."),
        ("<think></think>Yes.", "", "Yes."),
        ("<think>never ends", "never ends", ""),
        ("Yes. <think>hm</think>", "", "Yes. <think>hm</think>"),
        ("<thinker>Yes.", "", "<thinker>Yes."),
        ("  Yes.", "", "  Yes."),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        ("<thi", "", "<thi"),
        ("<think>a </thin", "a </thin", ""),
        ("", "", ""),
    ] {
        assert_eq!(texts(&read("", reply)), (reasoning, content), "{reply}");
    }
}

#[test]
fn other_families_have_other_tags() {
    for (template, reply) in [
        ("'<seed:think>' '</seed:think>'", "<seed:think>hm</seed:think>Yes."),
        (MISTRAL, "[THINK]hm[/THINK]Yes."),
        (GEMMA, "<|channel>thought\nhm<channel|>Yes."),
        (HARMONY, "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes."),
    ] {
        assert_eq!(texts(&read(template, reply)), ("hm", "Yes."), "{reply}");
    }
}

#[test]
fn the_prompt_may_have_opened_the_reasoning() {
    assert_eq!(texts(&read_in(reader("", &[], true), ["hm</think>Yes."])), ("hm", "Yes."));
    assert_eq!(texts(&read_in(reader("", &[], true), ["hm"])), ("hm", ""));
}

#[test]
fn what_is_certain_is_told_at_once() {
    let mut reader = reader("", &[], false);
    assert_eq!(reader.push("<think>so"), [Piece::Reasoning("so".into())]);
    assert_eq!(reader.push(" </th"), []);
    assert_eq!(reader.push("us"), [Piece::Reasoning(" </thus".into())]);
    assert_eq!(reader.push("</think>Y"), [Piece::Content("Y".into())]);
    assert_eq!(reader.push("es"), [Piece::Content("es".into())]);
}

#[test]
fn calls_are_told_apart_from_what_is_said() {
    let find = r#"<tool_call>{"name": "find", "arguments": {"n": 1}}</tool_call>"#;
    let now = r#"<tool_call>{"name": "now", "arguments": {}}</tool_call>"#;
    let turn = read(HERMES, &format!("<think>hm</think>\n\nI look.\n{find}\n{now}\n"));
    assert_eq!(texts(&turn), ("hm", "I look."));
    assert_eq!(names(&turn), ["find", "now"]);
    assert_eq!(turn.calls[0].arguments, json!({"n": 1}));
    assert_eq!(turn.faults, []);
    let turn = read(HERMES, &format!("\n{find}\n\nDone. "));
    assert_eq!((turn.content.as_str(), names(&turn)), ("Done.", vec!["find"]));
    let turn = read(HERMES, &format!("{find}{now}"));
    let ids: Vec<&str> = turn.calls.iter().filter_map(|it| it.id.as_deref()).collect();
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|it| it.len() == 9 && it.bytes().all(|it| it.is_ascii_alphanumeric())), "{ids:?}");
}

#[test]
fn without_tools_nothing_is_a_call() {
    let text = r#"<tool_call>{"name": "find"}</tool_call> "#;
    let turn = read_in(reader(HERMES, &[], false), [text]);
    assert_eq!((turn.content.as_str(), turn.calls.len(), turn.faults.len()), (text, 0, 0));
}

#[test]
fn a_tag_within_an_argument_ends_no_call() {
    let body = r#"{"name": "find", "arguments": {"text": "</tool_call> or <think>"}}"#;
    let turn = read(HERMES, &format!("<tool_call>{body}</tool_call>ok"));
    assert_eq!(turn.calls[0].arguments, json!({"text": "</tool_call> or <think>"}));
    assert_eq!(turn.content, "ok");
}

#[test]
fn a_call_without_its_end_tag_counts_if_it_is_whole() {
    let turn = read(HERMES, r#"<tool_call>{"name": "now", "arguments": {}}"#);
    assert_eq!((names(&turn), turn.content.as_str()), (vec!["now"], ""));
}

#[test]
fn what_is_no_call_stays_content_and_is_told() {
    for (template, text, why) in [
        (HERMES, "So: <tool_call>{\"name\": now}</tool_call> there", "JSON"),
        (HERMES, "<tool_call>{\"name\": \"now\", \"argum", "JSON"),
        (HERMES, "<tool_call>{\"name\": \"else\"}</tool_call>", "no tool named `else`"),
        (MISTRAL, "[TOOL_CALLS]now[ARGS]{", "not complete"),
        (GEMMA, "<|tool_call>now<tool_call|>", "call:"),
        (LLAMA, "{\"name\": \"now\", \"parameters\": {]}", "JSON"),
        (PYTHONIC, "[now(a=)]", "literal"),
    ] {
        let turn = read(template, text);
        assert_eq!(turn.content, text);
        assert_eq!((turn.calls.len(), turn.faults.len()), (0, 1), "{text}: {turn:?}");
        assert!(turn.faults[0].reason.contains(why), "{text}: {}", turn.faults[0]);
    }
}

#[test]
fn a_good_call_counts_beside_a_bad_one() {
    let good = r#"<tool_call>{"name": "now"}</tool_call>"#;
    for bad in ["<tool_call>{\"name\": </tool_call>", "<tool_call>{\"a\": 1}</tool_call>"] {
        for text in [format!("{bad}\n{good}"), format!("{good}\n{bad}")] {
            let turn = read(HERMES, &text);
            assert_eq!((names(&turn), turn.faults.len()), (vec!["now"], 1), "{text}");
            assert_eq!(turn.faults[0].text, bad);
            assert_eq!(turn.content.trim(), bad, "{text}");
        }
    }
}

#[test]
fn a_call_may_be_the_whole_text() {
    for (template, text) in [
        (LLAMA, r#" {"name": "find", "parameters": {"n": 1}}"#),
        (LLAMA, r#"<|python_tag|>{"name": "find", "parameters": {"n": 1}}"#),
        (HERMES, "<think>hm</think>\n{\"name\": \"find\", \"arguments\": {\"n\": 1}}"),
        (PYTHONIC, "[find(n=1)]"),
        (PYTHONIC, "<|python_start|>[find(n=1)]<|python_end|>"),
    ] {
        let turn = read(template, text);
        assert_eq!((names(&turn), turn.content.as_str()), (vec!["find"], ""), "{text}");
        assert_eq!(turn.calls[0].arguments, json!({"n": 1}));
    }
    for (template, text) in [
        (LLAMA, "{\"a\": 1} is JSON"),
        (LLAMA, "{\"name\": \"Ada\"} is JSON"),
        (HERMES, "{\"name\": \"Ada\"}"),
        (HERMES, "A call: {\"name\": \"now\"}"),
        (LLAMA, "{"),
        (PYTHONIC, "[1, 2] is a list"),
        (PYTHONIC, "[f(x) for x in y]"),
    ] {
        let turn = read(template, text);
        assert_eq!((turn.content.as_str(), turn.calls.len(), turn.faults.len()), (text, 0, 0), "{text}");
    }
}

#[test]
fn mistral_puts_several_calls_in_a_row() {
    let turn =
        read(MISTRAL, "I look.[TOOL_CALLS]find[ARGS]{\"n\": 1}[TOOL_CALLS]now[CALL_ID]abcdefghi[ARGS]{}");
    assert_eq!((names(&turn), turn.content.as_str()), (vec!["find", "now"], "I look."));
    assert_eq!(turn.calls[1].id.as_deref(), Some("abcdefghi"));
}

#[test]
fn gpt_oss_writes_messages_on_channels() {
    let call = "<|channel|>commentary to=functions.find <|constrain|>json<|message|>{\"n\": 1}";
    let text = format!(
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{call}"
    );
    let turn = read(HARMONY, &text);
    assert_eq!((texts(&turn), names(&turn)), (("hm", "I look."), vec!["find"]));
    assert_eq!(turn.calls[0].arguments, json!({"n": 1}));
    let turn = read(HARMONY, " to=functions.now<|channel|>commentary json<|message|>{}<|call|>");
    assert_eq!((names(&turn), turn.content.as_str()), (vec!["now"], ""));
    let turn = read(HARMONY, "<|channel|>commentary to=functions.now<|message|>{");
    assert_eq!((turn.calls.len(), turn.faults.len()), (0, 1));
    assert!(turn.content.ends_with("to=functions.now<|message|>{"), "{}", turn.content);
    // A model that was made to write something else.
    assert_eq!(read(HARMONY, "{\"a\": 1}").content, "{\"a\": 1}");
    let two =
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>";
    assert_eq!(read(HARMONY, two).reasoning, "a\n\nb");
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        template in prop::sample::select(vec![HERMES, MISTRAL, GEMMA, HARMONY, LLAMA, PYTHONIC]),
        reply in "[ \n]{0,2}(<think>|\\[THINK\\]|<\\|channel>thought|<\\|channel\\|>analysis<\\|message\\|>)?([a<ä\\[ \n]|</think>|\\[/THINK\\]|<channel\\|>|<\\|end\\|>|<\\|start\\|>assistant<\\|channel\\|>final<\\|message\\|>|</thi|<tool_call>|</tool_call>|\\[TOOL_CALLS\\]|<\\|tool_call>|<tool_call\\|>|\\{\"name\": \"now\"\\}|call:now\\{\\}|now\\[ARGS\\]\\{\\}|\\[now\\(\\)\\]){0,14}",
        cuts in prop::collection::vec(0_usize..150, 0..8),
        is_reasoning: bool,
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|it| reply.is_char_boundary(*it)).collect();
        cuts.extend([0, reply.len()]);
        cuts.retain(|it| *it <= reply.len());
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|it| &reply[it[0]..it[1]]);
        let whole = read_in(reader(template, &tools(), is_reasoning), [reply.as_str()]);
        prop_assert_eq!(read_in(reader(template, &tools(), is_reasoning), pieces), whole);
    }
}
