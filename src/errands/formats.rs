//! The formats that answers are held to, so that a small model cannot miss them.

use runabout_assist::Format;
use serde_json::Value;

/// A longer grammar is not made: the engine would refuse it.
const MAX_GRAMMAR_BYTES: usize = 60_000;

/// The most blocks in one answer. A model that repeats itself ends there.
const MAX_BLOCKS: usize = 12;

/// One code block, without backticks at the beginning of a line inside. Its end may be missing: a model that forgets it
/// must not be kept from ending.
pub(crate) fn code_block(tag: &str) -> Format {
    let open = Value::from(format!("```{tag}\n"));
    Format::Lark(format!("start: {open} line+ \"```\"?\nline: /(`?`?[^`\\n][^\\n]*)?\\n/\n"))
}

/// Search-and-replace blocks whose search texts are lines of `text`; `None` if the text is too long for that.
pub(crate) fn blocks(text: &str) -> Option<Format> {
    let lines: Vec<Value> =
        text.split_inclusive('\n').map(|it| format!("{}\n", it.trim_end_matches('\n')).into()).collect();
    let lines = Value::from(lines);
    let grammar = format!(
        "start: block{{1,{MAX_BLOCKS}}}\n\
         block: \"<<<<<<< SEARCH\\n\" SEARCH \"=======\\n\" line* \">>>>>>> REPLACE\\n\"\n\
         SEARCH: %regex {{ \"substring_chunks\": {lines} }}\n\
         line: /(>?[^>\\n][^\\n]*)?\\n/\n"
    );
    (grammar.len() <= MAX_GRAMMAR_BYTES).then_some(Format::Lark(grammar))
}

/// One of the labels.
pub(crate) fn labels(labels: &[String]) -> Format {
    let escaped: Vec<String> = labels.iter().map(|it| regex::escape(it.trim())).collect();
    Format::Regex(escaped.join("|"))
}

/// JSON that is valid under a schema.
pub(crate) fn json(schema: &str) -> Format {
    Format::JsonSchema(schema.to_owned())
}
