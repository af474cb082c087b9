//! Tests of the crate as a front end uses it.
#![allow(clippy::unwrap_used)]

#[path = "context/choice.rs"]
mod choice;
#[path = "context/disk.rs"]
mod disk;
#[path = "context/languages.rs"]
mod languages;
#[path = "context/typing.rs"]
mod typing;

use std::fs;
use std::path::{Path, PathBuf};

use std::ops::Range;

use runabout_context::{Cursor, Excerpt, Kinds, Project};

/// A project in a scratch folder.
struct Scratch {
    folder: tempfile::TempDir,
    project: Project,
}

impl Scratch {
    /// With files at these paths.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::new(vec![folder.path().to_owned()], Kinds::default());
        let scratch = Self { folder, project };
        for (path, text) in files {
            scratch.write(path, text.as_bytes());
        }
        scratch
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Opens a document, whose text has `|` at the cursor, and reads what it imports. Returns the cursor.
    fn open(&mut self, path: &str, text: &str) -> usize {
        let at = text.find('|').unwrap();
        let path = self.path(path);
        self.project.open(&path, None, &text.replacen('|', "", 1));
        self.read(&path);
        at
    }

    fn read(&mut self, path: &Path) {
        if let Some(reading) = self.project.reading(path) {
            self.project.read(reading.run());
        }
    }

    /// The context of a cursor with some lines around it.
    fn context(&mut self, path: &str, text: &str, at: usize) -> Vec<Excerpt> {
        let path = self.path(path);
        self.project.context(&Cursor { path: &path, at, window: window(text, at) }, 4_000)
    }

    /// The context of a document that is opened with `|` at the cursor, as one text.
    fn shown(&mut self, path: &str, text: &str) -> String {
        let at = self.open(path, text);
        joined(&self.context(path, &text.replacen('|', "", 1), at))
    }
}

/// The lines around a cursor, some more above it than below. It moves in steps.
fn window(text: &str, at: usize) -> Range<usize> {
    let starts: Vec<usize> = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line = starts.partition_point(|it| *it <= at) - 1;
    let start = starts[line.saturating_sub(40) / 20 * 20];
    let end = starts.len() - (starts.len() - line).saturating_sub(20) / 20 * 20;
    start..starts.get(end).copied().unwrap_or(text.len())
}

/// All excerpts with their paths.
fn joined(excerpts: &[Excerpt]) -> String {
    excerpts.iter().flat_map(|it| ["--- ", &it.path, "\n", &it.text]).collect()
}

/// More lines than a window shows on one side, which mention nothing.
fn filler(comment: &str) -> String {
    format!("{comment} filler\n").repeat(120)
}
