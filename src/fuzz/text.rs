//! Code around a cursor and what a model writes there: rules, stop strings, line ends, and what fits into a prompt.

use std::sync::LazyLock;

use runabout_text::{
    ContextFile, Cursor, FimFormat, Goal, Rules, StopMatcher, Surroundings, Tokenizer, continuation_prompt,
    healing_start,
};

use crate::mutate::{joined, parts, pieces};
use crate::sample;

const LANGUAGES: [Option<&str>; 6] =
    [None, Some("python"), Some("rust"), Some("javascript"), Some("c"), Some("yaml")];

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| sample::tokenizer("{{ messages }}"));

pub(crate) fn run(data: &[u8]) {
    let [how, cuts, prefix, suffix, text] = parts::<5>(data);
    let number = |i: usize| usize::from(how.get(i).copied().unwrap_or_default());
    // Rules see LF only.
    let text_of = |it: &[u8]| String::from_utf8_lossy(it).replace("\r\n", "\n").replace('\r', "\n");
    let [prefix, suffix, text] = [prefix, suffix, text].map(text_of);
    let language = LANGUAGES[number(0) % LANGUAGES.len()];
    let cursor = Cursor { prefix: &prefix, suffix: &suffix, language, path: Some("a.txt") };
    let goal = [Goal::Auto, Goal::Line, Goal::Block][number(1) % 3];
    let cut = pieces(&text, cuts);

    let ruled = |pieces: &[&str]| {
        let mut rules = Rules::new(&cursor, goal, &[]);
        let mut said = String::new();
        for piece in pieces {
            let output = rules.push(piece);
            said.push_str(&output.emit);
            if output.stopped.is_some() {
                return (said, output.stopped);
            }
        }
        said.push_str(&rules.flush());
        (said, None)
    };
    let whole = ruled(&[&text]);

    assert_eq!(ruled(&cut), whole, "a text does not depend on how it is cut");

    let stop = suffix.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    let stopped = |pieces: &[&str]| {
        let mut matcher = StopMatcher::new(&stop);
        let mut said = String::new();
        for piece in pieces {
            let output = matcher.push(piece);
            said.push_str(&output.emit);
            if output.matched.is_some() {
                return said;
            }
        }
        said + &matcher.flush()
    };
    assert_eq!(stopped(&cut), stopped(&[&text]), "a text does not depend on how it is cut");

    let context = [ContextFile { path: "b.txt", text: &text }];
    let around =
        Surroundings { prefix: &prefix, suffix: &suffix, path: Some("a.txt"), language, context: &context };
    let limit = 16 + number(2);
    let prompt = FimFormat::detect(&TOKENIZER)
        .expect("the sample fills in the middle")
        .prompt(&TOKENIZER, &around, limit);
    assert!(prompt.tokens.len() <= limit, "a prompt fits");
    let prompt = continuation_prompt(&TOKENIZER, &around, limit);
    assert!(prompt.tokens.len() <= limit, "a prompt fits");
    assert!(healing_start(&TOKENIZER, &prefix) <= prefix.len());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        (
            [1, 0, 90],
            "def mean(values):\n    return ",
            "\n\nprint(mean([1]))\n",
            "sum(values) / len(values)\n\nprint(",
        ),
        (
            [2, 2, 40],
            "fn f(a: &str) -> u8 {\n    match a {\n        \"x",
            "\n}\n",
            "\" => 1,\n        _ => 2,\n    }\n}\n",
        ),
        ([3, 1, 200], "const f = (x) => `${", "}`;\n", "x.map((y) => y + '}')}`;\n// a\n"),
        (
            [4, 2, 10],
            "int main(void) {\n\tfor (int i = 0; i",
            "\t}\n}\n",
            " < 3; i++) {\n\t\tputs(\"/* */\");\n\t}\n}\n",
        ),
    ]
    .map(|(how, prefix, suffix, text)| {
        joined(&[&how, &[3, 0, 9], prefix.as_bytes(), suffix.as_bytes(), text.as_bytes()])
    })
    .into()
}
