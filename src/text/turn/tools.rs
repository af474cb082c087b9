//! The tools that a model may call, as the reader needs them: [`Tools`].

use serde_json::{Map, Value};

/// The functions that a model may call, with the schemas of their arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tools {
    tools: Vec<Value>,
}

impl Tools {
    /// `tools` are in the form of common chat APIs, `{"type": "function", "function": {"name", "parameters"}}`.
    pub fn new(tools: &[Value]) -> Self {
        Self { tools: tools.to_vec() }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter_map(name)
    }

    pub fn has(&self, wanted: &str) -> bool {
        self.names().any(|it| it == wanted)
    }

    /// The schema of a function's arguments; `None` if it has none.
    pub(crate) fn parameters(&self, wanted: &str) -> Option<&Map<String, Value>> {
        let tool = self.tools.iter().find(|it| name(it) == Some(wanted))?;
        tool.get("function")?.get("parameters")?.as_object()
    }
}

fn name(tool: &Value) -> Option<&str> {
    tool.get("function")?.get("name")?.as_str()
}
