//! [`FrontEnd`]: what a client started, whether the model is in that process or in one that several share.

use std::env;
use std::path::{Path, PathBuf, absolute};

use serde::{Deserialize, Serialize};

use crate::calls::CallLog;

/// Names the project in which Claude Code was started.
const PROJECT_DIR: &str = "CLAUDE_PROJECT_DIR";

/// The command that a client started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    #[default]
    Serve,
    Lsp,
    Mcp,
    Acp,
}

/// What a client started, and in which surroundings. It is the same value for a process of its own and, on its way
/// through a socket, for one that is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrontEnd {
    pub(crate) service: Service,
    /// The process that the client started.
    pub(crate) pid: u32,
    /// Whether the model is loaded only when it is wanted, see [`App::want_model`](crate::app::App::want_model).
    pub(crate) is_lazy: bool,
    /// The folders that tools may use, as absolute paths. If empty, they are found out from the next two.
    pub(crate) roots: Vec<PathBuf>,
    /// The agent's project, if it names one.
    pub(crate) project: Option<PathBuf>,
    /// The folder in which the client started the process.
    pub(crate) folder: Option<PathBuf>,
    /// The file in which calls of tools are counted; `None` counts none.
    pub(crate) calls: Option<PathBuf>,
    /// The folder in which conversations with agents are kept; `None` keeps none.
    pub(crate) conversations: Option<PathBuf>,
}

impl Service {
    /// The name of the command.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Lsp => "lsp",
            Self::Mcp => "mcp",
            Self::Acp => "acp",
        }
    }
}

impl FrontEnd {
    /// This process as it was started, without what only some commands have.
    pub(crate) fn of_process(service: Service) -> Self {
        Self {
            service,
            pid: std::process::id(),
            project: env::var_os(PROJECT_DIR).map(PathBuf::from),
            folder: env::current_dir().ok(),
            ..Self::default()
        }
    }

    /// With the folders that the command line names.
    #[must_use]
    pub(crate) fn with_roots(self, roots: &[PathBuf]) -> Self {
        let whole = |it: &PathBuf| absolute(it).unwrap_or_else(|_| it.clone());
        Self { roots: roots.iter().map(whole).collect(), ..self }
    }

    pub(crate) fn call_log(&self) -> Option<CallLog> {
        self.calls.as_deref().map(Path::to_owned).map(CallLog::new)
    }
}
