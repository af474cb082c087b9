//! Calls as Python: `[f(a=1, b="x"), g()]`.

use serde_json::{Map, Value};

use crate::turn::call::Call;
use crate::turn::scan::{Scan, n_name};
use crate::turn::tools::Tools;

/// Reads the calls that a text is: a list of them, or one for each line.
pub(super) fn calls(text: &str, tools: &Tools) -> Result<Vec<Call>, String> {
    let text = text.trim();
    let in_list = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let mut scan = Scan::new(in_list.unwrap_or(text));
    let mut found = Vec::new();
    loop {
        scan.skip_space();
        if scan.is_over() {
            return Ok(found);
        }
        found.push(call(&mut scan, tools)?);
        scan.skip_space();
        if !scan.take(",") && !scan.take(";") && in_list.is_some() && !scan.is_over() {
            return Err(format!("a comma must be between two calls, got {}", scan.next_char()));
        }
    }
}

/// Whether a text may become calls.
pub(super) fn begins(text: &str) -> Option<bool> {
    let Some(rest) = text.strip_prefix('[').map(str::trim_start) else {
        return if text.is_empty() { None } else { Some(false) };
    };
    let name = &rest[..n_name(rest)];
    rest[name.len()..].chars().next().map(|it| it == '(' && !name.is_empty())
}

fn call(scan: &mut Scan<'_>, tools: &Tools) -> Result<Call, String> {
    let name = scan.name().ok_or("a call must begin with the name of a function")?.to_owned();
    if !scan.take("(") {
        return Err(format!("`{name}` must be followed by its arguments in parentheses"));
    }
    let mut arguments = Map::new();
    loop {
        scan.skip_space();
        if scan.take(")") {
            return Ok(Call { id: None, name, arguments });
        }
        let before = scan.clone();
        let key = scan.name().map(str::to_owned);
        scan.skip_space();
        let key = match key {
            Some(key) if scan.take("=") => key,
            // By position: the schema knows the names.
            _ => {
                *scan = before;
                let names = tools.parameters(&name).and_then(|it| it.get("properties")?.as_object());
                let key = names.and_then(|it| it.keys().nth(arguments.len()));
                key.ok_or_else(|| format!("the arguments of `{name}` must have names"))?.clone()
            }
        };
        scan.skip_space();
        let value = value(scan, 0)?;
        arguments.insert(key, value);
        scan.skip_space();
        if !scan.take(",") && !scan.starts_with(")") {
            return Err(format!("a comma must be between two arguments, got {}", scan.next_char()));
        }
    }
}

/// Values nest no deeper than this.
const MAX_DEPTH: usize = 64;

/// A literal of Python or of JSON.
fn value(scan: &mut Scan<'_>, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("the arguments are nested too deeply".to_owned());
    }
    scan.skip_space();
    if let Some(text) = scan.string()? {
        return Ok(Value::String(text));
    }
    for (open, close) in [("[", "]"), ("(", ")")] {
        if scan.take(open) {
            let mut items = Vec::new();
            loop {
                scan.skip_space();
                if scan.take(close) {
                    return Ok(Value::Array(items));
                }
                items.push(value(scan, depth + 1)?);
                scan.skip_space();
                if !scan.take(",") && !scan.starts_with(close) {
                    return Err("a comma must be between two items".to_owned());
                }
            }
        }
    }
    if scan.take("{") {
        let mut fields = Map::new();
        loop {
            scan.skip_space();
            if scan.take("}") {
                return Ok(Value::Object(fields));
            }
            let key = scan.string()?.ok_or("the key of a dictionary must be a string")?;
            scan.skip_space();
            if !scan.take(":") {
                return Err(format!("a colon must follow the key {key:?}"));
            }
            fields.insert(key, value(scan, depth + 1)?);
            scan.skip_space();
            if !scan.take(",") && !scan.starts_with("}") {
                return Err("a comma must be between two fields".to_owned());
            }
        }
    }
    scan.literal().ok_or_else(|| format!("a value must be a literal, got {}", scan.next_char()))
}
