//! Calls as `<function=f><parameter=a>1</parameter></function>`. A value's type follows from the tool's schema.

use serde_json::Map;

use crate::turn::call::Call;
use crate::turn::tools::Tools;
use crate::turn::typed::typed;

pub(super) const FUNCTION: &str = "<function=";
const END_OF_FUNCTION: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const END_OF_PARAMETER: &str = "</parameter>";

/// Reads all calls of a text.
pub(super) fn calls(text: &str, tools: &Tools) -> Result<Vec<Call>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(FUNCTION) {
        let (name, body) = after.split_once('>').ok_or("the name of the function does not end")?;
        let (arguments, after) = arguments(name.trim(), body, tools)?;
        found.push(Call { id: None, name: name.trim().to_owned(), arguments });
        rest = after;
    }
    Ok(found)
}

/// Reads parameters up to the end of the function. Returns what follows that.
fn arguments<'a>(
    name: &str,
    body: &'a str,
    tools: &Tools,
) -> Result<(Map<String, serde_json::Value>, &'a str), String> {
    let mut arguments = Map::new();
    let mut rest = body;
    loop {
        let next = rest.find(PARAMETER);
        let end = rest.find(END_OF_FUNCTION);
        let Some(at) = next.filter(|at| end.is_none_or(|end| *at < end)) else {
            let after = end.map(|it| &rest[it + END_OF_FUNCTION.len()..]);
            return after
                .map(|it| (arguments, it))
                .ok_or_else(|| format!("the call lacks `{END_OF_FUNCTION}`"));
        };
        let after = &rest[at + PARAMETER.len()..];
        let (key, after) = after.split_once('>').ok_or("the name of a parameter does not end")?;
        let key = key.trim();
        // A model may forget the end of a value, but not the beginning of the next one.
        let n_value = [format!("\n{PARAMETER}"), END_OF_PARAMETER.to_owned()]
            .iter()
            .filter_map(|it| after.find(it))
            .min()
            .ok_or_else(|| format!("the parameter `{key}` lacks `{END_OF_PARAMETER}`"))?;
        let (value, after) = after.split_at(n_value);
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        arguments.insert(key.to_owned(), typed(value, tools.parameters(name), key));
        rest = after.strip_prefix(END_OF_PARAMETER).unwrap_or(after);
    }
}
