//! What was agreed on with the client: what it can do beside what every client can.

use serde_json::{Value, json};

/// What the client can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Agreement {
    /// It reads files for us, with changes that were not saved.
    pub(super) reads_files: bool,
    /// It writes files for us, so that its open documents follow.
    pub(super) writes_files: bool,
    /// It shows notices that are not part of the conversation.
    pub(super) shows_notices: bool,
}

impl Agreement {
    /// Reads the client's capabilities. What cannot be read counts as absent, as the protocol says.
    pub(super) fn of(capabilities: &Value) -> Self {
        let has = |pointer: &str| capabilities.pointer(pointer) == Some(&json!(true));
        Self {
            reads_files: has("/fs/readTextFile"),
            writes_files: has("/fs/writeTextFile"),
            shows_notices: capabilities.pointer("/session/notices").is_some_and(Value::is_object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_announced_in_the_right_form_is_not_there() {
        let all = json!({
            "fs": {"readTextFile": true, "writeTextFile": true},
            "session": {"notices": {}},
        });
        let everything = Agreement { reads_files: true, writes_files: true, shows_notices: true };
        assert_eq!(Agreement::of(&all), everything);
        for nothing in [
            Value::Null,
            json!([]),
            json!({"fs": "yes", "session": null}),
            json!({"fs": {"readTextFile": 1, "writeTextFile": null}, "session": {"notices": null}}),
        ] {
            assert_eq!(Agreement::of(&nothing), Agreement::default(), "{nothing}");
        }
    }
}
