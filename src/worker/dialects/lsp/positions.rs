//! Positions: between LSP's lines and columns and the characters of a rope.
//!
//! A position that does not exist is moved to the nearest one that does, as LSP says: a column behind the end of its
//! line to that end, and one inside a character to the character's start. A line behind the last one is the text's end.

use gen_lsp_types::{Position, PositionEncodingKind, Range};
use ropey::{Rope, RopeSlice};

/// The unit in which a client counts columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// What every client understands.
    #[default]
    Utf16,
}

impl Encoding {
    pub(super) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
        }
    }

    /// The index of the character at `position`.
    pub(super) fn char_at(self, rope: &Rope, position: Position) -> usize {
        let line_idx = position.line as usize;
        if line_idx >= rope.len_lines() {
            return rope.len_chars();
        }
        let line = without_line_end(rope.line(line_idx));
        let column = position.character as usize;
        let within = match self {
            Self::Utf8 => line.byte_to_char(column.min(line.len_bytes())),
            Self::Utf16 => line.utf16_cu_to_char(column.min(line.len_utf16_cu())),
        };
        rope.line_to_char(line_idx) + within
    }

    /// The position of the character at `char_idx`, which must be in the rope or at its end.
    pub(super) fn position_of(self, rope: &Rope, char_idx: usize) -> Position {
        let line_idx = rope.char_to_line(char_idx);
        let within = char_idx - rope.line_to_char(line_idx);
        let line = rope.line(line_idx);
        let column = match self {
            Self::Utf8 => line.char_to_byte(within),
            Self::Utf16 => line.char_to_utf16_cu(within),
        };
        Position::new(saturating(line_idx), saturating(column))
    }

    /// The length of a text without line ends.
    pub(super) fn n_units(self, text: &str) -> u32 {
        saturating(match self {
            Self::Utf8 => text.len(),
            Self::Utf16 => text.encode_utf16().count(),
        })
    }

    /// The characters of a range. One whose end comes before its start counts as written the other way round.
    pub(super) fn chars_of(self, rope: &Rope, range: Range) -> std::ops::Range<usize> {
        let (start, end) = (self.char_at(rope, range.start), self.char_at(rope, range.end));
        start.min(end)..start.max(end)
    }
}

/// LSP's numbers are smaller than 2^31, and so are ours: no document has as many lines.
fn saturating(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn without_line_end(line: RopeSlice<'_>) -> RopeSlice<'_> {
    let mut n_chars = line.len_chars();
    while n_chars > 0 && matches!(line.char(n_chars - 1), '\n' | '\r') {
        n_chars -= 1;
    }
    line.slice(..n_chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::Utf8, Encoding::Utf16];

    #[test]
    fn columns_count_utf16_units_or_bytes() {
        let rope = Rope::from_str("a😀é\r\nb");
        for (encoding, columns) in [(Encoding::Utf16, [0, 1, 3, 4]), (Encoding::Utf8, [0, 1, 5, 7])] {
            for (char_idx, column) in columns.into_iter().enumerate() {
                assert_eq!(encoding.char_at(&rope, Position::new(0, column)), char_idx, "{encoding:?}");
                assert_eq!(encoding.position_of(&rope, char_idx), Position::new(0, column), "{encoding:?}");
            }
        }
    }

    #[test]
    fn a_column_inside_a_character_is_its_start() {
        let rope = Rope::from_str("a😀b");
        assert_eq!(Encoding::Utf16.char_at(&rope, Position::new(0, 2)), 1);
        for column in 2..5 {
            assert_eq!(Encoding::Utf8.char_at(&rope, Position::new(0, column)), 1);
        }
    }

    #[test]
    fn a_position_behind_the_end_is_moved_to_it() {
        for line_end in ["\n", "\r\n", "\r"] {
            let rope = Rope::from_str(&["ab", "cd", ""].join(line_end));
            for encoding in BOTH {
                assert_eq!(encoding.char_at(&rope, Position::new(0, 3)), 2, "{line_end:?}");
                assert_eq!(encoding.char_at(&rope, Position::new(1, u32::MAX)), 4 + line_end.len());
                assert_eq!(encoding.char_at(&rope, Position::new(2, 5)), rope.len_chars());
                assert_eq!(encoding.char_at(&rope, Position::new(9, 0)), rope.len_chars());
            }
        }
        assert_eq!(Encoding::Utf16.char_at(&Rope::new(), Position::new(0, 0)), 0);
    }

    #[test]
    fn only_the_line_ends_of_lsp_end_a_line() {
        let rope = Rope::from_str("a\u{2028}b\u{85}c\u{b}d\u{c}e\nf");
        assert_eq!(rope.len_lines(), 2);
        assert_eq!(Encoding::Utf16.position_of(&rope, rope.len_chars()), Position::new(1, 1));
    }

    #[test]
    fn a_range_written_backwards_is_turned_round() {
        let rope = Rope::from_str("abc");
        let range = Range::new(Position::new(0, 2), Position::new(0, 1));
        assert_eq!(Encoding::Utf16.chars_of(&rope, range), 1..2);
    }
}
