//! Settings of the hub, read from the same environment variables as Python's `huggingface_hub`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const ENDPOINT: &str = "https://huggingface.co";
/// How long a machine without access to the hub waits before it falls back to the package index.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Half of what Python downloads at a time: a connection seldom has more to give.
const N_PARALLEL: usize = 4;

/// Called to sleep before another attempt.
pub(crate) type Wait = Arc<dyn Fn(Duration) + Send + Sync>;

/// The hub to use, and the credentials.
#[derive(Clone)]
pub struct HubOptions {
    /// Without a trailing slash.
    pub endpoint: String,
    pub token: Option<String>,
    pub offline: bool,
    pub connect_timeout: Duration,
    /// How many files are downloaded at a time.
    pub n_parallel: usize,
    /// Sleeps between attempts. Tests only record the time.
    pub(crate) wait: Wait,
}

impl Default for HubOptions {
    /// The public hub, without a token.
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            token: None,
            offline: false,
            connect_timeout: CONNECT_TIMEOUT,
            n_parallel: N_PARALLEL,
            wait: Arc::new(std::thread::sleep),
        }
    }
}

// Written by hand so that a token never gets into a log.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("has_token", &self.token.is_some())
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl HubOptions {
    /// Reads `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_OFFLINE` and `TRANSFORMERS_OFFLINE` through
    /// `variable`.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| {
            variable(name)
                .and_then(|it| it.into_string().ok())
                .map(|it| it.trim().to_owned())
                .filter(|it| !it.is_empty())
        };
        let is_on = |name: &str| {
            text(name)
                .is_some_and(|it| ["1", "on", "yes", "true"].contains(&it.to_ascii_lowercase().as_str()))
        };
        let token_file = path(&variable, "HF_TOKEN_PATH").or_else(|| Some(home(&variable)?.join("token")));
        let stored_token = || {
            let token = std::fs::read_to_string(token_file?).ok()?;
            Some(token.trim().to_owned())
                .filter(|it| !it.is_empty() && !is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        };
        Self {
            endpoint: text("HF_ENDPOINT")
                .map_or(ENDPOINT.to_owned(), |it| it.trim_end_matches('/').to_owned()),
            token: text("HF_TOKEN").or_else(stored_token),
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            ..Self::default()
        }
    }
}

/// The folder of the cache that is shared with Python, by `HF_HUB_CACHE`, its older name and `HF_HOME`; `None` if not
/// even `HOME` is set.
pub(crate) fn cache_folder(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = path(variable, "HF_HUB_CACHE").or_else(|| path(variable, "HUGGINGFACE_HUB_CACHE"));
    named.or_else(|| Some(home(variable)?.join("hub")))
}

/// `HF_HOME`, or what Python takes without it.
fn home(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    path(variable, "HF_HOME")
        .or_else(|| Some(path(variable, "XDG_CACHE_HOME")?.join("huggingface")))
        .or_else(|| Some(path(variable, "HOME")?.join(".cache/huggingface")))
}

/// The path in a variable, with `~` for the user's home.
fn path(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    let is_set = |it: &OsString| !it.is_empty();
    let path = variable(name).filter(is_set).map(PathBuf::from)?;
    Some(match (path.strip_prefix("~"), variable("HOME").filter(is_set)) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path,
    })
}
