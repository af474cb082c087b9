//! Cuts holes in source files, at positions where people type; half of them begin in the middle of a word.
//!
//! The same seed cuts the same holes. A hole is the rest of a line, with or without the closing brackets that an editor
//! inserts behind the cursor, or a block. The files are divided into two splits, one for tuning rules and one for
//! reports, so that the reported holes were never looked at.

use super::corpus::SourceFile;

/// The number of lines before and behind the hole that a program sees.
const PREFIX_LINES: usize = 40;
const SUFFIX_LINES: usize = 20;
/// The least number of characters, apart from white space, in the first line of a hole.
const MIN_CHARS: usize = 4;
/// The most lines of a hole.
const MAX_LINES: usize = 6;
/// Longer lines are data.
const MAX_LINE_CHARS: usize = 120;
/// The length from which a word counts as one in whose middle a hole can begin.
const MIN_WORD: usize = 4;
const SEED: u64 = 20_240_229;
/// The first holes of each language in the report split were looked at while the prompt format was chosen, so they are
/// left out. An even number keeps half of the remaining holes in words.
const N_SEEN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Split {
    Tune,
    Report,
}

impl Split {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tune => "tune",
            Self::Report => "report",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rest of a line.
    Line,
    /// The rest of a line, up to the brackets that are closed behind the cursor.
    Inline,
    /// The rest of a line and the lines of its block.
    Block,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Inline => "inline",
            Self::Block => "block",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub(super) package: &'static str,
    pub(super) language: &'static str,
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Whether the hole begins in the middle of a word.
    pub(super) in_word: bool,
    pub(super) prefix: String,
    pub(super) suffix: String,
    /// The text that was cut out.
    pub(super) truth: String,
    /// The whole file before the hole and behind it.
    pub(super) file: [String; 2],
}

/// `n` holes, with as equal a number for each language as possible.
pub(super) fn cut(sources: &[SourceFile], split: Split, n: usize) -> Vec<Hole> {
    let mut languages: Vec<&str> = sources.iter().map(|it| it.language).collect();
    languages.dedup();
    languages.sort_unstable();
    languages.dedup();
    let mut by_language: Vec<Vec<Hole>> = languages
        .iter()
        .map(|language| {
            let of_language = sources.iter().filter(|it| it.language == *language && it.has_holes);
            let of_split = of_language.enumerate().filter(|(i, _)| (i % 2 == 0) == (split == Split::Report));
            let of_split: Vec<_> = of_split.map(|(_, it)| it).collect();
            let n_seen = if split == Split::Report { N_SEEN } else { 0 };
            let holes = cut_into(&of_split, n_seen + n.div_ceil(languages.len()));
            holes.into_iter().skip(n_seen).collect()
        })
        .collect();
    let mut holes = Vec::new();
    // Languages take turns, so that a small number of holes covers all of them.
    while holes.len() < n && by_language.iter().any(|it| !it.is_empty()) {
        for of_language in &mut by_language {
            if !of_language.is_empty() && holes.len() < n {
                holes.push(of_language.remove(0));
            }
        }
    }
    holes
}

fn cut_into(sources: &[&SourceFile], n: usize) -> Vec<Hole> {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut taken = std::collections::BTreeSet::new();
    let mut holes = Vec::new();
    // A file is chosen with a probability proportional to its length, and a line at most once.
    let total: usize = sources.iter().map(|it| it.text.len()).sum();
    for _ in 0..n * 200 {
        if holes.len() == n || total == 0 {
            break;
        }
        let mut at = rng.usize(0..total);
        let Some((idx, source)) = sources.iter().enumerate().find(|(_, it)| {
            let is_here = at < it.text.len();
            if !is_here {
                at -= it.text.len();
            }
            is_here
        }) else {
            break;
        };
        let line_start = source.text[..floor_boundary(&source.text, at)].rfind('\n').map_or(0, |it| it + 1);
        let kind = [Kind::Line, Kind::Inline, Kind::Line, Kind::Block][holes.len() / 2 % 4];
        let in_word = holes.len() % 2 == 0;
        let Some(hole) = hole(source, line_start, kind, in_word, &mut rng) else { continue };
        if taken.insert((idx, line_start)) {
            holes.push(hole);
        }
    }
    holes
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A hole in the line that begins at `line_start`, if the line is suitable.
fn hole(
    source: &SourceFile,
    line_start: usize,
    kind: Kind,
    in_word: bool,
    rng: &mut fastrand::Rng,
) -> Option<Hole> {
    let text = &source.text;
    let line_end = text[line_start..].find('\n').map_or(text.len(), |it| line_start + it);
    let line = text[line_start..line_end].trim_end();
    let is_comment = ["//", "#", "*", "/*", "\"\"\""].iter().any(|it| line.trim_start().starts_with(it));
    if line.chars().count() > MAX_LINE_CHARS || is_comment || !line.is_ascii() {
        return None;
    }
    let places = hole_starts(line, in_word);
    let start = line_start + *places.get(rng.usize(0..places.len().max(1)))?;
    let line_end = line_start + line.len();
    let end = match kind {
        Kind::Line => line_end,
        Kind::Inline => {
            let kept = text[start..line_end].trim_end_matches([')', ']', '}', ';', ',', ':', '"', '\'']);
            let end = start + kept.len();
            if end == line_end {
                return None;
            }
            end
        }
        Kind::Block => block_end(text, line_start, line_end)?,
    };
    let truth = &text[start..end];
    let first = truth.lines().next().unwrap_or_default();
    if first.chars().filter(|it| !it.is_whitespace()).count() < MIN_CHARS {
        return None;
    }
    Some(Hole {
        package: source.package,
        language: source.language,
        path: source.path.clone(),
        kind,
        in_word,
        prefix: last_lines(&text[..start], PREFIX_LINES).to_owned(),
        suffix: first_lines(&text[end..], SUFFIX_LINES).to_owned(),
        truth: truth.to_owned(),
        file: [text[..start].to_owned(), text[end..].to_owned()],
    })
}

/// The positions in a line at which a hole may begin: inside words, or before words and before the line's first
/// character.
fn hole_starts(line: &str, in_word: bool) -> Vec<usize> {
    let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let mut places = Vec::new();
    let mut start = None;
    for (at, next) in line.char_indices().chain([(line.len(), ' ')]) {
        match (start, is_word(next)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                if !in_word {
                    places.push(from);
                } else if at - from >= MIN_WORD {
                    places.extend(from + 1..at);
                }
                start = None;
            }
            _ => {}
        }
    }
    places
}

/// The end of the block that begins with a line: before the first later line that is indented less or blank.
fn block_end(text: &str, line_start: usize, line_end: usize) -> Option<usize> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let of_line = indentation(&text[line_start..line_end]);
    let mut end = line_end;
    let mut n_lines = 1;
    for line in text[line_end..].strip_prefix('\n')?.split('\n') {
        if line.trim().is_empty() || indentation(line) < of_line || n_lines == MAX_LINES {
            break;
        }
        end += 1 + line.len();
        n_lines += 1;
    }
    (n_lines > 1).then_some(end)
}

fn last_lines(text: &str, n: usize) -> &str {
    text.rmatch_indices('\n').nth(n).map_or(text, |(at, _)| &text[at + 1..])
}

fn first_lines(text: &str, n: usize) -> &str {
    text.match_indices('\n').nth(n).map_or(text, |(at, _)| &text[..=at])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sources() -> Vec<SourceFile> {
        let text = "def first_function(argument):\n    value = compute(argument, 12)\n    return [value, other]\n\n\n"
            .repeat(40);
        ["a.py", "b.py", "c.py"]
            .map(|path| SourceFile {
                package: "p",
                language: "python",
                path: path.to_owned(),
                text: text.clone(),
                has_holes: true,
            })
            .into()
    }

    #[test]
    fn the_same_holes_are_cut_each_time_and_half_of_them_in_words() {
        let holes = cut(&sources(), Split::Report, 40);
        assert_eq!(holes.len(), 40);
        assert_eq!(holes.iter().filter(|it| it.in_word).count(), 20);
        for (hole, again) in holes.iter().zip(cut(&sources(), Split::Report, 40)) {
            assert_eq!((&hole.prefix, &hole.truth), (&again.prefix, &again.truth));
            let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
            let inside = hole.prefix.ends_with(is_word) && hole.truth.starts_with(is_word);
            assert_eq!(inside, hole.in_word, "{:?}|{:?}", hole.prefix, hole.truth);
        }
    }

    #[test]
    fn the_two_splits_share_no_file() {
        let paths = |split| -> std::collections::BTreeSet<String> {
            cut(&sources(), split, 30).into_iter().map(|it| it.path).collect()
        };
        assert!(paths(Split::Tune).is_disjoint(&paths(Split::Report)));
    }

    #[test]
    fn a_hole_with_the_text_around_it_is_the_file() {
        for hole in cut(&sources(), Split::Tune, 30) {
            let whole = format!("{}{}{}", hole.prefix, hole.truth, hole.suffix);
            assert!(sources()[0].text.contains(&whole), "{whole}");
            match hole.kind {
                Kind::Line => assert!(hole.suffix.starts_with('\n')),
                Kind::Inline => assert!(hole.suffix.starts_with([')', ']', ':'])),
                Kind::Block => assert!(hole.truth.contains('\n')),
            }
        }
    }
}
