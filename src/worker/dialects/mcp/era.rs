//! The two kinds of clients, told apart by each request: [`Era`]; and what a request says about itself: [`Meta`].
//!
//! Since revision 2026-07-28 each request has the version and the client's capabilities in its `_meta`, and nothing is
//! remembered from one request to the next. Clients of older revisions begin with `initialize`. Both may use the same
//! connection, since some first ask for what the server speaks and then fall back.

use runabout_rpc::{ErrorObject, ErrorObjectOwned, Params, params};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The revisions whose requests describe their client.
pub(super) const MODERN: &[&str] = &["2026-07-28"];
/// The revisions that begin with `initialize`, the latest first.
pub(super) const LEGACY: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The extension for calls that are answered with a task.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";

const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;

/// In milliseconds, how long a client may keep what does not change while the process runs.
const TTL_MS: u32 = 3_600_000;

/// Which of the two kinds of revisions a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Legacy,
    Modern,
}

/// What a request says about itself in `_meta`.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) era: Era,
    /// A string or a number as the client wrote it; absent if the client does not want to hear of progress.
    pub(super) progress_token: Option<Box<RawValue>>,
    /// Whether a call may be answered with a task.
    pub(super) takes_tasks: bool,
}

#[derive(Deserialize)]
struct WithMeta {
    #[serde(rename = "_meta")]
    meta: Option<Members>,
}

#[derive(Deserialize)]
struct Members {
    #[serde(rename = "progressToken")]
    progress_token: Option<Box<RawValue>>,
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<Value>,
}

impl Meta {
    /// Reads the `_meta` of a request's params. Fails if it is malformed, or names a revision that is not supported.
    pub(super) fn of(params: &Params<'_>) -> Result<Self, ErrorObjectOwned> {
        let WithMeta { meta } = params::parse_lenient(params)?;
        let Some(Members { progress_token, version, capabilities }) = meta else {
            return Ok(Self { era: Era::Legacy, progress_token: None, takes_tasks: false });
        };
        let era = match version {
            // As long as the handshake decides the version, it need not be in each request.
            None => Era::Legacy,
            Some(version) if LEGACY.contains(&version.as_str()) => Era::Legacy,
            Some(version) if MODERN.contains(&version.as_str()) => {
                if !capabilities.as_ref().is_some_and(Value::is_object) {
                    let field = "_meta.io.modelcontextprotocol/clientCapabilities";
                    return Err(params::invalid(field, format!("`{field}` is missing")));
                }
                Era::Modern
            }
            Some(version) => return Err(unsupported(&version)),
        };
        let extensions = capabilities.as_ref().map(|it| &it["extensions"]);
        let takes_tasks = era == Era::Modern && extensions.is_some_and(|it| it[TASKS].is_object());
        let is_token = |it: &RawValue| {
            it.get().starts_with(['"', '-']) || it.get().starts_with(|c: char| c.is_ascii_digit())
        };
        Ok(Self { era, progress_token: progress_token.filter(|it| is_token(it)), takes_tasks })
    }
}

impl Era {
    /// A result in the form of this era.
    pub(super) fn result(self, mut result: Value) -> Value {
        if self == Self::Modern {
            result["resultType"] = "complete".into();
            result["_meta"]["io.modelcontextprotocol/serverInfo"] = server_info();
        }
        result
    }

    /// A task instead of a result.
    pub(super) fn task(self, task: Value) -> Value {
        let mut result = self.result(task);
        result["resultType"] = "task".into();
        result
    }

    /// A result that stays the same while the process runs.
    pub(super) fn lasting_result(self, mut result: Value) -> Value {
        if self == Self::Modern {
            result["ttlMs"] = TTL_MS.into();
            result["cacheScope"] = "public".into();
        }
        self.result(result)
    }
}

/// Whether params have a `_meta` with a version of the protocol.
pub(super) fn describes_its_client(params: &Params<'_>) -> bool {
    #[derive(Deserialize)]
    struct Described {
        #[serde(rename = "_meta")]
        _meta: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
        _version: IgnoredAny,
    }
    params::parse_lenient::<Described>(params).is_ok()
}

pub(super) fn server_info() -> Value {
    json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")})
}

fn unsupported(requested: &str) -> ErrorObjectOwned {
    const MAX_CHARS: usize = 60;
    let requested: String = requested.chars().take(MAX_CHARS).collect();
    let supported = [MODERN, LEGACY].concat();
    let message = format!("protocol version `{requested}` is not supported");
    ErrorObject::owned(
        UNSUPPORTED_PROTOCOL_VERSION,
        message,
        Some(json!({"supported": supported, "requested": requested})),
    )
}
