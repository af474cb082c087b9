//! Reads the files that a document imports, within bounds: only under the workspace folders, no link out of them, no
//! ignored or generated file, and a limited number of bytes.
//!
//! This is the only file of the crate that touches the disk, and it blocks; see [`Reading::run`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ignore::gitignore::Gitignore;
use tree_sitter::Parser;

use crate::document::parse;
use crate::imports::{Wanted, wanted};
use crate::language::Language;
use crate::outline::Outline;

/// The most files read for one document, and the most bytes of one and of all.
const MAX_FILES: usize = 64;
const MAX_FILE_BYTES: u64 = 256 << 10;
const MAX_ALL_BYTES: usize = 4 << 20;
/// The most files taken from one folder, for languages whose packages are folders.
const MAX_OF_FOLDER: usize = 24;
/// Imports of imports are followed this far, since many modules only pass on what others define.
const MAX_STEPS: usize = 2;
/// Folders with code from elsewhere, whether or not `.gitignore` names them. Hidden folders are skipped too.
const SKIPPED: [&str; 14] = [
    "node_modules",
    "bower_components",
    "vendor",
    "third_party",
    "target",
    "dist",
    "build",
    "out",
    "__pycache__",
    "site-packages",
    "venv",
    "env",
    "generated",
    "Pods",
];
/// What generated files say in their first lines.
const GENERATED: [&str; 4] = ["@generated", "DO NOT EDIT", "do not edit", "Automatically generated"];
const GENERATED_WITHIN: usize = 600;
/// A file whose lines are longer on average is minified.
const MAX_MEAN_LINE: usize = 300;
const MAX_IGNORE_BYTES: u64 = 64 << 10;

/// A file that was read because a document imports it.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) language: Language,
    pub(crate) text: String,
    pub(crate) outline: Outline,
    stamp: Stamp,
}

impl SourceFile {
    /// Changes with the text.
    pub(crate) fn version(&self) -> u64 {
        let modified = self.stamp.modified.and_then(|it| it.duration_since(SystemTime::UNIX_EPOCH).ok());
        let n_nanos = modified.map_or(0, |it| u64::from(it.subsec_nanos()) ^ it.as_secs().rotate_left(32));
        n_nanos ^ self.stamp.n_bytes
    }
}

/// Tells whether a file has changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    n_bytes: u64,
}

/// The imports of a document that are to be read.
#[derive(Debug)]
pub struct Reading {
    pub(crate) document: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) language: Language,
    /// What was read before, to be read again only if it has changed.
    pub(crate) known: HashMap<PathBuf, Arc<SourceFile>>,
}

/// The imported files of a document.
#[derive(Debug)]
pub struct Imported {
    pub(crate) document: PathBuf,
    /// The nearest first.
    pub(crate) files: Vec<Arc<SourceFile>>,
}

impl Reading {
    /// Reads and parses the files. Blocks for some milliseconds, so call it on a thread that may block, and without the
    /// lock around the project.
    pub fn run(self) -> Imported {
        let Self { document, root, wanted: first, language, known } = self;
        let Ok(canonical) = root.canonicalize() else { return Imported { document, files: Vec::new() } };
        let near = document.parent().unwrap_or(&root).to_owned();
        let mut folder = Folder { root: &root, canonical, near, ignores: HashMap::new() };
        let mut parser = Parser::new();
        let mut files: Vec<Arc<SourceFile>> = Vec::new();
        let mut seen: HashSet<PathBuf> = HashSet::from([document.clone()]);
        let mut waiting: VecDeque<(Wanted, usize)> = first.into_iter().map(|it| (it, 1)).collect();
        let mut n_left = MAX_ALL_BYTES;
        while let Some((next, n_steps)) = waiting.pop_front() {
            for path in folder.paths(&next) {
                if files.len() >= MAX_FILES || n_left == 0 {
                    return Imported { document, files };
                }
                if !seen.insert(path.clone()) {
                    continue;
                }
                let Some(file) = folder.read(&path, language, &known, &mut parser) else { continue };
                n_left = n_left.saturating_sub(file.text.len());
                if n_steps < MAX_STEPS {
                    let statements = file.outline.imports.iter().filter_map(|it| file.text.get(it.clone()));
                    let further = wanted(file.language, statements, &path, &root);
                    waiting.extend(further.into_iter().map(|it| (it, n_steps + 1)));
                }
                files.push(file);
            }
        }
        Imported { document, files }
    }
}

/// A workspace folder.
struct Folder<'r> {
    root: &'r Path,
    /// Its path without links.
    canonical: PathBuf,
    /// The folder of the document.
    near: PathBuf,
    /// What the `.gitignore` of each folder says.
    ignores: HashMap<PathBuf, Option<Gitignore>>,
}

impl Folder<'_> {
    /// The existing files of what is wanted.
    fn paths(&mut self, wanted: &Wanted) -> Vec<PathBuf> {
        match wanted {
            Wanted::FirstOf(paths) => {
                paths.iter().find(|it| self.is_inside(it) && it.is_file()).cloned().into_iter().collect()
            }
            Wanted::Folder { path, extension } => {
                if !self.is_inside(path) {
                    return Vec::new();
                }
                let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
                let has_extension = |it: &PathBuf| it.extension().is_some_and(|it| it == *extension);
                let is_test = |it: &PathBuf| it.to_string_lossy().ends_with("_test.go");
                let paths = entries.flatten().map(|it| it.path());
                let mut found: Vec<PathBuf> =
                    paths.filter(|it| has_extension(it) && !is_test(it)).take(10 * MAX_OF_FOLDER).collect();
                found.sort();
                found.truncate(MAX_OF_FOLDER);
                found
            }
        }
    }

    /// Whether a path is inside the folder by its text alone, and in no folder that is skipped. Those that the document
    /// itself is in are not skipped.
    fn is_inside(&self, path: &Path) -> bool {
        let Ok(inner) = path.strip_prefix(self.root) else { return false };
        let n_shared = path.components().zip(self.near.components()).take_while(|(a, b)| a == b).count();
        let mut components = inner.components();
        let skip = n_shared.saturating_sub(self.root.components().count());
        let plain = |it: &Component<'_>| matches!(it, Component::Normal(_));
        components.by_ref().take(skip).all(|it| plain(&it))
            && components.all(|it| match it {
                Component::Normal(name) => {
                    let name = name.to_string_lossy();
                    !name.starts_with('.') && !SKIPPED.contains(&name.as_ref())
                }
                _ => false,
            })
    }

    /// Reads a file, if it is one that a person of this project wrote.
    fn read(
        &mut self,
        path: &Path,
        language: Language,
        known: &HashMap<PathBuf, Arc<SourceFile>>,
        parser: &mut Parser,
    ) -> Option<Arc<SourceFile>> {
        let language = Language::of(None, &path.to_string_lossy()).filter(|it| it.is_kin(language))?;
        // Without links, it must still be inside. What cannot be resolved is not read.
        let canonical = path.canonicalize().ok()?;
        let facts = fs::metadata(&canonical).ok()?;
        if !canonical.starts_with(&self.canonical) || !facts.is_file() || facts.len() > MAX_FILE_BYTES {
            return None;
        }
        if !self.is_inside(path) || self.is_ignored(path) {
            return None;
        }
        let stamp = Stamp { modified: facts.modified().ok(), n_bytes: facts.len() };
        if let Some(file) = known.get(path).filter(|it| it.stamp == stamp) {
            return Some(Arc::clone(file));
        }
        let mut bytes = Vec::new();
        File::open(&canonical).ok()?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8(bytes).ok().filter(|it| is_written_by_hand(it))?;
        let outline = parse(parser, language, &text, None).map(|it| Outline::of(&it, &text, language));
        Some(Arc::new(SourceFile { path: path.to_owned(), language, outline: outline?, text, stamp }))
    }

    /// Whether a `.gitignore` between the workspace folder and the file excludes it.
    fn is_ignored(&mut self, path: &Path) -> bool {
        let folders: Vec<PathBuf> =
            path.ancestors().skip(1).take_while(|it| it.starts_with(self.root)).map(Path::to_owned).collect();
        for folder in folders {
            let rules = self.ignores.entry(folder.clone()).or_insert_with(|| rules(&folder));
            let Some(rules) = rules else { continue };
            // The nearest file that says something decides.
            let matched = rules.matched_path_or_any_parents(path, false);
            if !matched.is_none() {
                return matched.is_ignore();
            }
        }
        false
    }
}

fn rules(folder: &Path) -> Option<Gitignore> {
    let path = folder.join(".gitignore");
    let facts = fs::symlink_metadata(&path).ok()?;
    (facts.is_file() && facts.len() <= MAX_IGNORE_BYTES).then(|| Gitignore::new(&path).0)
}

/// Whether a text is neither binary nor generated.
fn is_written_by_hand(text: &str) -> bool {
    let head = crate::outline::beginning(text, GENERATED_WITHIN);
    let n_lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1;
    memchr::memchr(0, text.as_bytes()).is_none()
        && text.len() / n_lines <= MAX_MEAN_LINE
        && !GENERATED.iter().any(|it| head.contains(it))
}
