//! The MCP server, with agents in memory and the engine's scripted model.

mod agent;

mod eras;
mod files;
mod progress;
mod tasks;
mod tools;
mod withdrawal;
