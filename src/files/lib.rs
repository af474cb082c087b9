//! Guarded access to a person's files, for tools that agents call.
//!
//! [`Roots`] are the directories that the person allowed, each opened once as a handle. [`Roots::find`] finds files by
//! paths and globs, [`Roots::read`] reads one whole text file as a [`Snapshot`], and [`Roots::apply`] writes a set of
//! [`Change`]s, all or none, refusing files that have changed since their snapshot. [`unified_diff`] shows a change as
//! text that `git apply` takes.
//!
//! Every file is reached from the handle of its root, one name at a time, and never through a name that was checked
//! before: whatever is swapped meanwhile, nothing outside the roots is opened. Reading follows a link that stays inside
//! its root; writing follows none. What is read is regular text of limited size, and not a secret, see [`Options`]; only
//! the names in a path decide that and the first line of the text, so a secret under a harmless name is read.
//!
//! A file inside a root that has a second name outside (a hard link) is a file of the root: it can be read, and a change
//! does not reach the other name.
//!
//! This crate knows no JSON, no protocol and no model. All calls block.

mod apply;
mod diff;
mod error;
mod find;
mod guards;
mod ignored;
mod path;
mod read;
mod root;
mod roots;
mod stage;

pub use apply::{ApplyError, Change};
pub use diff::unified_diff;
pub use error::{FileError, Problem};
pub use find::Found;
pub use path::FilePath;
pub use read::Snapshot;
pub use roots::{Options, Roots};
