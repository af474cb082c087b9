//! Why a file is refused: [`FileError`], one [`Problem`] for each rule.

use rustix::io::Errno;

/// A file that was refused, or that could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {problem}")]
pub struct FileError {
    /// The path as the caller knows it.
    pub path: String,
    pub problem: Problem,
}

/// What is wrong with a file. The text continues a sentence that begins with its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("is no valid path")]
    InvalidPath,
    #[error("is no valid glob: {message}")]
    InvalidGlob { message: String },
    #[error("is outside the allowed roots")]
    Outside,
    #[error("must not contain `..`")]
    ParentName,
    #[error("leads out of its root through a link")]
    LinkOut,
    #[error("leads through too many links")]
    TooManyLinks,
    /// Only for writing: reading follows links inside a root.
    #[error("is reached through a link, and nothing is written through links")]
    ThroughLink,
    #[error("does not exist")]
    NotFound,
    #[error("matches no file")]
    NoMatch,
    #[error("is a directory")]
    Directory,
    #[error("is not a directory")]
    NotADirectory,
    /// A FIFO, a socket or a device.
    #[error("is a {kind}, not a regular file")]
    Special { kind: &'static str },
    #[error("has {n_bytes} bytes, more than the limit of {limit_bytes}")]
    TooLarge { n_bytes: u64, limit_bytes: u64 },
    #[error("is binary, not text")]
    Binary,
    #[error("is no valid UTF-8 at byte {at}")]
    NotUtf8 { at: usize },
    #[error("may hold secrets, which are not read or written")]
    Secret,
    #[error("belongs to the version control, which is not read or written")]
    VersionControl,
    /// Since the snapshot, or between two steps of one call.
    #[error("has changed since it was read")]
    Changed,
    #[error("exists already")]
    Exists,
    #[error("is write-protected")]
    WriteProtected,
    #[error("is to be changed twice at once")]
    Twice,
    #[error("stands for more than {limit} files")]
    TooManyFiles { limit: usize },
    #[error("lies among more than {limit} files and directories, too many to search")]
    TooManyEntries { limit: usize },
    #[error("lies deeper than {limit} directories")]
    TooDeep { limit: usize },
    #[error("is not accessible: permission denied")]
    Denied,
    #[error("could not be used: {message}")]
    Io { message: String },
}

impl Problem {
    /// A short name of the rule that does not change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidPath => "invalid_path",
            Self::InvalidGlob { .. } => "invalid_glob",
            Self::Outside => "outside",
            Self::ParentName => "parent_name",
            Self::LinkOut => "link_out",
            Self::TooManyLinks => "too_many_links",
            Self::ThroughLink => "through_link",
            Self::NotFound => "not_found",
            Self::NoMatch => "no_match",
            Self::Directory => "directory",
            Self::NotADirectory => "not_a_directory",
            Self::Special { .. } => "special_file",
            Self::TooLarge { .. } => "too_large",
            Self::Binary => "binary",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::Secret => "secret",
            Self::VersionControl => "version_control",
            Self::Changed => "changed",
            Self::Exists => "exists",
            Self::WriteProtected => "write_protected",
            Self::Twice => "twice",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::TooManyEntries { .. } => "too_many_entries",
            Self::TooDeep { .. } => "too_deep",
            Self::Denied => "denied",
            Self::Io { .. } => "io",
        }
    }

    pub(crate) fn at(self, path: impl Into<String>) -> FileError {
        FileError { path: path.into(), problem: self }
    }
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::EXIST => Self::Exists,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            Errno::ISDIR => Self::Directory,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::NAMETOOLONG => Self::InvalidPath,
            _ => Self::Io { message: std::io::Error::from(errno).to_string() },
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self::Io { message: error.to_string() },
        }
    }
}
