//! Search-and-replace blocks: read leniently from an answer, applied only where there is no doubt.

use crate::fault::Fault;
use crate::lines::indented;

/// A change in the form that models know from merge conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    search: Vec<String>,
    replace: Vec<String>,
}

/// The most that a fault quotes of a line.
const MAX_QUOTED_CHARS: usize = 80;

/// Reads the blocks of an answer. Text around them is passed over, and so are fences directly inside their markers. The
/// last block need not be closed.
pub(crate) fn parse(answer: &str) -> Result<Vec<Block>, Fault> {
    enum Part {
        Outside,
        Search,
        Replace,
    }
    let mut part = Part::Outside;
    let mut blocks: Vec<Block> = Vec::new();
    for line in answer.lines() {
        let is_marker = |it: char| line.trim().starts_with(&it.to_string().repeat(5));
        match part {
            Part::Outside if is_marker('<') => {
                blocks.push(Block { search: Vec::new(), replace: Vec::new() });
                part = Part::Search;
            }
            Part::Outside => {}
            Part::Search if line.trim().len() == 7 && is_marker('=') => part = Part::Replace,
            // Some models forget the line between, or close at once what they only want to delete.
            Part::Search | Part::Replace if is_marker('>') => part = Part::Outside,
            Part::Search => push(&mut blocks, |it| &mut it.search, line),
            Part::Replace => push(&mut blocks, |it| &mut it.replace, line),
        }
    }
    for block in &mut blocks {
        for lines in [&mut block.search, &mut block.replace] {
            let is_fence = |it: &String| it.trim_start().starts_with("```");
            if lines.len() > 1 && lines.first().is_some_and(is_fence) && lines.last().is_some_and(is_fence) {
                lines.pop();
                lines.remove(0);
            }
        }
    }
    if blocks.is_empty() { Err(Fault::NoBlocks) } else { Ok(blocks) }
}

fn push(blocks: &mut [Block], part: impl Fn(&mut Block) -> &mut Vec<String>, line: &str) {
    if let Some(block) = blocks.last_mut() {
        part(block).push(line.to_owned());
    }
}

/// Applies the blocks one after the other to a text with `\n`. Each search text must be in the text exactly once: as it
/// is, or else without regard to white space at the ends of lines, or else to indentation, which the replacement then
/// gets too.
pub(crate) fn apply(text: &str, blocks: &[Block]) -> Result<String, Fault> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for (idx, block) in blocks.iter().enumerate() {
        apply_one(&mut lines, block, idx + 1)?;
    }
    Ok(lines.join("\n"))
}

fn apply_one(lines: &mut Vec<String>, block: &Block, number: usize) -> Result<(), Fault> {
    let search = without_outer_blanks(&block.search);
    let replace = without_outer_blanks(&block.replace);
    let Some(first) = search.first() else {
        // Into an empty file, everything is an insertion.
        if lines.iter().all(|it| it.trim().is_empty()) && !replace.is_empty() {
            *lines = replace.iter().map(Clone::clone).chain([String::new()]).collect();
            return Ok(());
        }
        return Err(Fault::EmptySearch { block: number });
    };
    // As it is, with its empty lines, so that these can be replaced too.
    if let [at] = places(lines, &block.search, str::to_owned)[..] {
        lines.splice(at..at + block.search.len(), block.replace.iter().cloned());
        return Ok(());
    }
    let line = || first.trim().chars().take(MAX_QUOTED_CHARS).collect();
    for key in [str::to_owned, |it: &str| it.trim_end().to_owned(), |it: &str| it.trim().to_owned()] {
        match places(lines, search, key)[..] {
            [] => {}
            [at] => {
                let new = reindented(replace, first, &lines[at]);
                lines.splice(at..at + search.len(), new);
                return Ok(());
            }
            ref many => return Err(Fault::Ambiguous { block: number, n_places: many.len(), line: line() }),
        }
    }
    Err(Fault::NotFound { block: number, line: line() })
}

/// Where the lines of `search` are, compared by `key`.
fn places(lines: &[String], search: &[String], key: fn(&str) -> String) -> Vec<usize> {
    let wanted: Vec<String> = search.iter().map(|it| key(it)).collect();
    let keys: Vec<String> = lines.iter().map(|it| key(it)).collect();
    keys.windows(wanted.len()).enumerate().filter(|(_, it)| **it == *wanted).map(|(at, _)| at).collect()
}

/// The lines without the empty ones at both ends.
fn without_outer_blanks(lines: &[String]) -> &[String] {
    let is_ink = |it: &String| !it.trim().is_empty();
    let Some(start) = lines.iter().position(is_ink) else { return &[] };
    let end = lines.iter().rposition(is_ink).map_or(start, |it| it + 1);
    &lines[start..end]
}

/// The lines, moved as `searched` was moved to `found`.
fn reindented(lines: &[String], searched: &str, found: &str) -> Vec<String> {
    let blank = |it: &str| it[..it.len() - it.trim_start().len()].to_owned();
    let (from, to) = (blank(searched), blank(found));
    if from == to {
        return lines.to_vec();
    }
    let moved = |line: &String| match line.strip_prefix(&from) {
        Some(rest) => indented(rest, &to),
        None => line.clone(),
    };
    lines.iter().map(moved).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TEXT: &str = "def a():\n    x = 1\n    return x\n\ndef b():\n    x = 1\n    return -x\n";

    fn edit(search: &str, replace: &str) -> Result<String, Fault> {
        let answer = format!("Here:\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\nDone.");
        apply(TEXT, &parse(&answer).unwrap())
    }

    #[test]
    fn a_block_replaces_the_lines_that_it_names() {
        let changed = edit("    return -x\n", "    return 0\n").unwrap();
        assert_eq!(changed, TEXT.replace("-x", "0"));
    }

    #[test]
    fn white_space_is_forgiven_and_indentation_is_put_right() {
        let changed = edit("def b():  \n    x = 1\n", "def b():\n    x = 2\n").unwrap();
        assert_eq!(changed, "def a():\n    x = 1\n    return x\n\ndef b():\n    x = 2\n    return -x\n");
        let changed = edit("return -x\n", "if x:\n    return 0\nreturn 1\n").unwrap();
        assert!(changed.ends_with("    x = 1\n    if x:\n        return 0\n    return 1\n"), "{changed}");
    }

    #[test]
    fn a_text_that_is_there_twice_or_not_at_all_is_a_fault() {
        assert!(matches!(edit("    x = 1\n", "    x = 2\n"), Err(Fault::Ambiguous { n_places: 2, .. })));
        assert!(matches!(edit("    y = 1\n", "    x = 2\n"), Err(Fault::NotFound { block: 1, .. })));
        assert!(matches!(edit("\n", "x\n"), Err(Fault::EmptySearch { block: 1 })));
        assert!(matches!(parse("I would change x."), Err(Fault::NoBlocks)));
    }

    #[test]
    fn fences_inside_and_a_missing_end_are_forgiven() {
        let answer = "<<<<<<< SEARCH\n```python\n    return x\n```\n=======\n```python\n    return 2\n```\n";
        assert_eq!(apply(TEXT, &parse(answer).unwrap()).unwrap(), TEXT.replace("return x", "return 2"));
    }

    #[test]
    fn a_replacement_without_lines_deletes() {
        assert_eq!(edit("    return -x\n", "").unwrap(), TEXT.replace("    return -x\n", ""));
    }
}
