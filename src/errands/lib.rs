//! Small pieces of work on files that an agent delegates to a small model: edits, maps, reviews and tests.
//!
//! [`Errands`] takes an [`EditFiles`], [`MapFiles`], [`ReviewDiff`] or [`WriteTests`] and returns an [`Errand`], whose
//! events tell how far each item is and what became of it. The model is asked in a form that small models can keep to,
//! its answer is applied leniently but safely and checked, and on a [`Fault`] the model is asked once more with the fault
//! named. Then the result says plainly that it failed, and why. Each result carries its [`Evidence`].
//!
//! Files come in as [`Snapshot`](runabout_files::Snapshot)s and go out as texts; nothing here touches the disk. What a
//! file says is data in a prompt and never an instruction to use a tool, since there are no tools here.
//!
//! This crate knows no protocol.

mod answer;
mod ask;
mod check;
mod edit;
mod effort;
mod errand;
mod evidence;
mod fault;
mod fenced;
mod formats;
mod inquiry;
mod lines;
mod map;
mod progress;
mod prompts;
mod review;
mod room;
mod write_tests;

pub use edit::{EditFiles, EditForm, EditOutcome, Edited, LeftOut};
pub use effort::Effort;
pub use errand::{Errand, Errands, Event};
pub use evidence::{Evidence, ParseCheck};
pub use fault::Fault;
pub use map::{MapFiles, MapTask, MapValue, Mapped};
pub use progress::{Progress, Stage};
pub use review::{Finding, Review, ReviewDiff, Severity};
pub use write_tests::{NewFile, WriteTests, WrittenTests};

#[cfg(test)]
mod tests;
