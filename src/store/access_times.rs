//! When files were read last: [`AccessTimes`].

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The times at which a folder's files were read last. Code that only describes a model puts them back; otherwise a list
/// of models would make all of them look recently used, to other programs too.
#[derive(Debug)]
pub struct AccessTimes(Vec<(PathBuf, SystemTime)>);

impl AccessTimes {
    /// Notes the times of all files directly in a folder.
    pub fn of(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let time = |it: PathBuf| {
            let metadata = fs::metadata(&it).ok().filter(fs::Metadata::is_file)?;
            Some((it, metadata.accessed().ok()?))
        };
        Self(entries.filter_map(|it| time(it.path())).collect())
    }

    /// The latest of them.
    pub fn latest(&self) -> Option<SystemTime> {
        self.0.iter().map(|it| it.1).max()
    }

    /// Puts the times back, as far as this user may.
    pub fn restore(&self) {
        for (path, time) in &self.0 {
            let _ = File::open(path).and_then(|it| it.set_times(FileTimes::new().set_accessed(*time)));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn looking_at_a_file_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "x").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::open(&path).unwrap().set_times(FileTimes::new().set_accessed(long_ago)).unwrap();
        let times = AccessTimes::of(folder.path());
        assert_eq!(times.latest(), Some(long_ago));
        File::open(&path).unwrap().set_times(FileTimes::new().set_accessed(SystemTime::now())).unwrap();
        times.restore();
        assert_eq!(fs::metadata(&path).unwrap().accessed().unwrap(), long_ago);
    }
}
