//! Which parts of a project's files help to complete at a cursor.
//!
//! A front end feeds a [`Project`] with what an editor tells it, and asks for the context of a [`Cursor`]: excerpts of
//! this and other files, with the definitions that the code at the cursor uses. Definitions are found with tree-sitter
//! in the open documents and in the files that they import. The choice is kept from keystroke to keystroke, so that the
//! prompt that it goes into stays in the cache: it changes with the file and with the function at the cursor, and what
//! changes more often stands last.
//!
//! This crate knows neither protocols nor models nor tokens; budgets are in bytes. Only [`Reading::run`] touches the
//! disk.
//!
//! ```
//! # use std::path::Path;
//! # use runabout_context::{Cursor, Kinds, Project};
//! let folder = Path::new("/project");
//! let mut project = Project::new(vec![folder.to_owned()], Kinds::default());
//! let path = folder.join("src/main.py");
//! let text = "from lib import price\n\ndef total(items):\n    return sum(";
//! project.open(&path, Some("python"), text);
//! // When a document was opened or saved: reads what it imports, on a thread of its own.
//! if let Some(reading) = project.reading(&path) {
//!     project.read(reading.run());
//! }
//! // On each change: the bytes that were replaced. A text that is replaced as a whole is opened again.
//! project.edit(&path, text.len()..text.len(), "p");
//! // For each completion: the cursor's byte, the bytes that the prompt shows of the file, and a budget.
//! let at = text.len() + 1;
//! let excerpts = project.context(&Cursor { path: &path, at, window: 0..at }, 4_000);
//! assert!(excerpts.is_empty(), "there is no file `lib.py`");
//! ```

mod document;
mod imports;
mod kept;
mod kinds;
mod language;
mod layers;
mod occurrences;
mod outline;
mod pieces;
mod project;
mod recent;
mod signature;
mod syntax;
mod words;
mod workspace;

pub use kinds::Kinds;
pub use language::Language;
pub use occurrences::{NameRole, Occurrence, occurrences};
pub use pieces::Excerpt;
pub use project::{Cursor, Project};
pub use signature::{Parameter, Signature, import_place, signatures};
pub use syntax::{Defined, Syntax, SyntaxFault};
pub use workspace::{Imported, Reading};
