//! Conversations on disk, so that they can be continued after the process has ended: [`Archive`].
//!
//! Each has a file of its own, a line of JSON for its [`Record`] and one for each turn, that only its owner may read.
//! A file is replaced as a whole, so that a process that ends meanwhile leaves the old one. If several processes
//! continue the same conversation, the one that writes last counts. All of this blocks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::record::Record;

/// The most conversations that are kept; the ones that were changed least recently go first.
const MAX_KEPT: usize = 100;

/// The most that is kept of one conversation; its oldest turns go first.
const MAX_BYTES: usize = 8 << 20;

const EXTENSION: &str = "jsonl";

/// The conversations on disk.
#[derive(Debug)]
pub(super) struct Archive {
    /// `None` keeps nothing.
    folder: Option<PathBuf>,
}

impl Archive {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Writes a conversation, and removes the oldest ones if there are too many.
    pub(super) fn save(&self, record: &Record) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let temporary = folder.join(format!("{}.{:016x}", record.id, fastrand::u64(..)));
        let written = write_new(&temporary, &to_lines(record)?)
            .and_then(|()| fs::rename(&temporary, path(folder, &record.id)));
        if written.is_err() {
            // The error that counts is that of writing.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        prune(folder)
    }

    /// The conversation with this identifier, or `None`.
    pub(super) fn load(&self, id: &str) -> io::Result<Option<Record>> {
        let Some(file) = self.open(id)? else { return Ok(None) };
        let mut lines = BufReader::new(file.take(2 * MAX_BYTES as u64)).lines();
        let mut record: Record = serde_json::from_str(&lines.next().unwrap_or_else(|| Ok(String::new()))?)?;
        record.turns = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<io::Result<_>>()?;
        // Its name is what it is asked for by, whatever it says.
        id.clone_into(&mut record.id);
        Ok(Some(record))
    }

    /// The conversations without their turns, the newest first. What cannot be read is left out.
    pub(super) fn list(&self) -> io::Result<Vec<Record>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        for (_, id) in kept(folder)? {
            let Some(file) = self.open(&id)? else { continue };
            let mut line = String::new();
            let read = BufReader::new(file.take(MAX_BYTES as u64)).read_line(&mut line);
            match read.and_then(|_| Ok(serde_json::from_str::<Record>(&line)?)) {
                Ok(record) => records.push(Record { id, ..record }),
                Err(error) => tracing::warn!(id, %error, "a conversation cannot be read"),
            }
        }
        records.sort_by(|a, b| b.updated_at.cmp(&a.updated_at));
        Ok(records)
    }

    /// Removes a conversation, if it is there.
    pub(super) fn remove(&self, id: &str) -> io::Result<()> {
        match &self.folder {
            Some(folder) if Record::is_id(id) => gone_is_fine(fs::remove_file(path(folder, id))),
            _ => Ok(()),
        }
    }

    fn open(&self, id: &str) -> io::Result<Option<File>> {
        let Some(folder) = self.folder.as_ref().filter(|_| Record::is_id(id)) else { return Ok(None) };
        match File::open(path(folder, id)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(id).with_extension(EXTENSION)
}

/// The lines of a conversation, without the oldest turns if it is too long.
fn to_lines(record: &Record) -> io::Result<Vec<u8>> {
    let turns = record.turns.iter().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>()?;
    let mut n_left = MAX_BYTES;
    let n_kept = turns.iter().rev().take_while(|it| {
        let fits = it.len() < n_left;
        n_left = n_left.saturating_sub(it.len() + 1);
        fits
    });
    let n_gone = turns.len() - n_kept.count();
    let header = Record {
        n_forgotten: record.n_forgotten.saturating_sub(n_gone),
        turns: Vec::new(),
        ..record.clone()
    };
    let mut lines = serde_json::to_vec(&header)?;
    lines.push(b'\n');
    for turn in &turns[n_gone..] {
        lines.extend(turn);
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Writes a file that must be new, so that no link is followed, and that only its owner may read.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    // Otherwise the new name may be on disk before the text is.
    file.sync_all()
}

/// The conversations in the folder, by when they were changed, the newest first.
fn kept(folder: &Path) -> io::Result<Vec<(SystemTime, String)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut kept = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        let id = name.file_stem().and_then(|it| it.to_str()).filter(|it| Record::is_id(it));
        if let Some(id) = id
            && name.extension().is_some_and(|it| it == EXTENSION)
            && let Ok(changed) = entry.metadata().and_then(|it| it.modified())
        {
            kept.push((changed, id.to_owned()));
        }
    }
    kept.sort_by(|a, b| b.cmp(a));
    Ok(kept)
}

fn prune(folder: &Path) -> io::Result<()> {
    kept(folder)?
        .iter()
        .skip(MAX_KEPT)
        .try_for_each(|(_, id)| gone_is_fine(fs::remove_file(path(folder, id))))
}

/// Another process may have removed the file.
fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::super::record::Turn;
    use super::*;

    fn archive() -> (tempfile::TempDir, Archive) {
        let home = tempfile::tempdir().unwrap();
        let archive = Archive::new(Some(home.path().join("state/conversations")));
        (home, archive)
    }

    fn record(n_turns: usize, text: &str) -> Record {
        let mut record = Record::new("/code".into());
        for _ in 0..n_turns {
            let said = vec![json!({"type": "text", "text": text})];
            record.add(Turn { said, prompt: Some(text.to_owned()), answer: "yes".into(), ..Turn::default() });
        }
        record
    }

    #[test]
    fn a_conversation_comes_back_as_it_was_written() {
        let (_home, archive) = archive();
        let mut record = record(3, "line\nend \u{2028}");
        record.n_forgotten = 1;
        archive.save(&record).unwrap();
        assert_eq!(archive.load(&record.id).unwrap(), Some(record.clone()));
        assert_eq!(archive.list().unwrap(), [Record { turns: Vec::new(), ..record.clone() }]);
        archive.remove(&record.id).unwrap();
        assert_eq!(archive.load(&record.id).unwrap(), None);
        assert_eq!(archive.list().unwrap(), []);
        archive.remove(&record.id).unwrap();
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let (_home, archive) = archive();
        let record = record(1, "secret");
        archive.save(&record).unwrap();
        let folder = archive.folder.clone().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path(&folder, &record.id))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let (_home, archive) = archive();
        let records: Vec<Record> = (0..=MAX_KEPT).map(|_| record(1, "hi")).collect();
        let folder = archive.folder.clone().unwrap();
        for (at, record) in records.iter().enumerate() {
            archive.save(record).unwrap();
            let changed = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at as u64);
            File::open(path(&folder, &record.id)).unwrap().set_modified(changed).unwrap();
        }
        archive.save(&records[1]).unwrap();
        assert_eq!(archive.list().unwrap().len(), MAX_KEPT);
        assert_eq!(archive.load(&records[0].id).unwrap(), None);
    }

    #[test]
    fn of_a_conversation_that_is_too_long_the_end_is_kept() {
        let (_home, archive) = archive();
        let mut long = record(5, &"x".repeat(MAX_BYTES / 6));
        long.n_forgotten = 4;
        archive.save(&long).unwrap();
        let loaded = archive.load(&long.id).unwrap().unwrap();
        let n_kept = loaded.turns.len();
        assert!((1..5).contains(&n_kept), "{n_kept}");
        assert_eq!(n_kept - loaded.n_forgotten, 1, "what the model sees stays the same");
    }

    #[test]
    fn what_is_damaged_or_no_conversation_is_left_out() {
        let (_home, archive) = archive();
        let (good, damaged) = (record(1, "hi"), record(1, "hi"));
        archive.save(&good).unwrap();
        archive.save(&damaged).unwrap();
        let folder = archive.folder.clone().unwrap();
        fs::write(path(&folder, &damaged.id), "{\"id\":").unwrap();
        fs::write(folder.join("notes.jsonl"), "{}").unwrap();
        assert_eq!(archive.list().unwrap().len(), 1);
        assert!(archive.load(&damaged.id).is_err());
        assert_eq!(archive.load("../conversations/notes").unwrap(), None);
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let archive = Archive::new(None);
        let record = record(1, "hi");
        archive.save(&record).unwrap();
        assert_eq!(archive.load(&record.id).unwrap(), None);
        assert_eq!(archive.list().unwrap(), []);
    }
}
