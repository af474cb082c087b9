//! Where the program and its files are: settings, models, the cache that is shared with Python, other installations.

use std::collections::HashSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{Check, gigabytes};
use crate::loading;
use crate::settings::SettingsFile;
use crate::share;
use crate::state;

/// Less free space than this is too little for a model.
const LITTLE_SPACE: u64 = 2 << 30;

pub(super) async fn checks(file: &SettingsFile) -> Vec<Check> {
    let settings = match (file.is_there(), file.path()) {
        (true, path) => path.display().to_string(),
        (false, path) if path.as_os_str().is_empty() => "no file".to_owned(),
        (false, path) => format!("{}, which is not there", path.display()),
    };
    let mut checks = vec![Check::ok("settings", settings), models()];
    checks.extend(loading::hub_cache_folder().filter(|it| it.is_dir()).map(|it| {
        let size = gigabytes(size(&it));
        Check::ok("hub cache", format!("{}, {size}", it.display()))
    }));
    checks.extend(state::chat_history().as_deref().and_then(Path::parent).filter(|it| it.is_dir()).map(
        |it| {
            let size = gigabytes(size(it));
            Check::ok("state", format!("{}, {size}", it.display()))
        },
    ));
    checks.extend(shared().await);
    checks.push(installations(&env::var_os("PATH").unwrap_or_default(), env::current_exe().ok()));
    checks
}

/// The processes that keep a model for several clients.
async fn shared() -> Vec<Check> {
    let mut checks = Vec::new();
    for process in share::running().await {
        let clients: Vec<_> = process.clients.iter().map(|it| it.name()).collect();
        let clients = if clients.is_empty() { "no client".to_owned() } else { clients.join(", ") };
        let found = format!("process {} has {} for {clients}", process.pid, process.model);
        checks.push(Check::ok("shared", found));
    }
    checks
}

fn models() -> Check {
    let Some(folder) = loading::store_folder() else {
        return Check::error("models", "there is no place for them\nhint: set `HOME` or `RUNABOUT_HOME`");
    };
    let there = folder.ancestors().find(|it| it.exists()).unwrap_or(&folder);
    let (size, free) = (gigabytes(size(&folder)), free_space(there));
    let Some(free) = free else {
        return Check::ok("models", format!("{}, {size}", folder.display()));
    };
    let found = format!("{}, {size}; {} free on the disk", folder.display(), gigabytes(free));
    if free < LITTLE_SPACE {
        return Check::warning("models", found, "`runabout models list` shows what could be removed");
    }
    Check::ok("models", found)
}

fn free_space(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The size of all files below a folder. Links count nothing, since what they lead to is counted where it is.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |it: fs::DirEntry| match it.metadata() {
        Ok(about) if about.is_dir() => size(&it.path()),
        Ok(about) if about.is_file() => about.len(),
        _ => 0,
    };
    entries.flatten().map(of).sum()
}

/// Whether the program in the path is this one, and the only one.
fn installations(search_path: &OsStr, this: Option<PathBuf>) -> Check {
    let mut seen = HashSet::new();
    let found: Vec<PathBuf> = env::split_paths(search_path)
        .map(|it| it.join("runabout"))
        .filter(|it| it.is_file())
        // Links to one program are one installation.
        .filter(|it| seen.insert(it.canonicalize().unwrap_or_else(|_| it.clone())))
        .collect();
    let this = this.and_then(|it| it.canonicalize().ok()).unwrap_or_default();
    let list = found.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ");
    let is_first = found.first().is_some_and(|it| it.canonicalize().is_ok_and(|it| it == this));
    match found.len() {
        0 => Check::warning(
            "PATH",
            format!("{} is not in it", this.display()),
            "editors find the program more easily if its folder is in `PATH`",
        ),
        1 if is_first => Check::ok("PATH", list),
        _ if is_first => {
            Check::warning("PATH", format!("several programs: {list}"), "remove all but the first")
        }
        _ => Check::warning(
            "PATH",
            format!("{list}, and not {}", this.display()),
            "editors start the first: remove it, or put this one's folder before it",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::check::Status;
    use super::*;

    #[test]
    fn other_programs_of_the_same_name_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("runabout"), "").unwrap();
            path
        };
        let (a, b) = (make("a"), make("b"));
        let linked = folder.path().join("linked");
        fs::create_dir(&linked).unwrap();
        std::os::unix::fs::symlink(a.join("runabout"), linked.join("runabout")).unwrap();
        let status = |path: &[&PathBuf]| {
            installations(&env::join_paths(path).unwrap(), Some(a.join("runabout"))).status
        };
        assert_eq!(status(&[&a]), Status::Ok);
        assert_eq!(status(&[&linked, &a]), Status::Ok);
        assert_eq!(status(&[&a, &b]), Status::Warning);
        assert_eq!(status(&[&b]), Status::Warning);
        assert_eq!(status(&[&folder.path().to_owned()]), Status::Warning);
    }

    #[test]
    fn links_count_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join("blobs/one"), [0; 1000]).unwrap();
        std::os::unix::fs::symlink("blobs/one", folder.path().join("file")).unwrap();
        std::os::unix::fs::symlink(".", folder.path().join("again")).unwrap();
        assert_eq!(size(folder.path()), 1000);
    }
}
