//! Reads a text from its beginning on, token by token: [`Scan`].

use serde_json::Value;

/// The rest of a text.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    rest: &'a str,
}

/// The length of the name that a text begins with; names may have points and hyphens in them.
pub(super) fn n_name(text: &str) -> usize {
    text.find(|it: char| !(it.is_alphanumeric() || matches!(it, '_' | '.' | '-'))).unwrap_or(text.len())
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    /// The next character, for a message.
    pub(super) fn next_char(&self) -> String {
        self.rest.chars().next().map_or_else(|| "the end".to_owned(), |it| format!("`{it}`"))
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Whether this text comes next; then it is taken.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(super) fn name(&mut self) -> Option<&'a str> {
        let (name, rest) = self.rest.split_at(n_name(self.rest));
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    /// The text before `end`, which is taken too.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (text, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(text)
    }

    /// The text before any of these characters, or all of it.
    pub(super) fn until_any(&mut self, ends: &[char]) -> &'a str {
        let (text, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        text
    }

    /// A string in single or double quotes, with escapes as Python and JSON write them; `None` if there is none.
    pub(super) fn string(&mut self) -> Result<Option<String>, String> {
        let Some(quote) = self.rest.chars().next().filter(|it| ['"', '\''].contains(it)) else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, it)) = chars.next() {
            if it == quote {
                self.rest = &self.rest[1 + at + 1..];
                return Ok(Some(text));
            }
            if it != '\\' {
                text.push(it);
                continue;
            }
            let Some((at, escaped)) = chars.next() else { break };
            let n_digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            if n_digits == 0 {
                text.push_str(&unescaped(escaped));
                continue;
            }
            let digits = self.rest[1 + at + 1..].get(..n_digits);
            let mut code = digits.and_then(|it| u32::from_str_radix(it, 16).ok());
            let mut n_taken = n_digits;
            // JSON writes characters beyond 16 bits as two.
            if let Some(high @ 0xD800..=0xDBFF) = code
                && let Some(low) =
                    self.rest[1 + at + 1 + n_digits..].strip_prefix("\\u").and_then(|it| it.get(..4))
                && let Ok(low @ 0xDC00..=0xDFFF) = u32::from_str_radix(low, 16)
            {
                code = Some(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
                n_taken += 6;
            }
            let Some(code) = code else { return Err("a string has an escape without its digits".to_owned()) };
            text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            if n_taken > 0 {
                chars.nth(n_taken - 1);
            }
        }
        Err("a string does not end".to_owned())
    }

    /// A number, or one of the words that Python or JSON has for truth and nothing.
    pub(super) fn literal(&mut self) -> Option<Value> {
        let n_word = self
            .rest
            .find(|it: char| !(it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.' | '_')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(n_word);
        let value = match word {
            "True" | "true" => Value::Bool(true),
            "False" | "false" => Value::Bool(false),
            "None" | "null" => Value::Null,
            _ => serde_json::from_str::<Value>(word).ok().filter(Value::is_number)?,
        };
        self.rest = rest;
        Some(value)
    }
}

/// What an escape of one character stands for. An unknown one stands for itself, as in Python.
fn unescaped(escaped: char) -> String {
    match escaped {
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        'r' => "\r".to_owned(),
        'b' => "\u{8}".to_owned(),
        'f' => "\u{c}".to_owned(),
        '0' => "\0".to_owned(),
        '\n' => String::new(),
        '"' | '\'' | '\\' | '/' => escaped.to_string(),
        other => format!("\\{other}"),
    }
}
