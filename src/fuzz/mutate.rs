//! Changes of inputs at random: [`mutated`].

use fastrand::Rng;

/// The most changes of one input.
const MAX_CHANGES: usize = 8;
/// The longest piece that is inserted or removed.
const MAX_PIECE: usize = 32;

/// Bytes that mean something to most readers.
const PIECES: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"-1",
    b"1e999",
    b"null",
    b"\xff\xff\xff\xff",
    b"\x80",
    "\u{fffd}\u{1f600}".as_bytes(),
    b"99999999999999999999",
];

/// One of the seeds, with some changes.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let any = |random: &mut Rng| random.choice(seeds).map(Vec::as_slice).unwrap_or_default();
    let mut bytes = any(random).to_vec();
    for _ in 0..random.usize(1..=MAX_CHANGES) {
        let at = random.usize(0..=bytes.len());
        let end = bytes.len().min(at + random.usize(0..=MAX_PIECE));
        match random.u8(0..6) {
            0 => bytes.get_mut(at).into_iter().for_each(|it| *it ^= 1 << random.u8(0..8)),
            1 => bytes.get_mut(at).into_iter().for_each(|it| *it = random.u8(..)),
            2 => drop(bytes.splice(at..end, [])),
            3 => {
                let piece = *random.choice(PIECES.iter()).unwrap_or(&PIECES[0]);
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            // A piece once more, or one of another input.
            4 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => {
                let other = any(random);
                let from = random.usize(0..=other.len());
                let to = other.len().min(from + random.usize(0..=MAX_PIECE));
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    bytes
}

/// Cuts an input into its parts: each begins with two bytes for its length. The last part is the rest.
pub(crate) fn parts<const N: usize>(mut bytes: &[u8]) -> [&[u8]; N] {
    std::array::from_fn(|i| {
        let Some((length, rest)) = bytes.split_first_chunk::<2>().filter(|_| i + 1 < N) else {
            return std::mem::take(&mut bytes);
        };
        let (part, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
        bytes = rest;
        part
    })
}

/// An input that [`parts`] cuts like this.
pub(crate) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let Some((last, first)) = parts.split_last() else { return Vec::new() };
    let mut bytes = Vec::new();
    for part in first {
        let length = u16::try_from(part.len()).expect("parts of seeds are short");
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(last);
    bytes
}

/// A text cut into pieces, whose lengths follow from `bytes`.
pub(crate) fn pieces<'a>(mut text: &'a str, bytes: &[u8]) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let mut lengths = bytes.iter().cycle();
    while !text.is_empty() {
        let length = usize::from(lengths.next().copied().unwrap_or(1)) % 16 + 1;
        let (piece, rest) = text.split_at(text.ceil_char_boundary(length.min(text.len())));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_was_joined() {
        let bytes = joined(&[b"ab", b"", b"cde"]);
        assert_eq!(parts::<3>(&bytes), [b"ab".as_slice(), b"", b"cde"]);
        assert_eq!(parts::<2>(b"\x09\x00a"), [b"a".as_slice(), b""]);
        assert_eq!(parts::<2>(b"\x09"), [b"\x09".as_slice(), b""]);
    }

    #[test]
    fn pieces_are_the_text() {
        assert_eq!(pieces("añb", &[0]), ["a", "ñ", "b"]);
        assert_eq!(pieces("abc", &[]).concat(), "abc");
    }
}
