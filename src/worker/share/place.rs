//! Where front ends meet the process that shares their model: [`Place`].
//!
//! Sockets are in a folder of the person's own, with mode 0700, which is checked before each use: somebody else who had
//! made it first could otherwise read along. Both sides of a connection also check who is at the other end.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{env, iter};

use anyhow::{Context, Result, bail};
use tokio::net::{UnixListener, UnixStream};

use super::options::SharedOptions;

/// The longest path of a socket: macOS has room for 104 bytes, Linux for 108, each with a zero at the end.
const MAX_PATH: usize = 103;

/// A meeting place. Its files have one name with different ends.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    /// The place for these options. Makes its folder.
    pub(super) fn of(options: &SharedOptions) -> Result<Self> {
        let folder = folder();
        make(&folder)?;
        let place = Self { folder, name: format!("{:016x}", options.key()) };
        if place.socket().as_os_str().len() > MAX_PATH {
            bail!("the path `{}` is too long for a socket", place.socket().display());
        }
        Ok(place)
    }

    fn file(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}.{end}", self.name))
    }

    fn socket(&self) -> PathBuf {
        self.file("socket")
    }

    /// What the process that shares the model writes to its stderr.
    pub(super) fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// A connection to this person's process at this place; `None` if there is none.
    pub(super) async fn connect(&self) -> Result<Option<UnixStream>> {
        match UnixStream::connect(self.socket()).await {
            Ok(stream) => {
                check_peer(&stream)?;
                Ok(Some(stream))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error).context("cannot connect to the shared process"),
        }
    }

    /// Takes the place; `None` if another process has it.
    pub(super) async fn take(&self) -> Result<Option<UnixListener>> {
        let _lock = self.lock()?;
        if self.connect().await?.is_some() {
            return Ok(None);
        }
        self.remove_socket()?;
        Ok(Some(UnixListener::bind(self.socket()).context("cannot listen")?))
    }

    /// Leaves the place to others. May only be called by the process that has it.
    pub(super) fn leave(&self) -> Result<()> {
        let _lock = self.lock()?;
        Ok(self.remove_socket()?)
    }

    fn remove_socket(&self) -> io::Result<()> {
        match fs::remove_file(self.socket()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps others from taking or leaving the place. It ends with the file's life, even if the process is killed.
    fn lock(&self) -> Result<File> {
        let lock = File::create(self.file("lock")).context("cannot make a lock")?;
        lock.lock().context("cannot lock")?;
        Ok(lock)
    }
}

/// All places in the folder with a socket, in use or left behind.
pub(super) fn find_all() -> Vec<Place> {
    let folder = folder();
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|it| {
        let path = it.path();
        let is_socket = path.extension() == Some(OsStr::new("socket"));
        path.file_stem().filter(|_| is_socket)?.to_str().map(str::to_owned)
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.into_iter().zip(iter::repeat(folder)).map(|(name, folder)| Place { folder, name }).collect()
}

/// `$XDG_RUNTIME_DIR/runabout`, or else a folder with the person's number among the temporary ones, which on macOS are
/// the person's own already.
fn folder() -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|it| it.is_absolute());
    match runtime {
        Some(runtime) => runtime.join("runabout"),
        None => env::temp_dir().join(format!("runabout-{}", rustix::process::getuid().as_raw())),
    }
}

/// Makes the folder if it is missing, and makes sure that it is this person's only.
fn make(folder: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make `{}`", folder.display()));
        }
        _ => {}
    }
    // A link is not followed: whoever made it decides where it leads.
    let about =
        fs::symlink_metadata(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let is_own = about.is_dir() && about.uid() == rustix::process::getuid().as_raw();
    if !is_own || about.mode() & 0o077 != 0 {
        bail!("`{}` must be a folder that only you can open (mode 0700)", folder.display());
    }
    Ok(())
}

/// Fails unless the other end is a process of the same person.
pub(super) fn check_peer(stream: &UnixStream) -> Result<()> {
    let peer = stream.peer_cred().context("cannot tell who is at the other end")?;
    if peer.uid() != rustix::process::getuid().as_raw() {
        bail!("the process at the other end belongs to somebody else");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn place(folder: &Path) -> Place {
        Place { folder: folder.to_owned(), name: "test".to_owned() }
    }

    #[test]
    fn a_folder_that_others_can_open_or_have_placed_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("runabout");
        make(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        make(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(make(&folder).unwrap_err().to_string().contains("only you can open"));
        let link = home.path().join("link");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&folder, &link).unwrap();
        assert!(make(&link).unwrap_err().to_string().contains("only you can open"));
        fs::write(home.path().join("file"), "").unwrap();
        assert!(make(&home.path().join("file")).is_err());
    }

    #[tokio::test]
    async fn a_place_is_taken_by_one_and_a_socket_left_behind_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        assert!(place.connect().await.unwrap().is_none());
        let listener = place.take().await.unwrap().unwrap();
        assert!(place.connect().await.unwrap().is_some());
        assert!(place.take().await.unwrap().is_none());
        // As after a crash: the socket is there, and nobody listens.
        drop(listener);
        assert!(place.socket().exists());
        assert!(place.connect().await.unwrap().is_none());
        let _listener = place.take().await.unwrap().unwrap();
        place.leave().unwrap();
        assert!(place.connect().await.unwrap().is_none());
        assert!(place.take().await.unwrap().is_some());
    }
}
