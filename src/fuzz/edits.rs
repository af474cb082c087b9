//! What models of the next edit are asked and what they answer, in each of their formats.

use std::sync::LazyLock;

use runabout_text::{Edited, NextEditFormat, RecentEdit, Tokenizer};

use crate::mutate::{joined, parts};
use crate::sample;

const FORMATS: [NextEditFormat; 4] =
    [NextEditFormat::Sweep, NextEditFormat::SweepV2, NextEditFormat::Zeta2, NextEditFormat::Zeta21];

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| sample::tokenizer("{{ messages }}"));

pub(crate) fn run(data: &[u8]) {
    let [how, original, updated, text, answer] = parts::<5>(data);
    let number = |i: usize| usize::from(how.get(i).copied().unwrap_or_default());
    let text_of = |it: &[u8]| String::from_utf8_lossy(it).replace("\r\n", "\n").replace('\r', "\n");
    let [original, updated, text, answer] = [original, updated, text, answer].map(text_of);
    let cursor = text.floor_char_boundary(number(1).min(text.len()));
    let recent = RecentEdit { path: None, original: &original, updated: &updated, line: Some(number(2)) };
    if let Some(place) = recent.place(&text, cursor) {
        assert!(text.is_char_boundary(place), "a place is between characters");
    }
    let edits = [recent, RecentEdit { path: Some("b.txt"), line: None, ..recent }];
    let edited = Edited { text: &text, cursor, path: Some("a.txt"), edits: &edits, ..Edited::default() };
    let limit = 64 + 16 * number(3);
    let Ok(prompt) = FORMATS[number(0) % FORMATS.len()].prompt(&TOKENIZER, &edited, limit) else { return };
    assert!(prompt.tokens.len() <= limit, "a prompt fits");
    let window = &text[prompt.window.range()];
    let Some(predicted) = prompt.window.read(&answer, number(4) % 2 == 0) else { return };
    assert!(answer.is_char_boundary(predicted.begins_at), "a change begins between characters");
    let mut end = 0;
    for edit in predicted.edits {
        assert!(edit.range.start >= end, "edits are in order");
        assert!(
            window.get(edit.range.clone()).is_some_and(|it| it != edit.text),
            "an edit changes the window"
        );
        end = edit.range.end;
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = "def area(w, h):\n    return w * h\n\nprint(area(2, 3))\n";
    let answers = [
        "def area(width, h):\n    return width * h\n\nprint(area(2, 3))\n",
        "def area(width, h):\n    return width * h\n",
        "<<<<<<< CURRENT\ndef area(w, h):\n=======\ndef area(width, h):\n>>>>>>> UPDATED\n",
        "<|marker_1|>\ndef area(width, h):\n<|marker_2|>",
    ];
    let seed = |(i, answer): (usize, &str)| {
        let how = [u8::try_from(i).expect("there are few formats"), 12, 0, 200, 0];
        joined(&[&how, b"def area(w, h):", b"def area(width, h):", text.as_bytes(), answer.as_bytes()])
    };
    answers.into_iter().enumerate().map(seed).collect()
}
