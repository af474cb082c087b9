//! An instruction as it is read without a model: its words, and the names among them.

use crate::check::words;

/// A word or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// As it is written, without quotes, and without the parentheses of a call.
    pub(crate) text: String,
    /// Whether it is surely a name of the code: in quotes, or spelled as no English word is.
    pub(crate) is_name: bool,
    /// What stands between it and the one before.
    pub(crate) before: String,
}

/// Words after which a definition is named that is not meant.
const WORDS_FOR_EXCEPT: [&str; 6] = ["except", "leave", "without", "not", "keep", "unlike"];

/// The words and names of an instruction in their order.
pub(crate) fn tokens(instruction: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut before = String::new();
    let mut rest = instruction;
    while let Some(first) = rest.chars().next() {
        if is_name_part(first) {
            let end = rest.find(|it| !is_name_part(it)).unwrap_or(rest.len());
            let text = rest[..end].to_owned();
            let is_called = rest[end..].starts_with('(');
            let is_name = is_called || is_spelled_as_name(&text);
            found.push(Token { text, is_name, before: std::mem::take(&mut before) });
            rest = &rest[end..];
        } else if let Some((name, behind)) = quoted(rest) {
            found.push(Token { text: name.to_owned(), is_name: true, before: std::mem::take(&mut before) });
            rest = behind;
        } else {
            before.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// A name in quotes at the beginning of a text, and the text behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|it| ['`', '\'', '"'].contains(it))?;
    let (inside, behind) = text[1..].split_once(quote)?;
    let inside = inside.trim().trim_end_matches("()");
    // `Type.method` is named by its last part.
    let name = inside.rsplit(['.', ':']).next()?;
    let is_name = !name.is_empty()
        && inside.chars().all(|it| is_name_part(it) || it == '.' || it == ':')
        && !name.starts_with(|it: char| it.is_ascii_digit());
    is_name.then_some((name, behind))
}

fn is_name_part(it: char) -> bool {
    it == '_' || it == '$' || it.is_alphanumeric()
}

/// Whether a word is spelled as no English word is: `like_this`, `likeThis`.
pub(crate) fn is_spelled_as_name(word: &str) -> bool {
    let is_inner_upper =
        word.chars().zip(word.chars().skip(1)).any(|(one, next)| one.is_lowercase() && next.is_uppercase());
    let has_digit = word.chars().any(char::is_alphabetic) && word.chars().any(|it| it.is_ascii_digit());
    word.contains('_') || word.contains('$') || is_inner_upper || has_digit
}

/// Whether one of the instruction's words begins with one of these.
pub(crate) fn has_word(instruction: &str, beginnings: &[&str]) -> bool {
    words(instruction).any(|word| {
        let word = word.to_lowercase();
        beginnings.iter().any(|it| word.starts_with(it))
    })
}

/// The names that the instruction takes out: of a definition that stays as it is.
pub(crate) fn excepted(tokens: &[Token]) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_excepted = false;
    for token in tokens {
        if token.before.contains(['.', ';']) {
            is_excepted = false;
        }
        let word = token.text.to_lowercase();
        if !token.is_name && WORDS_FOR_EXCEPT.contains(&word.as_str()) {
            is_excepted = true;
        } else if token.is_name && is_excepted {
            found.push(token.text.as_str());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(instruction: &str) -> Vec<String> {
        tokens(instruction).into_iter().filter(|it| it.is_name).map(|it| it.text).collect()
    }

    #[test]
    fn names_are_in_quotes_or_spelled_as_such() {
        assert_eq!(
            names("Rename `a` to \"b\", don't touch load_all() or 'Box.open'"),
            ["a", "b", "load_all", "open"]
        );
        assert_eq!(names("Call run() in getValue"), ["run", "getValue"]);
        assert!(names("Fix `x + 1` in the loop").is_empty());
    }

    #[test]
    fn a_definition_that_is_to_stay_is_excepted() {
        let all = tokens("Change `a`, and leave `b` as it is. Then `c`, but not `d`; `e` too.");
        assert_eq!(excepted(&all), ["b", "d"]);
    }
}
