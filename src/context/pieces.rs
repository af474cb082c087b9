//! Pieces of files, and how those of one file are put together as an excerpt.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::ops::Range;
use std::path::Path;

use crate::outline::{Definition, Outline};

/// The bytes that an excerpt takes in a prompt in addition to its path and text.
pub(crate) const EXCERPT_BYTES: usize = 16;

/// A part of a file that helps at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The path of the file from its workspace folder, with slashes.
    pub path: String,
    pub text: String,
}

/// How a file is related to the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nearness {
    /// The file with the cursor.
    Own,
    Imported,
    /// A file that is open in the editor.
    Open,
}

/// A file whose definitions may help.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    /// The path as it is shown.
    pub(crate) name: String,
    pub(crate) text: &'a str,
    pub(crate) outline: &'a Outline,
    pub(crate) nearness: Nearness,
    /// Changes with the text.
    pub(crate) version: u64,
    /// Where the cursor or the last edit is, if it is open.
    pub(crate) last_at: Option<usize>,
}

/// A part of a file, chosen to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The path as it is shown.
    path: String,
    /// Where it is in its file.
    at: usize,
    /// What it is a member of: the place of that type and how it is shown.
    parent: Option<(usize, String)>,
    text: String,
    /// What it takes from the file with the cursor, in bytes of that file.
    pub(crate) own: Option<Range<usize>>,
}

impl Piece {
    /// A definition without its body.
    pub(crate) fn of_definition(source: &Source<'_>, definition: &Definition) -> Self {
        let parent = definition.parent.and_then(|it| source.outline.definitions.get(it));
        let indentation = indentation(source.text, definition.whole.start);
        Self {
            path: source.name.clone(),
            at: definition.whole.start,
            parent: parent.map(|it| (it.whole.start, it.shown.clone())),
            text: format!("{indentation}{}", definition.shown),
            own: (source.nearness == Nearness::Own).then(|| definition.head.clone()),
        }
    }

    /// Some lines of a file as they are.
    pub(crate) fn of_lines(source: &Source<'_>, range: Range<usize>) -> Self {
        let text = source.text.get(range.clone()).unwrap_or_default();
        Self {
            path: source.name.clone(),
            at: range.start,
            parent: None,
            text: text.trim_end().to_owned(),
            own: (source.nearness == Nearness::Own).then_some(range),
        }
    }

    /// What it takes of a budget, with what is shown around it.
    pub(crate) fn n_bytes(&self) -> usize {
        self.text.len() + self.parent.as_ref().map_or(0, |it| it.1.len()) + 2
    }

    /// Identifies pieces that would show the same.
    pub(crate) fn key(&self) -> u64 {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        hasher.hash_one((self.parent.as_ref().map(|it| &it.1), self.text.trim()))
    }
}

/// What the statement that begins at `start` is indented with.
fn indentation(text: &str, start: usize) -> &str {
    let line = text[..start].rfind('\n').map_or(0, |it| it + 1);
    let before = &text[line..start];
    if before.trim().is_empty() { before } else { "" }
}

/// Pieces within a budget, none twice.
pub(crate) struct Chosen<'t> {
    taken: &'t mut HashSet<u64>,
    paths: HashSet<String>,
    n_left: usize,
    pieces: Vec<Piece>,
}

impl<'t> Chosen<'t> {
    /// `taken` has the keys of pieces that are chosen already.
    pub(crate) fn new(taken: &'t mut HashSet<u64>, budget_bytes: usize) -> Self {
        Self { taken, paths: HashSet::new(), n_left: budget_bytes, pieces: Vec::new() }
    }

    /// Adds a piece. Returns whether it is there now and was not before.
    pub(crate) fn push(&mut self, piece: Piece) -> bool {
        let of_file = if self.paths.contains(&piece.path) { 0 } else { piece.path.len() + EXCERPT_BYTES };
        let n_bytes = piece.n_bytes() + of_file;
        if piece.text.trim().is_empty() || n_bytes > self.n_left || !self.taken.insert(piece.key()) {
            return false;
        }
        self.n_left -= n_bytes;
        self.paths.insert(piece.path.clone());
        self.pieces.push(piece);
        true
    }

    /// Whether a piece is chosen already, here or before.
    pub(crate) fn contains(&self, piece: &Piece) -> bool {
        self.taken.contains(&piece.key())
    }

    /// Keeps a piece from being added later, since another one shows it.
    pub(crate) fn leave_out(&mut self, piece: &Piece) {
        self.taken.insert(piece.key());
    }

    pub(crate) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}

/// The excerpts of pieces, one for each file, in the order of each file's last piece.
pub(crate) fn excerpts(pieces: &[Piece]) -> Vec<Excerpt> {
    let mut paths: Vec<&str> = Vec::new();
    for piece in pieces {
        paths.retain(|it| *it != piece.path);
        paths.push(&piece.path);
    }
    let of_path = |path: &str| {
        let mut of_file: Vec<&Piece> = pieces.iter().filter(|it| it.path == path).collect();
        of_file.sort_by_key(|it| it.at);
        let mut text = String::new();
        let mut parent = None;
        for piece in of_file {
            if let Some((at, shown)) = &piece.parent
                && parent != Some(*at)
            {
                text.push_str(shown);
                text.push('\n');
            }
            // A type that is shown itself stands above its members.
            parent = Some(piece.parent.as_ref().map_or(piece.at, |it| it.0));
            text.push_str(&piece.text);
            text.push('\n');
        }
        Excerpt { path: path.to_owned(), text }
    };
    paths.into_iter().map(of_path).collect()
}
