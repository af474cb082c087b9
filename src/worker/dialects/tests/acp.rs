//! The agent client protocol, with clients in memory and the engine's scripted model.

mod editor;

mod cancel;
mod edit;
mod files;
mod life;
mod prompts;
mod sessions;
