//! What is chosen, in which order, and what is left out.

use super::{Scratch, filler, joined};
use runabout_context::{Cursor, Kinds, Project};

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
fn typing_in_a_line_changes_nothing_and_another_function_does() {
    let lib = "def first(a):\n    pass\n\ndef second(b):\n    pass\n";
    let mut scratch = Scratch::new(&[("a.py", "")]);
    scratch.open("lib.py", &format!("{lib}|"));
    let before = "def run():\n    first()\n    ";
    let behind = "\n\ndef stop():\n    second()\n    \n";
    let mut at = scratch.open("a.py", &format!("{before}|{behind}"));
    let mut text = format!("{before}{behind}");
    let choice = scratch.context("a.py", &text, at);
    assert_eq!(joined(&choice), "--- lib.py\ndef first(a): ...\n");
    let path = scratch.path("a.py");
    for typed in "second(second), \"\"\" def".chars() {
        scratch.project.edit(&path, at..at, &typed.to_string());
        text.insert(at, typed);
        at += 1;
        assert_eq!(scratch.context("a.py", &text, at), choice, "after {typed}");
    }
    let at = scratch.open("a.py", &format!("{before}{}|\n", behind.trim_end()));
    let text = format!("{before}{}\n", behind.trim_end());
    assert_eq!(joined(&scratch.context("a.py", &text, at)), "--- lib.py\ndef second(b): ...\n");
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
    main += "    |\n";
    let at = scratch.open("a.py", &main);
    let path = scratch.path("a.py");
    for budget in [0, 1, 50, 100, 500, 2_000, 10_000] {
        let excerpts = scratch.project.context(&Cursor { path: &path, at, window: at..at }, budget);
        let n_bytes: usize = excerpts.iter().map(|it| it.path.len() + it.text.len()).sum();
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
    project.open(&main, Some("python"), text);
    project.open(&open, Some("python"), "def cost(hour):\n    pass\n");
    assert!(project.reading(&main).is_none());
    let shown =
        joined(&project.context(&Cursor { path: &main, at: text.len(), window: 0..text.len() }, 4_000));
    assert_eq!(shown, "--- open.py\ndef cost(hour): ...\n");
}

#[test]
fn a_place_that_the_document_does_not_have_has_no_context() {
    let mut scratch = Scratch::new(&[("lib.py", "é = 1\n")]);
    scratch.open("a.py", "import lib\né|");
    let (path, other) = (scratch.path("a.py"), scratch.path("b.py"));
    let mut context = |path, at, window| scratch.project.context(&Cursor { path, at, window }, 100);
    assert!(!context(&path, 11, 11..11).is_empty());
    assert_eq!(context(&path, 12, 0..13), [], "inside a character");
    assert_eq!(context(&path, 11, 0..12), [], "a window that ends inside a character");
    assert_eq!(context(&path, 99, 0..99), [], "behind the end");
    assert_eq!(context(&path, 0, 5..6), [], "outside the window");
    assert_eq!(context(&other, 0, 0..0), [], "not open");
    assert!(!scratch.project.edit(&path, 12..13, ""), "inside a character");
    assert_eq!(
        scratch.project.context(&Cursor { path: &path, at: 0, window: 0..0 }, 100),
        [],
        "its text is not known"
    );
}

#[test]
fn a_text_that_is_replaced_as_a_whole_keeps_its_choice() {
    let lib = "def first(a):\n    pass\n\ndef second(b):\n    pass\n";
    let mut scratch = Scratch::new(&[("lib.py", lib)]);
    let text = "import lib\n\ndef run():\n    lib.first()\n    |\n";
    let before = scratch.shown("a.py", text);
    assert!(before.contains("def first(a): ..."));
    let typed = text.replace('|', "x = 'é'|");
    assert_eq!(scratch.shown("a.py", &typed), before);
    assert_eq!(scratch.shown("a.py", &typed.replace("'é'", "'è'")), before);
    assert_eq!(scratch.shown("a.py", "|"), "");
}

#[test]
fn a_document_that_grows_too_long_has_no_context_and_takes_edits() {
    let mut scratch = Scratch::new(&[("lib.py", "def first(a):\n    pass\n")]);
    let text = "import lib\n\ndef run():\n    lib.first(";
    assert_ne!(scratch.shown("a.py", &format!("{text}|")), "");
    let path = scratch.path("a.py");
    assert!(scratch.project.edit(&path, 0..0, &"x = 1\n".repeat(200_000)));
    assert!(scratch.project.edit(&path, 1_000_000..1_000_001, "y"));
    assert_eq!(scratch.project.context(&Cursor { path: &path, at: 0, window: 0..0 }, 4_000), []);
    assert_ne!(scratch.shown("a.py", &format!("{text}|")), "", "it is short again");
}

#[test]
fn places_of_recent_edits_and_the_view_of_another_document_are_shown() {
    let mut scratch = Scratch::new(&[]);
    let other = format!("{}limit = 1\n{}looked_at = 2\n{}", filler("#"), filler("#"), filler("#"));
    let path = scratch.path("other.py");
    scratch.project.open(&path, None, &other);
    let at = other.find("limit").unwrap();
    assert!(scratch.project.edit(&path, at..at, "upper_"));
    let other = other.replace("limit", "upper_limit");
    let at = other.find("looked_at").unwrap();
    scratch.context("other.py", &other, at);
    let shown = scratch.shown("a.py", "def run():\n    |\n");
    assert!(shown.contains("upper_limit = 1") && shown.contains("looked_at = 2"), "{shown}");
    assert!(shown.lines().count() < 40, "{shown}");
    let path = scratch.path("other.py");
    scratch.project.close(&path);
    assert_eq!(scratch.shown("a.py", "def stop():\n    x = 1\n    |\n"), "");
}

#[test]
fn a_kind_that_is_off_is_not_shown() {
    let text = "import lib\n\ndef run():\n    lib.first(|\n";
    let mut scratch = Scratch::new(&[("lib.py", "def first(a):\n    pass\n")]);
    assert_ne!(scratch.shown("a.py", text), "");
    scratch.project.set_kinds(Kinds::NONE);
    assert_eq!(scratch.shown("a.py", text), "");
}

#[test]
fn an_incomplete_line_does_not_change_the_choice() {
    // Without its last bracket, the parser takes the rest of the file for something else.
    let mut scratch = Scratch::new(&[("lib.h", "int first(int a);\nint second(int b);\n")]);
    let before = "#include \"lib.h\"\n\nint run(int x) {\n    first(x);\n";
    let behind = "}\n\nint stop(int y) {\n    return second(y);\n}\n";
    let mut at = scratch.open("a.c", &format!("{before}|\n{behind}"));
    let mut text = format!("{before}\n{behind}");
    let choice = scratch.context("a.c", &text, at);
    let path = scratch.path("a.c");
    for typed in "    } } if ((( \"{{{ '".chars() {
        scratch.project.edit(&path, at..at, &typed.to_string());
        text.insert(at, typed);
        at += 1;
        assert_eq!(scratch.context("a.c", &text, at), choice, "after {typed}");
    }
}
