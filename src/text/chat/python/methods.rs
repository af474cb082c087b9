//! Methods of Python's strings, lists, dictionaries and numbers that templates may call: [`call`].
//!
//! Methods that change a list or dictionary are missing, as in transformers' sandbox. Methods that work the same in
//! minijinja-contrib are left to it.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::arguments::invalid;
use super::numbers::number;
use super::{format, str, translate};
use crate::chat::compile;
use crate::chat::limits::{check_items, check_value};

/// Calls a method. minijinja invokes this for every method it does not know, which includes all of these.
pub(in crate::chat) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let known = match value.kind() {
        ValueKind::String => of_string(state, value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq => of_list(state, value, method, args)?,
        ValueKind::Map if method == "copy" => Some(value.clone()),
        ValueKind::Number if method == "is_integer" => {
            Some(Value::from(number(value).is_some_and(|it| it.fract() == 0.0)))
        }
        _ => None,
    };
    match known {
        Some(value) => Ok(value),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn of_list(state: &State, list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(match method {
        "copy" => Some(list.clone()),
        "index" => {
            let (item,): (&Value,) = from_args(args)?;
            check_value(state, list)?;
            let at = list.try_iter()?.position(|it| it == *item);
            Some(Value::from(at.ok_or_else(|| invalid("the item of `index` is not in the list"))?))
        }
        "count" => {
            check_value(state, list)?;
            None
        }
        _ => None,
    })
}

/// Whether a character is white space, at which Python's strings are stripped and split.
fn is_space(it: char) -> bool {
    it.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&it)
}

#[expect(clippy::too_many_lines, reason = "one arm for each method")]
fn of_string(state: &mut State, text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let none = || from_args::<()>(args);
    let one = || from_args::<(&str,)>(args).map(|(it,)| it);
    let all = |is: fn(char) -> bool| -> Result<Option<Value>, Error> {
        none()?;
        Ok(Some(Value::from(!text.is_empty() && text.chars().all(is))))
    };
    let value = match method {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let is_cut = |it: char| chars.map_or_else(|| is_space(it), |chars| chars.contains(it));
            let cut = if method == "rstrip" { text } else { text.trim_start_matches(is_cut) };
            Value::from(if method == "lstrip" { cut } else { cut.trim_end_matches(is_cut) })
        }
        "split" | "rsplit" => {
            let (separator, most, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = separator.or(kwargs.get("sep")?).filter(|it| !it.is_none());
            let most = most.or(kwargs.get("maxsplit")?).unwrap_or(-1);
            kwargs.assert_all_used()?;
            let separator = separator
                .map(|it| it.as_str().map(str::to_owned).ok_or_else(|| invalid("`sep` must be a string")))
                .transpose()?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let n_cuts = match separator.as_deref() {
                Some("") => 0,
                Some(separator) => text.matches(separator).count(),
                None => text.matches(is_space).count(),
            };
            check_items(state, n_cuts.min(most))?;
            Value::from(split(text, separator.as_deref(), most, method == "rsplit")?)
        }
        "splitlines" => {
            let (keeps, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
            let keeps = keeps.or(kwargs.get("keepends")?).unwrap_or(false);
            kwargs.assert_all_used()?;
            check_items(state, text.matches(is_line_end).count())?;
            Value::from(lines(text, keeps))
        }
        "partition" | "rpartition" => {
            let separator = one()?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            let cut =
                if method == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
            let parts = match (cut, method) {
                (Some((before, after)), _) => [before, separator, after],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            Value::from(minijinja::value::Tuple::from(parts.map(Value::from).to_vec()))
        }
        "removeprefix" => Value::from(text.strip_prefix(one()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(one()?).unwrap_or(text)),
        "index" | "rindex" => {
            let what = one()?;
            let at = if method == "index" { text.find(what) } else { text.rfind(what) };
            let at = at.ok_or_else(|| invalid("substring not found"))?;
            Value::from(text[..at].chars().count())
        }
        "center" | "ljust" | "rjust" | "zfill" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            format::check_width(width)?;
            state.consume_fuel(width as u64 / 16)?;
            let fill = fill.unwrap_or(if method == "zfill" { "0" } else { " " });
            if fill.chars().count() != 1 {
                return Err(invalid("the fill character must be exactly one character long"));
            }
            Value::from(padded(text, method, width, fill))
        }
        "maketrans" => translate::table(state, args)?,
        "translate" => {
            let (table,): (&Value,) = from_args(args)?;
            Value::from(translate::translated(text, table)?)
        }
        "format" => {
            format::check_format(state, text, args)?;
            return Ok(None);
        }
        "format_map" => {
            let (map,): (&Value,) = from_args(args)?;
            format::check_format(state, text, args)?;
            let mut named = Vec::new();
            for name in map.try_iter()? {
                named.push((str(&name), map.get_item(&name)?));
            }
            let named = Value::from(Kwargs::from_iter(named));
            return pycompat::unknown_method_callback(state, &Value::from(text), "format", &[named])
                .map(Some);
        }
        compile::BYTES_METHOD => {
            let reason = format!("no method `{method}`, since a prompt cannot hold bytes");
            // The template is at fault, not the conversation.
            return Err(Error::new(ErrorKind::UnknownFunction, reason));
        }
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "swapcase" => {
            let swap = |it: char| -> String {
                if it.is_uppercase() { it.to_lowercase().collect() } else { it.to_uppercase().collect() }
            };
            Value::from(text.chars().map(swap).collect::<String>())
        }
        "title" => Value::from(title(text)),
        "expandtabs" => {
            let (width,): (Option<usize>,) = from_args(args)?;
            let width = width.unwrap_or(8).min(1000);
            state.consume_fuel((text.matches('\t').count() * width) as u64 / 64)?;
            Value::from(with_spaces_for_tabs(text, width))
        }
        "isdecimal" | "isdigit" => return all(|it| it.is_ascii_digit() || it.is_numeric() && is_digit(it)),
        "isprintable" => Value::from(!text.chars().any(|it| it.is_control() || is_space(it) && it != ' ')),
        "isidentifier" => {
            let mut chars = text.chars();
            let is_start = |it: char| it == '_' || it.is_alphabetic();
            Value::from(
                chars.next().is_some_and(is_start) && chars.all(|it| is_start(it) || it.is_alphanumeric()),
            )
        }
        "istitle" => Value::from(text.chars().any(char::is_alphabetic) && title(text) == text),
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            let mut joined = String::new();
            for (idx, item) in items.try_iter()?.enumerate() {
                let Some(item) = item.as_str() else {
                    let kind = item.kind();
                    return Err(invalid(format!("`join` wants strings, and item {idx} is {kind}")));
                };
                state.consume_fuel((text.len() + item.len()) as u64 / 64)?;
                if idx > 0 {
                    joined.push_str(text);
                }
                joined.push_str(item);
            }
            Value::from(joined)
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Whether a character is a decimal digit. Unlike in Python, digits other than those of ASCII are not recognized.
fn is_digit(it: char) -> bool {
    !matches!(it, '\u{BC}'..='\u{BE}') && !it.is_alphabetic() && it.to_string().parse::<f64>().is_ok()
}

/// `str.split` and `str.rsplit`, with at most `most` cuts.
fn split(text: &str, separator: Option<&str>, most: usize, from_end: bool) -> Result<Vec<Value>, Error> {
    let n_parts = most.saturating_add(1);
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(invalid("empty separator")),
        Some(separator) if from_end => text.rsplitn(n_parts, separator).collect(),
        Some(separator) => text.splitn(n_parts, separator).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest =
                if from_end { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) };
            while !rest.is_empty() {
                let cut = if parts.len() == most {
                    None
                } else if from_end {
                    rest.rsplit_once(is_space).map(|(rest, part)| (part, rest))
                } else {
                    rest.split_once(is_space)
                };
                let Some((part, others)) = cut else {
                    // The last part keeps the white space at its far end.
                    parts.push(rest);
                    break;
                };
                parts.push(part);
                rest = if from_end {
                    others.trim_end_matches(is_space)
                } else {
                    others.trim_start_matches(is_space)
                };
            }
            parts
        }
    };
    if from_end {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Value::from).collect())
}

/// Whether `str.splitlines` splits at this character.
fn is_line_end(it: char) -> bool {
    matches!(it, '\n'..='\r' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `str.splitlines`: splits at every line ending of Unicode; `\r\n` counts as one.
fn lines(text: &str, keeps: bool) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_line_end) {
        let n_end = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(Value::from(&rest[..if keeps { at + n_end } else { at }]));
        rest = &rest[at + n_end..];
    }
    if !rest.is_empty() {
        lines.push(Value::from(rest));
    }
    lines
}

/// The text padded to `width` characters, as the method of that name (`center`, `ljust`, `rjust`, `zfill`) does it.
pub(super) fn padded(text: &str, method: &str, width: usize, fill: &str) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let (left, right) = match method {
        "ljust" => (0, missing),
        "rjust" | "zfill" => (missing, 0),
        // If the padding is odd, Python puts the extra character to the left if the width is odd too.
        _ => (missing / 2 + (missing & width & 1), missing - missing / 2 - (missing & width & 1)),
    };
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) if method == "zfill" => (&text[..1], digits),
        _ => ("", text),
    };
    format!("{sign}{}{digits}{}", fill.repeat(left), fill.repeat(right))
}

/// `str.title`: each word in lower case, except for its first letter.
fn title(text: &str) -> String {
    let mut is_inside = false;
    let mut written = String::with_capacity(text.len());
    for it in text.chars() {
        if is_inside {
            written.extend(it.to_lowercase());
        } else {
            written.extend(it.to_uppercase());
        }
        is_inside = it.is_alphabetic();
    }
    written
}

/// `str.expandtabs`.
fn with_spaces_for_tabs(text: &str, width: usize) -> String {
    let mut written = String::with_capacity(text.len());
    let mut column = 0;
    for it in text.chars() {
        match it {
            '\t' if width == 0 => {}
            '\t' => {
                let n_spaces = width - column % width;
                written.push_str(&" ".repeat(n_spaces));
                column += n_spaces;
            }
            '\n' | '\r' => {
                written.push(it);
                column = 0;
            }
            it => {
                written.push(it);
                column += 1;
            }
        }
    }
    written
}
