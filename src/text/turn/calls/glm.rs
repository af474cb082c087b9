//! Calls as `f<arg_key>a</arg_key><arg_value>1</arg_value>`. A value's type follows from the tool's schema.

use serde_json::Map;

use crate::turn::call::Call;
use crate::turn::tools::Tools;
use crate::turn::typed::typed;

/// Reads the call that a text is.
pub(super) fn call(text: &str, tools: &Tools) -> Result<Call, String> {
    // Some of these models fall back to JSON.
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
        && let Some(call) = super::json::calls(value)?.pop()
    {
        return Ok(call);
    }
    let (name, mut rest) = match text.find("<arg_key>") {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err("a call must begin with the name of a function".to_owned());
    }
    let mut arguments = Map::new();
    while let Some(after) = rest.trim_start().strip_prefix("<arg_key>") {
        let (key, after) =
            after.split_once("</arg_key>").ok_or("a name of an argument lacks `</arg_key>`")?;
        let key = key.trim();
        let after = after
            .trim_start()
            .strip_prefix("<arg_value>")
            .ok_or_else(|| format!("the argument `{key}` has no `<arg_value>`"))?;
        let (value, after) = after
            .split_once("</arg_value>")
            .ok_or_else(|| format!("the argument `{key}` lacks `</arg_value>`"))?;
        arguments.insert(key.to_owned(), typed(value, tools.parameters(name), key));
        rest = after;
    }
    if rest.trim().is_empty() {
        Ok(Call { id: None, name: name.to_owned(), arguments })
    } else {
        Err("the call has text beside its arguments".to_owned())
    }
}
