//! The project of one editor: its documents, what they import, and the choice for each of them.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tree_sitter::Parser;

use crate::document::{Document, moved};
use crate::imports::wanted;
use crate::language::Language;
use crate::layers::{self, Here};
use crate::pieces::{Chosen, Excerpt, Nearness, Piece, Source, excerpts};
use crate::recent::Recent;
use crate::window::window;
use crate::workspace::{Imported, Reading, SourceFile};

/// The part of the budget that definitions from imported files may take, in percent. What they leave over, the next
/// layer gets.
const IMPORTED_PERCENT: usize = 45;
/// The part of the budget that is kept for the cursor's line.
const LINE_PERCENT: usize = 15;
/// The most lines around a recent edit, and around the cursor of another document.
const EDIT_LINES: usize = 3;
const VIEW_LINES: usize = 10;
/// The most recent edits that are shown.
const MAX_EDITS: usize = 2;

/// What kinds of context are chosen; a benchmark turns them off one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each kind is switched on its own")]
pub struct Kinds {
    /// Definitions of imported files that the file uses.
    pub imported: bool,
    /// Definitions that the function at the cursor uses.
    pub around: bool,
    /// Definitions that the cursor's line uses, as soon as it names them.
    pub line: bool,
    /// The function that is most like the code at the cursor.
    pub similar: bool,
    /// Places of recent edits.
    pub edits: bool,
    /// The text around the cursor in other open files.
    pub views: bool,
}

impl Kinds {
    pub const NONE: Self =
        Self { imported: false, around: false, line: false, similar: false, edits: false, views: false };
}

impl Default for Kinds {
    /// Those that pay. `line` does not: when a line names something new, all of the prompt behind the excerpts is computed
    /// again just while the person types on, which on a CPU takes seconds.
    fn default() -> Self {
        Self { imported: true, around: true, line: false, similar: true, edits: true, views: true }
    }
}

/// What to put into a prompt for a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The part of the document to show around the cursor, in bytes.
    pub window: Range<usize>,
    /// The most relevant last, and what changes most last.
    pub excerpts: Vec<Excerpt>,
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
}

/// The choice for a document, kept from keystroke to keystroke.
#[derive(Default)]
struct Kept {
    /// What the layers were chosen for.
    file: u64,
    function: u64,
    imported: Vec<Piece>,
    around: Vec<Piece>,
    line: Vec<Piece>,
    budget_bytes: usize,
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
        }
    }

    /// Replaces the workspace folders.
    pub fn set_roots(&mut self, roots: Vec<PathBuf>) {
        self.roots = roots;
        self.imported.clear();
    }

    /// Changes what kinds of context are chosen from now on.
    pub fn set_kinds(&mut self, kinds: Kinds) {
        self.kinds = kinds;
        self.kept.clear();
    }

    /// A document was opened, or replaced as a whole.
    pub fn open(&mut self, path: &Path, language_id: Option<&str>, text: String) {
        let language = Language::of(language_id, &path.to_string_lossy());
        self.documents.insert(path.to_owned(), Document::new(language, text));
        self.kept.remove(path);
    }

    /// A range of bytes of a document was replaced. Returns false if the document is not open or has no such range, in
    /// which case its text is not known any more, and it has to be opened again.
    pub fn edit(&mut self, path: &Path, range: Range<usize>, new: &str) -> bool {
        let Some(document) = self.documents.get_mut(path) else { return false };
        if !document.edit(range.clone(), new) {
            self.close(path);
            return false;
        }
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
    }

    /// What a document imports, to be read from disk; `None` if it is not open, is in no workspace folder, or has no
    /// known language. Call it when a document was opened or saved, and run it where nobody waits.
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
        }
    }

    /// The context of a cursor at byte `at` of an open document; `None` if it is not open or has no such place. Its
    /// excerpts take at most `budget_bytes`. Touches no disk.
    pub fn context(&mut self, path: &Path, at: usize, budget_bytes: usize) -> Option<Context> {
        let document = self.documents.get_mut(path)?;
        if !document.text().is_char_boundary(at) {
            return None;
        }
        document.last_at = Some(at);
        let window = window(document.text(), at);
        self.parse(path);
        let mut kept = self.kept.remove(path).unwrap_or_default();
        let document = self.documents.get(path)?;
        let inside = document.outline().around(document.text(), at);
        let here = Here { text: document.text(), at, window: &window, inside };
        let sources = self.sources(path, document);
        self.choose(&mut kept, &here, &sources, budget_bytes);
        let mut chosen = excerpts(&kept.imported);
        chosen.extend(excerpts(&kept.around));
        chosen.extend(kept.line.iter().flat_map(|it| excerpts(std::slice::from_ref(it))));
        self.kept.insert(path.to_owned(), kept);
        Some(Context { window, excerpts: chosen })
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
        }];
        for file in self.imported.get(path).into_iter().flatten().filter(|it| it.path != path) {
            let (text, outline, version) = match self.documents.get(&file.path) {
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
            });
        }
        let mut others: Vec<_> =
            self.documents.iter().filter(|(it, _)| !sources.iter().any(|known| known.path == *it)).collect();
        others.sort_by_key(|(path, _)| *path);
        for (path, other) in others {
            if matches!((other.language, document.language), (Some(a), Some(b)) if a.is_kin(b)) {
                let (text, outline, version) = (other.text(), other.outline(), other.version);
                sources.push(Source {
                    path,
                    name: self.shown(path),
                    text,
                    outline,
                    nearness: Nearness::Open,
                    version,
                });
            }
        }
        sources
    }

    /// Brings the kept choice up to date: a layer is chosen again only if what it was chosen for has changed.
    fn choose(&self, kept: &mut Kept, here: &Here<'_>, sources: &[Source<'_>], budget_bytes: usize) {
        let file = file_key(here, sources);
        if kept.file != file || kept.budget_bytes != budget_bytes {
            *kept = Kept { file, budget_bytes, ..Kept::default() };
            let budget = if self.kinds.around { budget_bytes * IMPORTED_PERCENT / 100 } else { budget_bytes };
            let mut taken = HashSet::new();
            let mut chosen = Chosen::new(&mut taken, budget);
            if self.kinds.imported {
                layers::imported(here, sources, &mut chosen);
            }
            kept.imported = chosen.into_pieces();
            kept.imported.reverse();
        }
        let function = function_key(here);
        let is_shown = |it: &Piece| it.own.as_ref().is_some_and(|range| here.is_shown(&sources[0], range));
        if kept.function != function || kept.around.iter().any(is_shown) {
            kept.function = function;
            kept.line.clear();
            let mut taken: HashSet<u64> = kept.imported.iter().map(Piece::key).collect();
            let budget = kept.n_left() - if self.kinds.line { budget_bytes * LINE_PERCENT / 100 } else { 0 };
            let mut chosen = Chosen::new(&mut taken, budget);
            if self.kinds.edits {
                self.edits(here, sources, &mut chosen);
            }
            if self.kinds.views {
                self.views(here, sources, &mut chosen);
            }
            if self.kinds.similar {
                layers::similar(here, sources, &mut chosen, budget / 2);
            }
            if self.kinds.around {
                layers::own_imports(here, &sources[0], &mut chosen);
                layers::around(here, sources, &mut chosen);
            }
            kept.around = chosen.into_pieces();
            kept.around.reverse();
        }
        kept.line.retain(|it| !is_shown(it));
        if self.kinds.line {
            let pieces = kept.imported.iter().chain(&kept.around).chain(&kept.line);
            let mut taken: HashSet<u64> = pieces.map(Piece::key).collect();
            let mut chosen = Chosen::new(&mut taken, kept.n_left());
            layers::of_line(here, sources, &mut chosen);
            kept.line.extend(chosen.into_pieces());
        }
    }

    /// The lines around recent edits elsewhere.
    fn edits(&self, here: &Here<'_>, sources: &[Source<'_>], chosen: &mut Chosen<'_>) {
        let mut n = 0;
        for (path, range) in self.recent.latest() {
            let Some(source) = sources.iter().find(|it| it.path == path) else { continue };
            let lines = lines_around(source.text, range, EDIT_LINES);
            if !here.is_shown(source, &lines) && n < MAX_EDITS {
                n += usize::from(chosen.push(Piece::of_lines(source, lines)));
            }
        }
    }

    /// The text around the cursor in other open files.
    fn views(&self, here: &Here<'_>, sources: &[Source<'_>], chosen: &mut Chosen<'_>) {
        for source in sources.iter().filter(|it| it.nearness != Nearness::Own) {
            let Some(at) = self.documents.get(source.path).and_then(|it| it.last_at) else { continue };
            let lines = lines_around(source.text, &(at..at), VIEW_LINES);
            if !here.is_shown(source, &lines) {
                chosen.push(Piece::of_lines(source, lines));
            }
        }
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

impl Kept {
    /// Moves the places in the document with an edit. A piece whose text was edited is chosen anew with its layer.
    fn edited(&mut self, range: &Range<usize>, n_new: usize) {
        let mut is_touched = false;
        for piece in self.around.iter_mut().chain(&mut self.line) {
            let Some(own) = &piece.own else { continue };
            match moved(own, range, n_new) {
                Some(now) => piece.own = Some(now),
                None => is_touched = true,
            }
        }
        if is_touched {
            self.function = 0;
        }
    }

    /// The bytes of the budget that are left.
    fn n_left(&self) -> usize {
        let pieces = [&self.imported, &self.around, &self.line];
        let excerpts = pieces.iter().flat_map(|it| excerpts(it));
        // Each takes some tokens in addition to its path and text.
        let n_bytes: usize = excerpts.map(|it| it.path.len() + it.text.len() + 16).sum();
        self.budget_bytes.saturating_sub(n_bytes)
    }
}

/// What the layer of imported definitions depends on.
fn file_key(here: &Here<'_>, sources: &[Source<'_>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for range in &sources[0].outline.imports {
        here.text.get(range.clone()).hash(&mut hasher);
    }
    for source in sources.iter().filter(|it| it.nearness == Nearness::Imported) {
        (source.path, source.version).hash(&mut hasher);
    }
    hasher.finish()
}

/// What the layer of the function at the cursor depends on.
fn function_key(here: &Here<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    here.inside.map(|it| (&it.name, &it.owner)).hash(&mut hasher);
    // When the window moves, what follows the excerpts in the prompt is computed again anyway.
    here.window.start.hash(&mut hasher);
    hasher.finish() | 1
}

/// A range widened to whole lines, and by `n` lines on both sides.
fn lines_around(text: &str, range: &Range<usize>, n: usize) -> Range<usize> {
    let (start, end) = (range.start.min(text.len()), range.end.min(text.len()));
    let before = text.as_bytes()[..start].iter().enumerate().rev().filter(|(_, it)| **it == b'\n');
    let start = before.map(|(at, _)| at + 1).nth(n).unwrap_or(0);
    let end = memchr::memchr_iter(b'\n', &text.as_bytes()[end..]).nth(n).map_or(text.len(), |it| end + it);
    start..end
}
