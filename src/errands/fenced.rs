//! Code blocks in Markdown: one for a prompt, and the one of an answer, [`code_of`].

use crate::fault::Fault;

/// The text as a code block whose fence no line of it begins with. `tag` names the language.
pub(crate) fn fenced(text: &str, tag: &str) -> String {
    let longest = text.lines().map(fence_len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{tag}\n{text}{end}{fence}")
}

/// Whether a text has lines that begin with a fence, so that it cannot be told from the block around it.
pub(crate) fn has_fences(text: &str) -> bool {
    text.lines().any(|it| fence_len(it) >= 3)
}

/// The number of backticks that a line begins with.
fn fence_len(line: &str) -> usize {
    line.len() - line.trim_start_matches('`').len()
}

/// The code in an answer: its longest block. A block that is not closed counts, since models forget the end. An answer
/// without any block is code if it begins with a line of `original`.
pub(crate) fn code_of(answer: &str, original: &str) -> Result<String, Fault> {
    if has_fences(original) {
        return between_fences(answer);
    }
    // Comments may have fences in them, further in.
    let has_inner = original.contains("```");
    let n_ticks = |line: &str| fence_len(if has_inner { line } else { line.trim_start() });
    let mut blocks: Vec<String> = Vec::new();
    let mut open: Option<usize> = None;
    for line in answer.split_inclusive('\n') {
        let n_ticks = n_ticks(line);
        let is_bare = line.trim().trim_start_matches('`').is_empty();
        match open {
            None if n_ticks >= 3 => {
                open = Some(n_ticks);
                blocks.push(String::new());
            }
            Some(n_open) if n_ticks >= n_open && is_bare => open = None,
            Some(_) => {
                if let Some(block) = blocks.last_mut() {
                    block.push_str(line);
                }
            }
            None => {}
        }
    }
    if let Some(longest) = blocks.into_iter().max_by_key(String::len) {
        return Ok(longest);
    }
    let first = answer.lines().map(str::trim).find(|it| !it.is_empty()).unwrap_or_default();
    let is_code = !first.is_empty() && original.lines().any(|it| it.trim() == first);
    if is_code { Ok(answer.trim_matches('\n').to_owned() + "\n") } else { Err(Fault::NoCode) }
}

/// What is between the first fence of an answer and the last one: the text has fences of its own.
fn between_fences(answer: &str) -> Result<String, Fault> {
    let lines: Vec<&str> = answer.split_inclusive('\n').collect();
    let first = lines.iter().position(|it| fence_len(it) >= 3).ok_or(Fault::NoCode)?;
    let last =
        lines.iter().rposition(|it| fence_len(it) >= 3).filter(|it| *it > first).ok_or(Fault::NoCode)?;
    Ok(lines[first + 1..last].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_longest_block_is_the_code() {
        let answer = "First:\n```sh\nrun\n```\nThen\n```python\na = 1\n\nb = 2\n```\nDone.";
        assert_eq!(code_of(answer, "").unwrap(), "a = 1\n\nb = 2\n");
        assert_eq!(code_of("```\na\nb", "").unwrap(), "a\nb");
    }

    #[test]
    fn a_text_with_fences_survives_a_block() {
        let text = "# Title\n```sh\nrun\n```\n";
        assert_eq!(code_of(&fenced(text, "markdown"), text).unwrap(), text);
        assert_eq!(code_of(&format!("```markdown\n{text}```\nDone."), text).unwrap(), text);
        let inner = "def a():\n    \"\"\"\n    ```pycon\n    >>> a()\n    ```\n    \"\"\"\n";
        assert_eq!(code_of(&fenced(inner, "python"), inner).unwrap(), inner);
    }

    #[test]
    fn without_a_block_only_code_is_code() {
        assert_eq!(code_of("a = 2\nb = 3", "a = 2\nb = 2\n").unwrap(), "a = 2\nb = 3\n");
        assert!(matches!(code_of("I cannot do that.", "a = 2\n"), Err(Fault::NoCode)));
    }
}
