//! Places in a text, as people and editors count them: lines and characters from 1.

use std::path::PathBuf;
use std::str::FromStr;

/// A place in a file, written `FILE:LINE` or `FILE:LINE:COLUMN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Counted from 1.
    pub(crate) line: usize,
    /// The character before which the place is, counted from 1; `None` is the end of the line.
    pub(crate) column: Option<usize>,
}

/// Why a text does not have a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutOfText {
    #[error("must be from 1 to {n_lines}, got {got}")]
    Line { n_lines: usize, got: usize },
    #[error("must be from 1 to {most}, got {got}")]
    Column { most: usize, got: usize },
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbered = |text: &str| {
            let (rest, number) = text.rsplit_once(':')?;
            Some((rest.to_owned(), number.parse::<usize>().ok()?))
        };
        let expected = "expected `FILE:LINE` or `FILE:LINE:COLUMN`, counted from 1";
        let (rest, last) = numbered(text).ok_or(expected)?;
        let (path, line, column) = match numbered(&rest) {
            Some((path, line)) => (path, line, Some(last)),
            None => (rest, last, None),
        };
        if path.is_empty() || line == 0 || column == Some(0) {
            return Err(expected.to_owned());
        }
        Ok(Self { path: path.into(), line, column })
    }
}

/// The text before and after a place; without a column it is the end of the line.
pub(crate) fn split(text: &str, line: usize, column: Option<usize>) -> Result<(&str, &str), OutOfText> {
    let line_ends = text.match_indices('\n').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(line_ends).collect();
    let Some(start) = line.checked_sub(1).and_then(|it| starts.get(it)) else {
        return Err(OutOfText::Line { n_lines: starts.len(), got: line });
    };
    let rest = &text[*start..];
    let content = rest.split('\n').next().unwrap_or_default();
    let content = content.strip_suffix('\r').unwrap_or(content);
    let n_chars = content.chars().count();
    let at = match column {
        None => content.len(),
        Some(column) if (1..=n_chars + 1).contains(&column) => {
            content.char_indices().nth(column - 1).map_or(content.len(), |it| it.0)
        }
        Some(got) => return Err(OutOfText::Column { most: n_chars + 1, got }),
    };
    Ok(text.split_at(start + at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_place_in_a_text_is_counted_in_lines_and_characters() {
        let text = "é = 1\r\n\nlet";
        let split = |line, column| {
            split(text, line, column)
                .map(|(before, after)| format!("{before}|{after}"))
                .map_err(|it| it.to_string())
        };
        assert_eq!(split(1, None).unwrap(), "é = 1|\r\n\nlet");
        assert_eq!(split(1, Some(2)).unwrap(), "é| = 1\r\n\nlet");
        assert_eq!(split(1, Some(6)).unwrap(), "é = 1|\r\n\nlet");
        assert_eq!(split(2, None).unwrap(), "é = 1\r\n|\nlet");
        assert_eq!(split(3, Some(1)).unwrap(), "é = 1\r\n\n|let");
        assert_eq!(split(3, None).unwrap(), "é = 1\r\n\nlet|");
        assert_eq!(split(1, Some(7)).unwrap_err(), "must be from 1 to 6, got 7");
        assert_eq!(split(4, None).unwrap_err(), "must be from 1 to 3, got 4");
        assert_eq!(split(0, None).unwrap_err(), "must be from 1 to 3, got 0");
    }

    #[test]
    fn a_place_is_written_as_compilers_write_it() {
        let place = |path: &str, line, column| Ok(Place { path: path.into(), line, column });
        assert_eq!("src/a.rs:3:14".parse(), place("src/a.rs", 3, Some(14)));
        assert_eq!("a.rs:3".parse(), place("a.rs", 3, None));
        assert_eq!("odd:name.rs:3".parse(), place("odd:name.rs", 3, None));
        for wrong in ["a.rs", "a.rs:0", "a.rs:1:0", ":1:2", "a.rs:x", "a.rs:-1", ""] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
