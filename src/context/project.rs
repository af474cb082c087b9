//! The project of one editor: its documents, what they import, and the choice for each of them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tree_sitter::Parser;

use crate::document::Document;
use crate::imports::wanted;
use crate::kept::{Kept, Moment};
use crate::kinds::Kinds;
use crate::language::Language;
use crate::layers::{Here, line_start};
use crate::pieces::{Excerpt, Nearness, Source};
use crate::recent::Recent;
use crate::workspace::{Imported, Reading, SourceFile};

/// A cursor in an open document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<'a> {
    pub path: &'a Path,
    /// The byte that it is before.
    pub at: usize,
    /// The bytes of the document that the prompt shows anyway. While a person types, it must not move with every key.
    pub window: Range<usize>,
}

/// The documents of an editor and the files that they import.
pub struct Project {
    roots: Vec<PathBuf>,
    kinds: Kinds,
    documents: HashMap<PathBuf, Document>,
    /// The imported files of each document.
    imported: HashMap<PathBuf, Vec<Arc<SourceFile>>>,
    kept: HashMap<PathBuf, Kept>,
    recent: Recent,
    parser: Parser,
    /// The document whose context was asked for last.
    asked: Option<PathBuf>,
    /// Counts what happens outside of that document.
    n_elsewhere: u64,
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl Project {
    /// A project in some workspace folders. Without folders, nothing is read from disk.
    pub fn new(roots: Vec<PathBuf>, kinds: Kinds) -> Self {
        Self {
            roots,
            kinds,
            documents: HashMap::new(),
            imported: HashMap::new(),
            kept: HashMap::new(),
            recent: Recent::default(),
            parser: Parser::new(),
            asked: None,
            n_elsewhere: 0,
        }
    }

    /// Replaces the workspace folders.
    pub fn set_roots(&mut self, roots: Vec<PathBuf>) {
        self.roots = roots;
        self.imported.clear();
        self.n_elsewhere += 1;
    }

    /// Changes what kinds of context are chosen from now on.
    pub fn set_kinds(&mut self, kinds: Kinds) {
        self.kinds = kinds;
        self.kept.clear();
    }

    /// A document was opened, or replaced as a whole.
    pub fn open(&mut self, path: &Path, language_id: Option<&str>, text: &str) {
        let language = Language::of(language_id, &path.to_string_lossy());
        if let Some(document) = self.documents.get(path).filter(|it| it.language == language) {
            // What is the same in both texts is kept, and with it the choice.
            let (range, new) = difference(document.text(), text);
            if !range.is_empty() || !new.is_empty() {
                self.edit(path, range, new);
            }
            if self.documents.get(path).is_some_and(|it| it.text() == text) {
                return;
            }
        }
        self.documents.insert(path.to_owned(), Document::new(language, text.to_owned()));
        self.kept.remove(path);
        self.n_elsewhere += 1;
    }

    /// A range of bytes of a document was replaced. Returns false if the document is not open or has no such range, in
    /// which case its text is not known any more, and it has to be opened again.
    pub fn edit(&mut self, path: &Path, range: Range<usize>, new: &str) -> bool {
        let Some(document) = self.documents.get_mut(path) else { return false };
        if !document.edit(range.clone(), new) {
            self.close(path);
            return false;
        }
        self.n_elsewhere += u64::from(self.asked.as_deref() != Some(path));
        self.recent.edited(path, &range, new.len());
        if let Some(kept) = self.kept.get_mut(path) {
            kept.edited(&range, new.len());
        }
        true
    }

    pub fn close(&mut self, path: &Path) {
        self.documents.remove(path);
        self.imported.remove(path);
        self.kept.remove(path);
        self.recent.closed(path);
        self.n_elsewhere += 1;
    }

    /// What a document imports, to be read from disk; `None` if it is not open, is in no workspace folder, or has no
    /// known language. Call it when a document was opened or saved, and run the result on a thread that may
    /// block.
    pub fn reading(&mut self, path: &Path) -> Option<Reading> {
        let root = self
            .roots
            .iter()
            .filter(|it| path.starts_with(it))
            .max_by_key(|it| it.as_os_str().len())?
            .clone();
        let document = self.documents.get_mut(path)?;
        let language = document.language?;
        document.parse(&mut self.parser);
        let statements = document.outline().imports.iter().filter_map(|it| document.text().get(it.clone()));
        let wanted = wanted(language, statements, path, &root);
        let files = self.imported.values().flatten();
        let known = files.map(|it| (it.path.clone(), Arc::clone(it))).collect();
        Some(Reading { document: path.to_owned(), root, wanted, language, known })
    }

    /// The files of a [`Reading`] are there.
    pub fn read(&mut self, imported: Imported) {
        if self.documents.contains_key(&imported.document) {
            self.imported.insert(imported.document, imported.files);
            self.n_elsewhere += 1;
        }
    }

    /// The context of a cursor, at most `budget_bytes` in all. The most relevant excerpt stands last, and what changes
    /// most last. There is none if the document is not open or has no such place. Touches no disk.
    pub fn context(&mut self, cursor: &Cursor<'_>, budget_bytes: usize) -> Vec<Excerpt> {
        let Cursor { path, at, ref window } = *cursor;
        let Some(document) = self.documents.get_mut(path) else { return Vec::new() };
        if document.is_too_long {
            return Vec::new();
        }
        let text = document.text();
        if !(text.is_char_boundary(at) && text.get(window.clone()).is_some())
            || window.start > at
            || at > window.end
        {
            return Vec::new();
        }
        document.last_at = Some(at);
        if self.asked.as_deref() != Some(path) {
            self.asked = Some(path.to_owned());
        }
        let moment = Moment {
            n_elsewhere: self.n_elsewhere,
            budget_bytes,
            window_start: window.start,
            line_start: line_start(document.text(), at),
        };
        if let Some(kept) = self.kept.get(path).filter(|it| it.holds(moment, window)) {
            return kept.excerpts();
        }
        self.parse(path);
        let mut kept = self.kept.remove(path).unwrap_or_default();
        let Some(document) = self.documents.get(path) else { return Vec::new() };
        let inside = document.outline().around(document.text(), at);
        let here = Here { text: document.text(), at, window, inside };
        kept.update(self.kinds, &here, &self.sources(path, document), &self.recent, moment);
        let excerpts = kept.excerpts();
        self.kept.insert(path.to_owned(), kept);
        excerpts
    }

    /// Brings the outlines of a document and of those that may help it up to date.
    fn parse(&mut self, path: &Path) {
        let Some(language) = self.documents.get(path).map(|it| it.language) else { return };
        for (other, document) in &mut self.documents {
            let is_kin = matches!((language, document.language), (Some(a), Some(b)) if a.is_kin(b));
            if other == path || is_kin {
                document.parse(&mut self.parser);
            }
        }
    }

    /// The files whose definitions may help, in an order that does not change.
    fn sources<'a>(&'a self, path: &'a Path, document: &'a Document) -> Vec<Source<'a>> {
        let mut sources = vec![Source {
            path,
            name: self.shown(path),
            text: document.text(),
            outline: document.outline(),
            nearness: Nearness::Own,
            version: document.version,
            last_at: document.last_at,
        }];
        for file in self.imported.get(path).into_iter().flatten().filter(|it| it.path != path) {
            let open = self.documents.get(&file.path);
            let last_at = open.and_then(|it| it.last_at);
            let (text, outline, version) = match open {
                Some(open) => (open.text(), open.outline(), open.version),
                None => (file.text.as_str(), &file.outline, file.version()),
            };
            let name = self.shown(&file.path);
            sources.push(Source {
                path: &file.path,
                name,
                text,
                outline,
                nearness: Nearness::Imported,
                version,
                last_at,
            });
        }
        let mut others: Vec<_> =
            self.documents.iter().filter(|(it, _)| !sources.iter().any(|known| known.path == *it)).collect();
        others.sort_by_key(|(path, _)| *path);
        for (path, other) in others {
            if matches!((other.language, document.language), (Some(a), Some(b)) if a.is_kin(b)) {
                let (text, outline, version) = (other.text(), other.outline(), other.version);
                let last_at = other.last_at;
                sources.push(Source {
                    path,
                    name: self.shown(path),
                    text,
                    outline,
                    nearness: Nearness::Open,
                    version,
                    last_at,
                });
            }
        }
        sources
    }

    /// A path as it is shown: from its workspace folder, or its last part.
    fn shown(&self, path: &Path) -> String {
        let inner = self
            .roots
            .iter()
            .filter_map(|it| path.strip_prefix(it).ok())
            .min_by_key(|it| it.as_os_str().len());
        let inner = inner.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
        inner.to_string_lossy().replace('\\', "/")
    }
}

/// The range of `old` that differs from `new`, and what stands there instead.
fn difference<'n>(old: &str, new: &'n str) -> (Range<usize>, &'n str) {
    let n_same = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let start =
        (0..=n_same).rev().find(|it| old.is_char_boundary(*it) && new.is_char_boundary(*it)).unwrap_or(0);
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let n_same = old_rest.bytes().rev().zip(new_rest.bytes().rev()).take_while(|(a, b)| a == b).count();
    let is_boundary = |n: &usize| {
        old_rest.is_char_boundary(old_rest.len() - n) && new_rest.is_char_boundary(new_rest.len() - n)
    };
    let n_behind = (0..=n_same).rev().find(is_boundary).unwrap_or(0);
    (start..old.len() - n_behind, &new_rest[..new_rest.len() - n_behind])
}
