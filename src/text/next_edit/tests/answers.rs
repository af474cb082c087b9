//! What answers change, written the way the models write them.

use super::*;

const DOCUMENT: &str =
    "fn area(w: f64, h: f64) -> f64 {\n    w * h\n}\n\nfn main() {\n    println!(\"{}\", area(2.0|));\n}";

fn window(format: NextEditFormat) -> EditWindow {
    prompt(format, DOCUMENT).window
}

fn document() -> String {
    at_cursor(DOCUMENT).0
}

/// The formats whose answers are about the whole window.
const OF_WHOLE: [NextEditFormat; 3] = [NextEditFormat::Sweep, NextEditFormat::Zeta2, NextEditFormat::Zeta21];

/// A whole answer with this new text.
fn answer(format: NextEditFormat, text: &str) -> String {
    match format {
        NextEditFormat::Sweep | NextEditFormat::SweepV2 => format!("\n{text}"),
        NextEditFormat::Zeta2 => format!("{text}\n>>>>>>> UPDATED\n"),
        NextEditFormat::Zeta21 => format!("<|marker_1|>{text}<|marker_2|>"),
    }
}

#[test]
fn an_answer_is_the_window_as_it_will_be() {
    for format in OF_WHOLE {
        let new = document().replace("area(2.0)", "area(2.0, 3.0)");
        let text = answer(format, &new);
        let predicted = window(format).read(&text, true).unwrap();
        let at = document().find("2.0").unwrap() + 3;
        assert_eq!(predicted.edits, [TextEdit { range: at..at, text: ", 3.0".to_owned() }], "{format:?}");
        assert!(text[predicted.begins_at..].starts_with(", 3.0)"), "{format:?}");
    }
}

#[test]
fn an_answer_may_change_several_places_and_remove_lines() {
    for format in OF_WHOLE {
        let new = document().replace("w: f64, h: f64", "side: f64").replace("w * h", "side * side");
        assert_eq!(rewritten(&window(format), &answer(format, &new), true), Some(new));
        let new = document().replace("    println!(\"{}\", area(2.0));\n", "");
        let predicted = window(format).read(&answer(format, &new), true).unwrap();
        assert_eq!(predicted.edits.len(), 1);
        assert!(predicted.edits[0].text.is_empty() && !predicted.edits[0].range.is_empty(), "{format:?}");
    }
}

#[test]
fn an_answer_that_repeats_the_window_changes_nothing() {
    for format in OF_WHOLE {
        let window = window(format);
        assert_eq!(window.read(&answer(format, &document()), true), None, "{format:?}");
        assert_eq!(window.read(&answer(format, &format!("{}\n\n", document())), true), None, "{format:?}");
        assert_eq!(window.read("", true), None, "{format:?}");
        assert_eq!(window.read("\n", true), None, "{format:?}");
        assert_eq!(window.read("\n\n", true), None, "{format:?}");
    }
    assert_eq!(window(NextEditFormat::Zeta2).read("NO_EDITS\n>>>>>>> UPDATED\n", true), None);
    assert_eq!(window(NextEditFormat::Zeta2).read("NO_EDITS\n", true), None);
    assert_eq!(window(NextEditFormat::Zeta21).read("<|marker_1|><|marker_1|>", true), None);
}

#[test]
fn an_answer_that_was_cut_off_counts_if_it_is_back_at_unchanged_lines() {
    for format in [NextEditFormat::Sweep, NextEditFormat::Zeta2] {
        let new = document().replace("w: f64, h: f64", "side: f64");
        let text = answer(format, &new);
        let cut = |until: &str| rewritten(&window(format), &text[..text.find(until).unwrap()], false);
        assert_eq!(cut("side"), None, "nothing has changed yet");
        assert_eq!(cut("h\n}"), None, "it has not come back");
        assert_eq!(cut("\n\nfn main"), None, "one line is not enough");
        assert_eq!(cut("fn main"), Some(new.clone()), "{format:?}");
        assert_eq!(cut("println"), Some(new), "{format:?}");
    }
    let long = "a\nb\nc\nd\ne\nf\n\ng\nh\ni\nj\nk\nl";
    let window = prompt(NextEditFormat::Zeta21, &format!("|{long}")).window;
    let cut = "<|marker_1|>a\nB\nc\nd\ne\nf\n\n<|marker_2|>g\nh";
    assert_eq!(
        rewritten(&window, cut, false),
        Some(long.replace('b', "B")),
        "what is before the last marker"
    );
    assert_eq!(window.read("<|marker_1|>a\nB\nc\nd", false), None);
}

#[test]
fn marks_in_an_answer_are_no_text_of_the_document() {
    for format in [NextEditFormat::Zeta2, NextEditFormat::Zeta21] {
        let new = document().replace("area(2.0)", "area(2.0, 3.0)");
        let with_cursor =
            new.replace("3.0", "3<|user_cursor|>.0").replace("fn main", "<|user_cursor|>fn main");
        let text = answer(format, &with_cursor);
        let predicted = window(format).read(&text, true).unwrap();
        assert_eq!(applied(&document(), &predicted.edits), new, "{format:?}");
        assert!(text[predicted.begins_at..].starts_with(", 3<|user_cursor|>.0"), "{format:?}");
    }
    let window = window(NextEditFormat::Zeta2);
    let new = document().replace("2.0", "3.0");
    assert_eq!(rewritten(&window, &format!("{new}\n>>>>>>> UPDATED\nand more\n"), true), Some(new.clone()));
    for text in [format!("<<<<<<< CURRENT\n{new}"), format!("{}\n=======\n{new}\n", document())] {
        assert_eq!(window.read(&text, true), None, "{text}");
    }
}

#[test]
fn an_answer_rewrites_what_is_between_its_markers() {
    let long = "a\nb\nc\nd\ne\nf\n\ng\nh\ni\nj\nk\nl";
    let window = prompt(NextEditFormat::Zeta21, &format!("|{long}")).window;
    let read = |answer: &str| rewritten(&window, answer, true);
    assert_eq!(read("<|marker_2|>g\nH\ni\nj\nk\nl<|marker_3|>"), Some(long.replace('h', "H")));
    assert_eq!(read("<|marker_1|>a\nb\nC\nd\ne\nf\n\n<|marker_2|>"), Some(long.replace('c', "C")));
    assert_eq!(
        read("<|marker_1|>a\nb\nC\nd\ne\nf\n\n<|marker_2|>g\nH\ni\nj\nk\nl<|marker_3|>"),
        Some(long.replace('c', "C").replace('h', "H")),
        "the marker between them is no text"
    );
    assert_eq!(
        read("<|marker_2|>\ng\nH\ni\nj\nk\nl\n<|marker_3|>\n"),
        Some(long.replace('h', "H")),
        "markers on lines of their own, as the card has them"
    );
    assert_eq!(read("<|marker_1|>\na\nB\nc\nd\ne\nf\n\n<|marker_2|>"), Some(long.replace('b', "B")));
    assert_eq!(read("<|marker_2|><|marker_3|>"), Some("a\nb\nc\nd\ne\nf".to_owned()), "a removal");
    for broken in [
        "<|marker_2|>",
        "<|marker_3|>x<|marker_2|>",
        "<|marker_0|>x<|marker_2|>",
        "<|marker_1|>x<|marker_9|>",
        "<|marker_99999999999999999999|>x<|marker_2|>",
        "<|marker_x|>x<|marker_",
        "g\nH\n",
    ] {
        assert_eq!(read(broken), None, "{broken}");
    }
}

#[test]
fn an_answer_that_keeps_almost_nothing_is_no_edit() {
    for format in OF_WHOLE {
        let window = window(format);
        for text in ["fn area() {}", "", "x\ny\nz"] {
            assert_eq!(window.read(&answer(format, text), true), None, "{format:?}: {text:?}");
        }
        let short = prompt(format, "le|t").window;
        let read = rewritten(&short, &answer(format, "let x = 1;"), true);
        assert_eq!(read.as_deref(), Some("let x = 1;"), "{format:?}: a short window may become another one");
        assert_eq!(short.read(&answer(format, ""), true), None, "{format:?}");
    }
}

#[test]
fn an_answer_that_takes_back_the_latest_edit_is_none() {
    for format in OF_WHOLE {
        let (text, cursor) = at_cursor("a\nnew|\nb\nc");
        let edit = RecentEdit { original: "old", updated: "new", ..RecentEdit::default() };
        let edited = Edited { text: &text, cursor, edits: &[edit], ..Edited::default() };
        let window = format.prompt(&tokenizer(format), &edited, 10_000).unwrap().window;
        assert_eq!(window.read(&answer(format, "a\nold\nb\nc"), true), None, "{format:?}");
        let read = rewritten(&window, &answer(format, "a\nnew\nbb\nc"), true);
        assert_eq!(read.as_deref(), Some("a\nnew\nbb\nc"), "{format:?}");
    }
}

#[test]
fn an_answer_of_another_format_is_none() {
    let window = window(NextEditFormat::Sweep);
    assert_eq!(window.read(&document().replace("2.0", "3.0"), true), None);
    assert_eq!(window.read(&format!(":1:7\n{}", document().replace("2.0", "3.0")), true), None);
}

#[test]
fn an_answer_of_sweeps_second_version_begins_with_the_cursors_line() {
    let window =
        prompt(NextEditFormat::SweepV2, "fn f(a: i32) {\n    g(a|);\n    h(b);\n    i(c);\n}\n").window;
    let new = |below: &str| Some(format!("fn f(a: i32) {{\n{below}"));
    let read = |answer: &str| rewritten(&window, answer, true);
    assert_eq!(
        read("    g(a, b);\n    h(b);\n    i(c);\n}\n"),
        new("    g(a, b);\n    h(b);\n    i(c);\n}\n")
    );
    assert_eq!(
        read("    g(a<|cursor|>, b);\n    h(b);\n    i(c);\n}"),
        new("    g(a, b);\n    h(b);\n    i(c);\n}\n")
    );
    assert_eq!(read("    g(a);\n    h(b);\n    i(c);\n}\n\n"), None, "nothing has changed");
    assert_eq!(read("\n"), None);
    let cut = rewritten(&window, "    g(a, b);\n    h(b);\n    i(c);\n", false);
    assert_eq!(cut, new("    g(a, b);\n    h(b);\n    i(c);\n}\n"));
    assert_eq!(window.read("    g(a, b);\n    h(", false), None);
    let text = "    g(a, b);\n    h(b);\n    i(c);\n}\n";
    let predicted = window.read(text, true).unwrap();
    assert!(text[predicted.begins_at..].starts_with(", b)"), "{}", predicted.begins_at);
}
