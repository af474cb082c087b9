//! Calls after `[TOOL_CALLS]`: a JSON list, or `f[ARGS]{...}` with the id after `[CALL_ID]`, once or several times.

use serde_json::Value;

use super::json;
use crate::turn::call::{Call, Parsed};
use crate::turn::scan;

const ARGS: &str = "[ARGS]";
const CALL_ID: &str = "[CALL_ID]";

pub(super) fn parsed(text: &str) -> Parsed {
    let text = text.trim();
    if text.starts_with(['[', '{']) {
        return json::parsed(text);
    }
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let n_name = scan::n_name(rest);
        let (name, after) = rest.split_at(n_name);
        if name.is_empty() {
            return Parsed::Bad("a call must begin with the name of a function".to_owned());
        }
        let mut after = after.trim_start();
        let mut id = None;
        if let Some(with_id) = after.strip_prefix(CALL_ID) {
            let n_id = scan::n_name(with_id);
            id = (n_id > 0).then(|| with_id[..n_id].to_owned());
            after = with_id[n_id..].trim_start();
        }
        // The older models of this form leave the mark out.
        let after = after.strip_prefix(ARGS).unwrap_or(after);
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
        let arguments = match values.next() {
            Some(Ok(Value::Object(arguments))) => arguments,
            Some(Ok(_)) => return Parsed::Bad("the arguments must be an object".to_owned()),
            Some(Err(err)) if !err.is_eof() => {
                return Parsed::Bad(format!("the arguments must be JSON: {err}"));
            }
            Some(Err(_)) | None => return Parsed::Incomplete("the arguments are not complete".to_owned()),
        };
        found.push(Call { id, name: name.to_owned(), arguments });
        rest = after[values.byte_offset()..].trim_start();
    }
    Parsed::of(Ok(found))
}
