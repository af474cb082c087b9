//! `'...' % values`, formatted as in Python: [`printf`].

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::numbers::{integer, number};
use super::{float, repr, str};
use crate::chat::limits::{check_bytes, check_value};

/// More columns than any template pads a value to.
const MAX_WIDTH: usize = 10_000;

/// An error for more columns than [`MAX_WIDTH`].
pub(super) fn check_width(n_columns: usize) -> Result<(), Error> {
    if n_columns > MAX_WIDTH {
        return Err(invalid(format!("a conversion must have at most {MAX_WIDTH} columns")));
    }
    Ok(())
}

/// Consumes the fuel for `template.format(...)` before the text is made. Any field may be the longest of the arguments.
pub(super) fn check_format(state: &State, template: &str, args: &[Value]) -> Result<(), Error> {
    let n_bytes = args
        .iter()
        .try_fold(0_usize, |sum, it| Ok::<_, Error>(sum.saturating_add(check_value(state, it)?)))?;
    for (idx, field) in template.replace("{{", "").split('{').skip(1).enumerate() {
        let spec = field.split_once('}').map_or(field, |(it, _)| it).split_once(':').map_or("", |(_, it)| it);
        let mut n_columns = 0;
        for digits in spec.split(|it: char| !it.is_ascii_digit()).filter(|it| !it.is_empty()) {
            let size = digits.parse().unwrap_or(usize::MAX);
            check_width(size)?;
            n_columns += size;
        }
        // Typical templates have one field per argument; the arguments themselves are paid for already.
        check_bytes(state, n_columns + if idx < args.len() { 0 } else { n_bytes })?;
    }
    Ok(())
}

fn invalid(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// The flags, width and precision of a conversion such as `%-5.2f`.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are printf's flags")]
struct Spec {
    is_left: bool,
    has_sign: bool,
    has_space: bool,
    is_alternate: bool,
    has_zeros: bool,
    width: usize,
    precision: Option<usize>,
}

/// `template % values`. A tuple has several values, a dictionary has named values, anything else is one value.
pub(super) fn printf(state: &State, template: &str, values: &Value) -> Result<String, Error> {
    let is_map = values.kind() == ValueKind::Map;
    let listed: Vec<Value> =
        if values.is_tuple() { values.try_iter()?.collect() } else { vec![values.clone()] };
    let mut rest = listed.into_iter();
    let mut has_names = false;
    let mut written = String::new();
    let mut chars = template.chars().peekable();
    let ended = || invalid("a format string ends within a conversion".to_owned());
    let too_few = || invalid("not enough values for the format string".to_owned());
    while let Some(it) = chars.next() {
        if it != '%' {
            written.push(it);
            continue;
        }
        let mut named = None;
        if chars.next_if_eq(&'(').is_some() {
            let name: String = std::iter::from_fn(|| chars.next_if(|&it| it != ')')).collect();
            chars.next().ok_or_else(ended)?;
            if !is_map {
                return Err(invalid("a format string with names needs a mapping".to_owned()));
            }
            has_names = true;
            let value = values.get_item(&Value::from(name.as_str()))?;
            if value.is_undefined() {
                return Err(invalid(format!("the format string's `{name}` is missing")));
            }
            named = Some(value);
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|it| "-+ #0".contains(*it)) {
            match flag {
                '-' => spec.is_left = true,
                '+' => spec.has_sign = true,
                ' ' => spec.has_space = true,
                '#' => spec.is_alternate = true,
                _ => spec.has_zeros = true,
            }
        }
        let mut size =
            |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<usize>, Error> {
                if chars.next_if_eq(&'*').is_some() {
                    let value = rest.next().ok_or_else(too_few)?;
                    return value.as_usize().map(Some).ok_or_else(|| invalid("`*` wants an int".to_owned()));
                }
                let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
                Ok(digits.parse().ok())
            };
        spec.width = size(&mut chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(size(&mut chars)?.unwrap_or(0));
        }
        check_width(spec.width.max(spec.precision.unwrap_or(0)))?;
        while chars.next_if(|it| "hlL".contains(*it)).is_some() {}
        let conversion = chars.next().ok_or_else(ended)?;
        if conversion == '%' {
            written.push('%');
            continue;
        }
        let value = match named {
            Some(value) => value,
            None => rest.next().ok_or_else(too_few)?,
        };
        let converted = spec.convert(conversion, &value)?;
        check_bytes(state, converted.len())?;
        written.push_str(&converted);
    }
    if rest.next().is_some() && !has_names && !is_map {
        return Err(invalid("not all values are used by the format string".to_owned()));
    }
    Ok(written)
}

impl Spec {
    fn convert(&self, conversion: char, value: &Value) -> Result<String, Error> {
        let wants = |what: &str| invalid(format!("`%{conversion}` wants {what}, got {}", value.kind()));
        #[expect(clippy::cast_possible_truncation, reason = "a float's whole part, or the nearest there is")]
        let whole = || integer(value).or_else(|| number(value).map(|it| it.trunc() as i128));
        let cut = |text: String| match self.precision {
            Some(n_chars) => text.chars().take(n_chars).collect(),
            None => text,
        };
        let (sign, digits) = match conversion {
            's' => return Ok(self.padded(&cut(str(value)))),
            'r' | 'a' => return Ok(self.padded(&cut(repr(value)))),
            'c' => {
                let one = match value.as_str() {
                    Some(text) if text.chars().count() == 1 => text.to_owned(),
                    _ => integer(value)
                        .and_then(|it| char::from_u32(u32::try_from(it).ok()?))
                        .ok_or_else(|| wants("a character"))?
                        .to_string(),
                };
                return Ok(self.padded(&one));
            }
            'd' | 'i' | 'u' => {
                let whole = whole().ok_or_else(|| wants("a number"))?;
                (whole < 0, whole.unsigned_abs().to_string())
            }
            'x' | 'X' | 'o' => {
                let whole = integer(value).ok_or_else(|| wants("an integer"))?;
                let digits = whole.unsigned_abs();
                let (prefix, digits) = match conversion {
                    'x' => ("0x", format!("{digits:x}")),
                    'X' => ("0X", format!("{digits:X}")),
                    _ => ("0o", format!("{digits:o}")),
                };
                let prefix = if self.is_alternate { prefix } else { "" };
                (whole < 0, format!("{prefix}{digits}"))
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let number = number(value).ok_or_else(|| wants("a number"))?;
                let digits = self.float(conversion.to_ascii_lowercase(), number.abs());
                let digits = if conversion.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
                (number.is_sign_negative(), digits)
            }
            _ => return Err(invalid(format!("a format string has no conversion `%{conversion}`"))),
        };
        let digits = match self.precision {
            Some(n_digits) if "diuxXo".contains(conversion) => format!("{digits:0>n_digits$}"),
            _ => digits,
        };
        let sign = match (sign, self.has_sign, self.has_space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        if self.has_zeros && !self.is_left {
            let width = self.width.saturating_sub(sign.len());
            return Ok(format!("{sign}{digits:0>width$}"));
        }
        Ok(self.padded(&format!("{sign}{digits}")))
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        if self.is_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }

    /// Formats a number that is not negative.
    fn float(&self, conversion: char, number: f64) -> String {
        if !number.is_finite() {
            return float(number);
        }
        let precision = self.precision.unwrap_or(6);
        let scientific = |n_digits: usize| {
            let text = format!("{number:.n_digits$e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or_default();
            (digits.to_owned(), exponent)
        };
        let joined = |digits: &str, exponent: i32| {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        };
        match conversion {
            'f' => format!("{number:.precision$}"),
            'e' => {
                let (digits, exponent) = scientific(precision);
                joined(&digits, exponent)
            }
            _ => {
                let n_significant = precision.max(1);
                let (digits, exponent) = scientific(n_significant - 1);
                let short = |text: String| {
                    if text.contains('.') && !self.is_alternate {
                        text.trim_end_matches('0').trim_end_matches('.').to_owned()
                    } else {
                        text
                    }
                };
                let n_before = i32::try_from(n_significant).unwrap_or(i32::MAX);
                if (-4..n_before).contains(&exponent) {
                    let n_after = usize::try_from(n_before - 1 - exponent).unwrap_or(0);
                    short(format!("{number:.n_after$}"))
                } else {
                    joined(&short(digits), exponent)
                }
            }
        }
    }
}
