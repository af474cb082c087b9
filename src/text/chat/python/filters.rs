//! Filters of Jinja2 that minijinja lacks, or in which it formats values differently.

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::arguments::{argument, invalid};
use super::escape::escaped;
use super::{format, methods, paid_str, str, urlize};
use crate::chat::limits::{check_bytes, check_value};

/// Adds the filters to `environment`, and replaces or removes those of minijinja that differ.
pub(in crate::chat) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("lists_map", minijinja::filters::map);
    environment.add_filter("lists_select", minijinja::filters::select);
    environment.add_filter("lists_reject", minijinja::filters::reject);
    environment.add_filter("lists_selectattr", minijinja::filters::selectattr);
    environment.add_filter("lists_rejectattr", minijinja::filters::rejectattr);
    for name in ["map", "select", "reject", "selectattr", "rejectattr"] {
        environment.add_filter(name, move |state: &mut State, args: Rest<Value>, kwargs: Kwargs| {
            generated(&applied(state, &format!("lists_{name}"), &args, &kwargs)?)
        });
    }
    add_comparing_to(environment);
    // Jinja2 has no such filter, and that of minijinja keeps everything it was made from in memory.
    environment.remove_filter("chain");
    environment.add_filter("string", paid_str);
    environment.add_filter("pprint", |state: &State, value: &Value| {
        check_value(state, value).map(|_| minijinja::filters::pprint(value))
    });
    environment.add_filter("format", format_filter);
    environment.add_filter("unlimited_indent", minijinja::filters::indent);
    environment.add_filter("indent", indent);
    environment.add_filter("join", join);
    environment.add_filter("center", |state: &State, value: &Value, width: Option<usize>| {
        let width = width.unwrap_or(80);
        format::check_width(width)?;
        state.consume_fuel(width as u64 / 16)?;
        Ok::<_, Error>(methods::padded(&paid_str(state, value)?, "center", width, " "))
    });
    environment.add_filter("wordcount", |state: &State, value: &Value| {
        paid_str(state, value).map(|it| n_words(&it))
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordwrap", wordwrap);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("urlize", urlize::urlize);
    environment.add_filter("random", random);
    environment.add_filter("forceescape", |state: &State, value: &Value| {
        paid_str(state, value).map(|it| escaped(&it))
    });
    environment.add_filter("xmlattr", xmlattr);
    environment.add_filter("striptags", |state: &State, value: &Value| {
        paid_str(state, value).map(minijinja_contrib::filters::striptags)
    });
    environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
}

/// The result of another filter, called with the same arguments.
fn applied(state: &mut State, name: &str, args: &[Value], kwargs: &Kwargs) -> Result<Value, Error> {
    let named = kwargs.args().next().is_some().then(|| Value::from(kwargs.clone()));
    let args: Vec<Value> = args.iter().cloned().chain(named).collect();
    state.apply_filter(name, &args)
}

/// A list in the form of a Python generator: it can be iterated over, but has no length, index or JSON.
fn generated(list: &Value) -> Result<Value, Error> {
    let items: Vec<Value> = list.try_iter()?.collect();
    Ok(Value::make_iterable(move || items.clone().into_iter()))
}

/// The cost of an item in `join` in addition to its text, in bytes of text.
const ITEM_BYTES: usize = 16;

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
fn join(state: &State, value: &Value, rest: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let separator = argument(&rest, &kwargs, 0, "d")?.map(|it| str(&it)).unwrap_or_default();
    let attribute = argument(&rest, &kwargs, 1, "attribute")?;
    kwargs.assert_all_used()?;
    if value.is_none() {
        return Err(invalid("`join` cannot iterate over none"));
    }
    let mut joined = String::new();
    let mut n_unpaid = 0;
    for (idx, item) in value.try_iter()?.enumerate() {
        let item = match attribute.as_ref().map(|it| (it, it.as_str())) {
            None => item,
            Some((_, Some(path))) => path.split('.').try_fold(item, |it, name| {
                it.get_item(&name.parse::<usize>().map_or_else(|_| Value::from(name), Value::from))
            })?,
            Some((key, None)) => item.get_item(key)?,
        };
        if idx > 0 {
            joined.push_str(&separator);
        }
        check_value(state, &item)?;
        let text = str(&item);
        n_unpaid += ITEM_BYTES + separator.len() + text.len();
        state.consume_fuel(n_unpaid as u64 / 64)?;
        n_unpaid %= 64;
        joined.push_str(&text);
    }
    Ok(joined)
}

fn n_words(text: &str) -> usize {
    text.split(|it: char| !(it.is_alphanumeric() || it == '_')).filter(|it| !it.is_empty()).count()
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
fn truncate(state: &State, value: &Value, rest: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let text = paid_str(state, value)?;
    let number = |it: Option<Value>, default: usize| {
        it.map_or(Ok(default), |it| {
            it.as_usize().ok_or_else(|| invalid("`truncate` counts in whole numbers"))
        })
    };
    let length = number(argument(&rest, &kwargs, 0, "length")?, 255)?;
    let cuts_words = argument(&rest, &kwargs, 1, "killwords")?.is_some_and(|it| it.is_true());
    let end = argument(&rest, &kwargs, 2, "end")?.map_or_else(|| "...".to_owned(), |it| str(&it));
    let leeway = number(argument(&rest, &kwargs, 3, "leeway")?, 5)?;
    kwargs.assert_all_used()?;
    let n_end = end.chars().count();
    if length < n_end {
        return Err(invalid(format!("expected length >= {n_end}, got {length}")));
    }
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept: String = text.chars().take(length - n_end).collect();
    let kept =
        if cuts_words { kept.as_str() } else { kept.rsplit_once(' ').map_or(kept.as_str(), |(it, _)| it) };
    Ok(format!("{kept}{end}"))
}

/// Wraps each line as Python's `textwrap` does.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
fn wordwrap(state: &State, value: &Value, rest: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let width = argument(&rest, &kwargs, 0, "width")?;
    let width = width.map_or(Some(79), |it| it.as_usize()).filter(|it| *it > 0);
    let width = width.ok_or_else(|| invalid("`width` must be a number above 0"))?;
    let breaks = argument(&rest, &kwargs, 1, "break_long_words")?.is_none_or(|it| it.is_true());
    let end = argument(&rest, &kwargs, 2, "wrapstring")?.map_or_else(|| "\n".to_owned(), |it| str(&it));
    // This implementation never breaks at hyphens.
    let _ = argument(&rest, &kwargs, 3, "break_on_hyphens")?;
    kwargs.assert_all_used()?;
    let text = paid_str(state, value)?;
    let mut wrapped = String::with_capacity(text.len());
    let end_line = |wrapped: &mut String| {
        wrapped.push_str(&end);
        check_bytes(state, ITEM_BYTES + end.len())
    };
    for (idx, line) in text.lines().enumerate() {
        if idx > 0 {
            end_line(&mut wrapped)?;
        }
        // The number of characters in the line so far.
        let mut n_current = 0;
        for word in line.split(' ') {
            let mut n_chars = word.chars().count();
            if n_current > 0 && n_current + 1 + n_chars <= width {
                wrapped.push(' ');
                n_current += 1;
            } else if n_current > 0 {
                end_line(&mut wrapped)?;
                n_current = 0;
            }
            let mut rest = word.chars();
            while breaks && n_current == 0 && n_chars > width {
                wrapped.extend(rest.by_ref().take(width));
                end_line(&mut wrapped)?;
                n_chars -= width;
            }
            wrapped.push_str(rest.as_str());
            n_current += n_chars;
        }
    }
    Ok(wrapped)
}

/// The filters that compare items with each other. Each item may be large, so all of them are paid for in fuel first.
fn add_comparing_to(environment: &mut Environment<'_>) {
    environment.add_filter("compared_sort", minijinja::filters::sort);
    environment.add_filter("compared_unique", minijinja::filters::unique);
    environment.add_filter("compared_dictsort", minijinja::filters::dictsort);
    environment.add_filter("compared_groupby", minijinja::filters::groupby);
    environment.add_filter("compared_min", minijinja::filters::min);
    environment.add_filter("compared_max", minijinja::filters::max);
    for name in ["sort", "unique", "dictsort", "groupby", "min", "max"] {
        environment.add_filter(name, move |state: &mut State, args: Rest<Value>, kwargs: Kwargs| {
            args.first().map(|it| check_value(state, it)).transpose()?;
            applied(state, &format!("compared_{name}"), &args, &kwargs)
        });
    }
}

/// The `%` operator, with the arguments as its values.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
fn format_filter(
    state: &State,
    template: &Value,
    rest: Rest<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let has_names = kwargs.args().next().is_some();
    if has_names && !rest.is_empty() {
        return Err(invalid("`format` takes positional arguments or named ones, not both"));
    }
    let values = if has_names { Value::from(kwargs) } else { Value::from(Tuple::from(rest.to_vec())) };
    check_value(state, &values)?;
    format::printf(state, &paid_str(state, template)?, &values)
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
fn indent(state: &mut State, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let [value, rest @ ..] = args.as_slice() else { return Err(invalid("`indent` needs a text")) };
    let width = argument(&Rest(rest.to_vec()), &kwargs, 0, "width")?;
    let n_columns = width.and_then(|it| it.as_usize()).unwrap_or(4);
    format::check_width(n_columns)?;
    let n_lines = value.as_str().map_or(0, |it| it.matches('\n').count()) + 1;
    check_bytes(state, n_lines.saturating_mul(n_columns))?;
    check_value(state, value)?;
    applied(state, "unlimited_indent", &args, &kwargs)
}

fn urlencode(state: &State, value: &Value) -> Result<String, Error> {
    check_value(state, value)?;
    let quoted = |text: &str, is_path: bool| {
        let mut written = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                    written.push(byte.into());
                }
                b'/' if is_path => written.push('/'),
                b' ' if !is_path => written.push('+'),
                _ => {
                    // Writing to a string does not fail.
                    let _ = write!(written, "%{byte:02X}");
                }
            }
        }
        written
    };
    let pair =
        |key: &Value, value: &Value| format!("{}={}", quoted(&str(key), false), quoted(&str(value), false));
    match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter()?;
            let pairs: Result<Vec<_>, Error> =
                keys.map(|key| Ok(pair(&key, &value.get_item(&key)?))).collect();
            Ok(pairs?.join("&"))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let part = |item: &Value, idx: usize| item.get_item_by_index(idx);
            let pairs: Result<Vec<_>, Error> =
                value.try_iter()?.map(|item| Ok(pair(&part(&item, 0)?, &part(&item, 1)?))).collect();
            Ok(pairs?.join("&"))
        }
        _ => Ok(quoted(&str(value), true)),
    }
}

fn random(state: &State, value: &Value) -> Result<Value, Error> {
    state.consume_fuel(value.len().unwrap_or(0) as u64 / 16)?;
    let items: Vec<Value> = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None => value.try_iter()?.collect(),
    };
    let drawn = usize::try_from(RandomState::new().hash_one(items.len()) >> 1).unwrap_or(0);
    Ok(items.get(drawn % items.len().max(1)).cloned().unwrap_or_default())
}

fn xmlattr(state: &State, value: &Value, autospace: Option<bool>) -> Result<String, Error> {
    check_value(state, value)?;
    let mut written = String::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        let key = str(&key);
        if key.contains(|it: char| it.is_whitespace() || "/>=".contains(it)) {
            return Err(invalid(format!("invalid character in attribute name: {key:?}")));
        }
        if !item.is_none() && !item.is_undefined() {
            let space = if written.is_empty() && !autospace.unwrap_or(true) { "" } else { " " };
            // Writing to a string does not fail.
            let _ = write!(written, "{space}{}=\"{}\"", escaped(&key), escaped(&str(&item)));
        }
    }
    Ok(written)
}
