//! Where the program keeps what it learns while it is used, such as conversations.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The file in which calls of tools are counted; `None` if the environment names no home.
pub(crate) fn calls() -> Option<PathBuf> {
    Some(folder(|it| env::var_os(it))?.join("calls.jsonl"))
}

/// The folder of the conversations with agents; `None` if the environment names no home.
pub(crate) fn conversations() -> Option<PathBuf> {
    Some(folder(|it| env::var_os(it))?.join("conversations"))
}

/// The file of what was entered in conversations at a terminal; `None` if the environment names no home.
pub(crate) fn chat_history() -> Option<PathBuf> {
    Some(folder(|it| env::var_os(it))?.join("chat_history"))
}

/// `$RUNABOUT_HOME/state`, or else the place that the system has for this.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| variable(name).map(PathBuf::from).filter(|it| it.is_absolute());
    if let Some(home) = path("RUNABOUT_HOME") {
        return Some(home.join("state"));
    }
    if cfg!(target_os = "macos") {
        return Some(path("HOME")?.join("Library/Application Support/runabout/state"));
    }
    let state = path("XDG_STATE_HOME").or_else(|| Some(path("HOME")?.join(".local/state")));
    Some(state?.join("runabout"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        folder(|name| variables.iter().find(|it| it.0 == name).map(|it| it.1.into()))
    }

    #[test]
    fn the_state_is_where_the_person_or_else_the_system_wants_it() {
        let home = ("HOME", "/people/me");
        assert_eq!(folder_with(&[home, ("RUNABOUT_HOME", "/r")]), Some("/r/state".into()));
        assert_eq!(folder_with(&[]), None);
        let usual = if cfg!(target_os = "macos") {
            "/people/me/Library/Application Support/runabout/state"
        } else {
            assert_eq!(folder_with(&[home, ("XDG_STATE_HOME", "/s")]), Some("/s/runabout".into()));
            "/people/me/.local/state/runabout"
        };
        assert_eq!(folder_with(&[home]), Some(usual.into()));
        assert_eq!(folder_with(&[home, ("XDG_STATE_HOME", "s")]), Some(usual.into()), "as the standard says");
    }
}
