//! What is chosen, in which order, and what is left out.

use super::{Scratch, filler, joined};
use runabout_context::{Kinds, Project};

#[test]
fn definitions_of_the_own_file_are_shown_only_outside_the_window() {
    let mut scratch = Scratch::new(&[]);
    let far = format!(
        "def far(a, b):\n    return a\n\n{}def near(c):\n    return c\n\ndef run():\n    return far(near(|\n",
        filler("#")
    );
    assert_eq!(scratch.shown("a.py", &far), "--- a.py\ndef far(a, b): ...\n");
}

#[test]
fn the_head_of_a_function_that_begins_above_the_window_is_shown() {
    let mut scratch = Scratch::new(&[]);
    let text =
        format!("class A:\n    def long(self, first, second):\n{}        return |\n", filler("        #"));
    let shown = scratch.shown("a.py", &text);
    assert!(shown.contains("class A:\n    def long(self, first, second): ...\n"), "{shown}");
}

#[test]
fn a_name_in_the_line_is_added_at_the_end_when_it_is_complete_and_what_was_there_stays() {
    let lib = "def first(a):\n    pass\n\ndef second(b):\n    pass\n";
    let mut scratch = Scratch::new(&[("lib.py", lib)]);
    let at = scratch.open("a.py", "import lib\n\ndef run():\n    lib.first()\n    |\n");
    let before = scratch.context("a.py", at);
    let path = scratch.path("a.py");
    let mut at = at;
    for typed in "lib.second".chars() {
        scratch.project.edit(&path, at..at, &typed.to_string());
        at += 1;
        assert_eq!(scratch.context("a.py", at).excerpts, before.excerpts, "after {typed}");
    }
    scratch.project.edit(&path, at..at, "(");
    let after = scratch.context("a.py", at + 1);
    assert_eq!(after.excerpts[..before.excerpts.len()], before.excerpts);
    assert_eq!(after.excerpts.last().unwrap().text, "def second(b): ...\n");
}

#[test]
fn nothing_is_shown_twice_even_if_two_files_have_it() {
    let lib = "def price(item):\n    pass\n";
    let mut scratch = Scratch::new(&[("one.py", lib), ("two.py", lib)]);
    let shown = scratch.shown("a.py", "import one, two\n\ndef run():\n    one.price(two.price(|\n");
    assert_eq!(shown.matches("def price").count(), 1, "{shown}");
}

#[test]
fn what_the_window_shows_is_not_shown_again_from_a_copy_of_the_file() {
    let lib = "class Price:\n    amount = 12\n";
    let mut scratch = Scratch::new(&[("lib.py", lib)]);
    assert_eq!(scratch.shown("a.py", &format!("from lib import Price\n{lib}\nx = Price(|\n")), "");
}

#[test]
fn excerpts_take_no_more_than_the_budget() {
    use std::fmt::Write as _;
    let (mut lib, mut main) = (String::new(), "from lib import *\n\ndef run():\n".to_owned());
    for i in 0..200 {
        let _ = write!(lib, "def function_{i}(argument_{i}, other):\n    return {i}\n\n");
        let _ = writeln!(main, "    function_{i}()");
    }
    let mut scratch = Scratch::new(&[("lib.py", &lib)]);
    let at = scratch.open("a.py", &(main + "    |\n"));
    let path = scratch.path("a.py");
    for budget in [0, 1, 50, 100, 500, 2_000, 10_000] {
        let context = scratch.project.context(&path, at, budget).unwrap();
        let n_bytes: usize = context.excerpts.iter().map(|it| it.path.len() + it.text.len()).sum();
        assert!(n_bytes <= budget, "{n_bytes} bytes of {budget}");
        assert!(budget < 500 || n_bytes > budget / 4, "{n_bytes} bytes of {budget}");
    }
}

#[test]
fn open_files_count_as_much_as_their_unsaved_text() {
    let mut scratch = Scratch::new(&[("lib.py", "def price(old):\n    pass\n")]);
    scratch.open("lib.py", "def price(new, currency):\n    pass\n|");
    let shown = scratch.shown("a.py", "import lib\n\ndef run():\n    lib.price(|\n");
    assert!(shown.contains("def price(new, currency): ..."), "{shown}");
}

#[test]
fn a_file_in_no_workspace_folder_has_context_from_open_files_only() {
    let mut project = Project::new(Vec::new(), Kinds::default());
    let scratch = Scratch::new(&[("lib.py", "def price(item):\n    pass\n")]);
    let (main, open) = (scratch.path("a.py"), scratch.path("open.py"));
    let text = "import lib\n\ndef run():\n    lib.price(cost(";
    project.open(&main, Some("python"), text.to_owned());
    project.open(&open, Some("python"), "def cost(hour):\n    pass\n".to_owned());
    assert!(project.reading(&main).is_none());
    let shown = joined(&project.context(&main, text.len(), 4_000).unwrap());
    assert_eq!(shown, "--- open.py\ndef cost(hour): ...\n");
}

#[test]
fn a_place_that_the_document_does_not_have_has_no_context() {
    let mut scratch = Scratch::new(&[]);
    scratch.open("a.py", "é|");
    let path = scratch.path("a.py");
    assert!(scratch.project.context(&path, 1, 100).is_none());
    assert!(scratch.project.context(&path, 9, 100).is_none());
    assert!(scratch.project.context(&scratch.path("b.py"), 0, 100).is_none());
    assert!(!scratch.project.edit(&path, 1..2, ""), "inside a character");
    assert!(scratch.project.context(&path, 0, 100).is_none(), "its text is not known any more");
}
