//! Source code, which is broken most of the time: definitions, signatures, imports, names.

use runabout_context::{Language, Syntax, import_place, occurrences, signatures};
use runabout_files::unified_diff;

use crate::mutate::{joined, parts};

const LANGUAGES: [Language; 8] = [
    Language::C,
    Language::Go,
    Language::Java,
    Language::JavaScript,
    Language::Python,
    Language::Rust,
    Language::Tsx,
    Language::TypeScript,
];

pub(crate) fn run(data: &[u8]) {
    let [which, other, text] = parts::<3>(data);
    let language = LANGUAGES[usize::from(which.first().copied().unwrap_or_default()) % LANGUAGES.len()];
    let [text, other] = [text, other].map(String::from_utf8_lossy);
    let _ = Syntax::of(language, &text);
    for occurrence in occurrences(language, &text, "f").unwrap_or_default() {
        assert_eq!(&text[occurrence.range], "f", "an occurrence is the name");
    }
    let _ = signatures(language, &text);
    if let Some(place) = import_place(language, &text) {
        assert!(text.is_char_boundary(place), "imports are added between characters");
    }
    let diff = unified_diff("a.txt", Some(&other), &text);
    assert_eq!(diff.is_empty(), text == other, "what differs has a difference");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        (0, "#include <a.h>\nstatic int f(int a, char *b) { return a ? f(a - 1, b) : 0; }\n"),
        (1, "package a\nimport \"b\"\nfunc (t *T) f(x int, y ...string) (int, error) { return 0, nil }\n"),
        (2, "import a.B;\nclass C<T> { @D int f(final int x) throws E { return this.f(1); } }\n"),
        (3, "import {a as f} from './b.js';\nconst g = async ({x}, [y] = []) => { await f`a${x}`; };\n"),
        (4, "from a import (b as f,\n  c)\n@d\nasync def f(x: int = 1, *y, **z) -> 'T':\n    \"\"\"Doc.\"\"\"\n    yield f\n"),
        (5, "use a::{b::f, c as d};\nimpl<T: X> Y for Z<T> { fn f(&self, x: &'static str) -> Option<T> { f!(x) } }\n"),
        (6, "export default function F({a}: P) { return <div onClick={() => f()}>{a}</div>; }\n"),
        (7, "abstract class A<T extends B> { private f?(x: number | string): asserts x is number; }\n"),
    ]
    .map(|(which, text): (u8, &str)| joined(&[&[which], b"int f;\n", text.as_bytes()]))
    .into()
}
