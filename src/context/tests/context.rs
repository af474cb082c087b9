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

use runabout_context::{Context, Kinds, Project};

/// A project in a scratch folder.
struct Scratch {
    folder: tempfile::TempDir,
    project: Project,
}

impl Scratch {
    /// With files at these paths.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // All kinds.
        let kinds = Kinds { line: true, ..Kinds::default() };
        let project = Project::new(vec![folder.path().to_owned()], kinds);
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
        self.project.open(&path, None, text.replacen('|', "", 1));
        self.read(&path);
        at
    }

    fn read(&mut self, path: &Path) {
        if let Some(reading) = self.project.reading(path) {
            self.project.read(reading.run());
        }
    }

    fn context(&mut self, path: &str, at: usize) -> Context {
        let path = self.path(path);
        self.project.context(&path, at, 4_000).unwrap()
    }

    /// The context of a document that is opened with `|` at the cursor, as one text.
    fn shown(&mut self, path: &str, text: &str) -> String {
        let at = self.open(path, text);
        joined(&self.context(path, at))
    }
}

/// All excerpts with their paths.
fn joined(context: &Context) -> String {
    context.excerpts.iter().flat_map(|it| ["--- ", &it.path, "\n", &it.text]).collect()
}

/// Lines that are as many as the window may show on one side, and that mention nothing.
fn filler(comment: &str) -> String {
    format!("{comment} filler\n").repeat(120)
}
