//! The names in a piece of source code, found without a grammar, so that incomplete code has them too.

/// Shorter names are loop variables more often than anything that is defined elsewhere.
const MIN_NAME: usize = 2;

/// The names in `text` with their byte offsets, in order, keywords among them.
pub(crate) fn names(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(is_part)?;
            let length = text[start..].find(|it: char| !is_part(it)).unwrap_or(text.len() - start);
            at = start + length;
            let name = &text[start..at];
            if name.len() >= MIN_NAME && !name.starts_with(|it: char| it.is_ascii_digit()) {
                return Some((start, name));
            }
        }
    })
}

/// Whether a character can be inside a name.
pub(crate) fn is_part(it: char) -> bool {
    it == '_' || it == '$' || it.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_do_not_begin_with_a_digit() {
        let found: Vec<_> = names("let größe = f(x1, 0x1f) + a_b;").collect();
        assert_eq!(found, [(0, "let"), (4, "größe"), (16, "x1"), (28, "a_b")]);
    }
}
