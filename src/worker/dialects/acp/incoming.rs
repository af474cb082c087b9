//! The params of the client's messages, as far as they are used.
//!
//! They are read leniently: what is not used is not looked at, so that a server or a member that this version does not
//! know spoils nothing.

use std::path::PathBuf;

use runabout_rpc::{ErrorObjectOwned, Params, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::errors;

/// Reads the params of a message.
pub(super) fn read<T: DeserializeOwned>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    params::parse_lenient(params)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Introduction {
    #[serde(default)]
    pub(super) client_capabilities: Value,
    #[serde(default)]
    pub(super) client_info: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfSession {
    pub(super) session_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewSession {
    cwd: PathBuf,
    #[serde(default)]
    mcp_servers: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OldSession {
    pub(super) session_id: String,
    cwd: PathBuf,
    #[serde(default)]
    mcp_servers: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListSessions {
    /// Only the sessions of this folder.
    pub(super) cwd: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Prompt {
    pub(super) session_id: String,
    /// Content blocks, see `block`.
    pub(super) prompt: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetConfigOption {
    pub(super) session_id: String,
    pub(super) config_id: String,
    #[serde(default)]
    pub(super) value: Value,
}

/// The folder that a session works in, and what its client wants beside it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) cwd: PathBuf,
    /// How many MCP servers the client offers.
    pub(super) n_servers: usize,
}

impl NewSession {
    pub(super) fn setting(self) -> Result<Setting, ErrorObjectOwned> {
        setting(self.cwd, &self.mcp_servers)
    }
}

impl OldSession {
    pub(super) fn setting(self) -> Result<Setting, ErrorObjectOwned> {
        setting(self.cwd, &self.mcp_servers)
    }
}

fn setting(cwd: PathBuf, servers: &Value) -> Result<Setting, ErrorObjectOwned> {
    if !cwd.is_absolute() {
        return Err(errors::invalid("cwd", format!("must be an absolute path, got `{}`", cwd.display())));
    }
    Ok(Setting { cwd, n_servers: servers.as_array().map_or(0, Vec::len) })
}
