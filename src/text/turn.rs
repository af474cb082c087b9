//! What a model writes in its turn, told apart: reasoning, content and calls of tools ([`TurnReader`]).
//!
//! Families mark these parts differently, and a model's chat template shows how ([`TurnFormat`]). The text comes in
//! pieces that may end anywhere, also within a mark. Nothing is lost: what looks like a call and is none stays content,
//! beside a fault that says why.

mod call;
mod calls;
mod choice;
mod format;
mod harmony;
mod reader;
mod scan;
mod tagged;
mod tools;
mod typed;
mod written;

pub use self::choice::ToolChoice;
pub(crate) use self::format::CallFormat;
pub use self::format::TurnFormat;
pub use self::reader::TurnReader;
pub use self::tools::Tools;
pub use self::written::{CallFault, Piece, Turn};
