//! The choice while a person types.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::Scratch;

/// A file with many functions that use each other and `lib`.
fn file(n: usize) -> String {
    let mut text = "from lib import shared, Basket\n\n".to_owned();
    for i in 0..n {
        let (a, b) = (i * 7 % n, i * 5 % n);
        let _ = write!(
            text,
            "def function_{i}(argument_{i}, other):\n    basket = Basket(argument_{i})\n    value = function_{a}(other)\n    \
             result = function_{b}(value, shared(value))\n    basket.add(result)\n    return basket\n\n\n"
        );
    }
    text
}

const LIB: &str = "def shared(value, currency=None):\n    return 1\n\nclass Basket:\n    def __init__(self, first):\n        pass\n\n    \
    def add(self, item):\n        pass\n\n    def total_of_all(self):\n        pass\n";

/// What a person does next.
#[derive(Clone, Debug)]
enum Act {
    Type(String),
    Delete(usize),
    /// Goes to another place, in parts of 1,000 of the file.
    Jump(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let typed = prop_oneof![
        "[a-z(), .:]{1,12}",
        Just("\n    ".to_owned()),
        Just("function_3(".to_owned()),
        Just("basket.total_of_all()".to_owned()),
        Just("def new_one(a):\n    return \"é".to_owned()),
        Just("'''".to_owned()),
    ];
    let act = prop_oneof![
        12 => typed.prop_map(Act::Type),
        2 => (1_usize..8).prop_map(Act::Delete),
        1 => (0_usize..1_000).prop_map(Act::Jump),
    ];
    prop::collection::vec(act, 1..40)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_choice_changes_rarely_and_never_shows_what_the_window_shows(acts in acts()) {
        let mut scratch = Scratch::new(&[("lib.py", LIB)]);
        let mut text = file(40);
        let mut at = floor(&text, text.len() / 2);
        scratch.open("a.py", &format!("{}|{}", &text[..at], &text[at..]));
        let path = scratch.path("a.py");
        let mut last = None;
        let (mut n_keys, mut n_changes) = (0, 0);
        for act in acts {
            let keys = match act {
                Act::Type(typed) => typed.chars().map(|it| (0, it.to_string())).collect(),
                Act::Delete(n) => vec![(1, String::new()); n],
                Act::Jump(part) => {
                    at = floor(&text, text.len() * part / 1_000);
                    last = None;
                    Vec::new()
                }
            };
            for (n_deleted, typed) in keys {
                let start = floor(&text, at - n_deleted.min(at));
                prop_assert!(scratch.project.edit(&path, start..at, &typed));
                text.replace_range(start..at, &typed);
                at = start + typed.len();
                let excerpts = scratch.context("a.py", &text, at);
                n_keys += 1;
                n_changes += usize::from(last.as_ref().is_some_and(|it| *it != excerpts));
                let window = &text[super::window(&text, at)];
                let n_bytes: usize = excerpts.iter().map(|it| it.path.len() + it.text.len()).sum();
                prop_assert!(n_bytes <= 4_000, "{n_bytes} bytes");
                let own = excerpts.iter().filter(|it| it.path == "a.py").flat_map(|it| it.text.lines());
                for line in own.filter(|it| it.contains("def ")) {
                    let head = line.trim_end_matches(": ...");
                    let n_defined = text.matches(head).count();
                    prop_assert!(n_defined > 1 || !window.contains(head), "{head} is in the window");
                }
                last = Some(excerpts);
            }
        }
        // A line that names something new, and a new function, change it once.
        prop_assert!(n_changes <= 3 + n_keys / 6, "{n_changes} changes in {n_keys} keys");
    }
}
