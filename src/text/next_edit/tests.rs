//! Prompts and answers of the formats for the next edit.
#![allow(clippy::unwrap_used)]

mod answers;
mod prompts;

use proptest::prelude::*;

use super::*;
use crate::tokenizer::bytes_with;

const SWEEP_TOKENS: [&str; 3] = ["<|endoftext|>", "<|file_sep|>", "<|fim_prefix|>"];
const SEED_TOKENS: [&str; 5] =
    ["<[end▁of▁sentence]>", "<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>", "<filename>"];

fn tokenizer(format: NextEditFormat) -> Tokenizer {
    match format {
        NextEditFormat::Sweep | NextEditFormat::SweepV2 => bytes_with(&SWEEP_TOKENS),
        NextEditFormat::Zeta2 | NextEditFormat::Zeta21 => bytes_with(&SEED_TOKENS),
    }
}

/// The document with the cursor at `|`.
fn at_cursor(text: &str) -> (String, usize) {
    let cursor = text.find('|').unwrap();
    (text.replacen('|', "", 1), cursor)
}

/// The prompt for the document with the cursor at `|`.
fn prompt(format: NextEditFormat, text: &str) -> NextEditPrompt {
    let (text, cursor) = at_cursor(text);
    let edited = Edited { text: &text, cursor, ..Edited::default() };
    format.prompt(&tokenizer(format), &edited, 100_000).unwrap()
}

/// A window as an editor would apply the edits to it.
fn applied(window: &str, edits: &[TextEdit]) -> String {
    let mut text = window.to_owned();
    for edit in edits.iter().rev() {
        text.replace_range(edit.range.clone(), &edit.text);
    }
    text
}

/// The window after the answer; `None` if the answer changes nothing.
fn rewritten(window: &EditWindow, answer: &str, is_complete: bool) -> Option<String> {
    let predicted = window.read(answer, is_complete)?;
    Some(applied(&window.window.text, &predicted.edits))
}

#[test]
fn a_format_is_detected_by_the_models_name_and_only_with_its_tokens() {
    let detected =
        |name: &str, format| NextEditFormat::detect(name, &tokenizer(format)).map(NextEditFormat::name);
    for (name, format, expected) in [
        ("sweep-next-edit-0.5B", NextEditFormat::Sweep, Some("sweep")),
        ("sweepai/sweep-next-edit-1.5B", NextEditFormat::Sweep, Some("sweep")),
        ("sweep-next-edit-1.5b.q8_0.v2.gguf", NextEditFormat::Sweep, Some("sweep")),
        ("sweep-next-edit-v2-7B", NextEditFormat::Sweep, Some("sweep-v2")),
        ("zeta-2", NextEditFormat::Zeta2, Some("zeta-2")),
        ("zed-industries/zeta-2.1", NextEditFormat::Zeta21, Some("zeta-2.1")),
        ("Zeta_2-Q4", NextEditFormat::Zeta2, Some("zeta-2")),
        ("zeta", NextEditFormat::Zeta2, None),
        ("qwen2.5-coder-0.5b", NextEditFormat::Sweep, None),
        ("sweep-next-edit-0.5B", NextEditFormat::Zeta2, None),
        ("zeta-2.1", NextEditFormat::Sweep, None),
    ] {
        assert_eq!(detected(name, format), expected, "{name}");
    }
    for format in ALL {
        assert_eq!(NextEditFormat::named(format.name()), Some(format));
    }
    assert_eq!(NextEditFormat::named("qwen"), None);
}

#[test]
fn each_group_of_changed_lines_is_one_edit_without_what_both_have_in_common() {
    let edits = |old: &str, new: &str| {
        let changes = changes(old, new);
        changes.into_iter().map(|it| (it.edit.range, it.edit.text)).collect::<Vec<_>>()
    };
    let edit = |range: Range<usize>, text: &str| (range, text.to_owned());
    assert_eq!(edits("a\nb\nc", "a\nb\nc"), []);
    assert_eq!(edits("f(a)\ng(a)", "f(a, b)\ng(a)"), [edit(3..3, ", b")]);
    assert_eq!(edits("a\nb\nc\n", "a\nc\n"), [edit(2..4, "")], "a removal");
    assert_eq!(edits("a\nc", "a\nb\nc"), [edit(2..2, "b\n")]);
    assert_eq!(edits("a", "a\nb"), [edit(1..1, "\nb")]);
    assert_eq!(
        edits("let x = 1;\nf();\nlet y = x;\n", "let n = 1;\nf();\nlet y = n;\n"),
        [edit(4..5, "n"), edit(24..25, "n")],
        "what is between two changes stays"
    );
    assert_eq!(edits("é", "è"), [edit(0..2, "è")], "no character is divided");
}

proptest! {
    #[test]
    fn the_edits_make_the_new_text_of_the_old_one(old in "[aé\n]{0,24}", new in "[aé\n]{0,24}") {
        let changes = changes(&old, &new);
        let edits: Vec<_> = changes.iter().map(|it| it.edit.clone()).collect();
        prop_assert_eq!(applied(&old, &edits), new.as_str());
        for pair in edits.windows(2) {
            prop_assert!(pair[0].range.end <= pair[1].range.start);
        }
        for change in &changes {
            prop_assert!(new[change.new_start..].starts_with(&change.edit.text));
        }
    }

    #[test]
    fn no_answer_breaks_the_document(
        window in "([ab }\n]|<\\|marker_[0-9]\\|>){0,40}",
        answer in "([ab }\n]|<\\|marker_[0-9]\\|>|<\\|user_cursor\\|>|=======\n|>>>>>>> UPDATED){0,40}",
        is_complete: bool,
    ) {
        for format in ALL {
            let window = EditWindow {
 format,
 window: Window { range: 0..window.len(), text: window.clone(), n_kept: 0, before: None } };
            if let Some(predicted) = window.read(&answer, is_complete) {
                prop_assert!(!predicted.edits.is_empty());
                prop_assert!(predicted.begins_at <= answer.len() && answer.is_char_boundary(predicted.begins_at));
                applied(&window.window.text, &predicted.edits);
            }
        }
    }
}
