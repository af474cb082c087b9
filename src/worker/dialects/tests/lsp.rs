//! The language server, with editors in memory and the engine's scripted model.

mod editor;

mod context;
mod idle;
mod inline;
mod life;
mod next_edit;
mod settings;
mod statistics;
mod sync;
