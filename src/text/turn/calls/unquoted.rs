//! Calls as `call:f{a:1,b:<|"|>text<|"|>}`: keys without quotes, strings between marks. Gemma 4 and FunctionGemma.

use serde_json::{Map, Value};

use crate::turn::call::Call;
use crate::turn::scan::Scan;

/// Values nest no deeper than this.
const MAX_DEPTH: usize = 64;

/// Reads all calls of a text, whose strings are between two of these marks.
pub(super) fn calls(text: &str, mark: &str) -> Result<Vec<Call>, String> {
    let mut scan = Scan::new(text);
    let mut found = Vec::new();
    loop {
        scan.skip_space();
        if scan.is_over() {
            return Ok(found);
        }
        if !scan.take("call:") {
            return Err(format!("a call must begin with `call:`, got {}", scan.next_char()));
        }
        let name = scan.name().ok_or("`call:` must be followed by the name of a function")?.to_owned();
        scan.skip_space();
        if !scan.starts_with("{") {
            return Err(format!("`{name}` must be followed by its arguments in braces"));
        }
        let Value::Object(arguments) = value(&mut scan, mark, 0)? else {
            return Err("no arguments".to_owned());
        };
        found.push(Call { id: None, name, arguments });
        scan.skip_space();
        scan.take(",");
    }
}

fn value(scan: &mut Scan<'_>, mark: &str, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("the arguments are nested too deeply".to_owned());
    }
    scan.skip_space();
    if scan.take(mark) {
        let text = scan.until(mark).ok_or_else(|| format!("a string lacks `{mark}` at its end"))?;
        return Ok(Value::String(text.to_owned()));
    }
    if scan.take("[") {
        let mut items = Vec::new();
        loop {
            scan.skip_space();
            if scan.take("]") {
                return Ok(Value::Array(items));
            }
            items.push(value(scan, mark, depth + 1)?);
            scan.skip_space();
            if !scan.take(",") && !scan.starts_with("]") {
                return Err("a list lacks `]`".to_owned());
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
            let key = key(scan, mark)?;
            fields.insert(key, value(scan, mark, depth + 1)?);
            scan.skip_space();
            if !scan.take(",") && !scan.starts_with("}") {
                return Err("the arguments lack `}`".to_owned());
            }
        }
    }
    if let Some(text) = scan.string()? {
        return Ok(Value::String(text));
    }
    let before = scan.clone();
    if let Some(literal) = scan.literal()
        && (scan.is_over() || [",", "}", "]"].iter().any(|it| scan.starts_with(it)))
    {
        return Ok(literal);
    }
    // A word without marks, such as a value of an enumeration.
    *scan = before;
    let word = scan.until_any(&[',', '}', ']']).trim().to_owned();
    if word.is_empty() { Err("a value is missing".to_owned()) } else { Ok(Value::String(word)) }
}

fn key(scan: &mut Scan<'_>, mark: &str) -> Result<String, String> {
    let key = if scan.take(mark) {
        scan.until(mark).map(str::to_owned)
    } else if let Some(text) = scan.string()? {
        Some(text)
    } else {
        Some(scan.until_any(&[':', '}', ',']).trim().to_owned())
    };
    scan.skip_space();
    match key.filter(|it| !it.is_empty()) {
        Some(key) if scan.take(":") => Ok(key),
        _ => Err("an argument must have a name and a colon".to_owned()),
    }
}
