//! The engine's tests once more, with a model whose slots return to checkpoints only.

#[path = "engine/main.rs"]
mod engine;
