//! Where a JSON text that was cut off stops: [`OpenJson`].

use std::fmt::Write;

/// The end of an unfinished JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenJson {
    /// The JSON Pointer (RFC 6901) of the innermost value that was begun and not ended; empty for the whole text.
    pub pointer: String,
    /// What is open there, from the outside in: `{`, `[`, and `"` for a string or a name.
    pub open: String,
}

/// An array or object that is open.
enum Open {
    Array {
        index: usize,
    },
    /// The name whose value is being written, and whether the next string is a name.
    Object {
        name: Option<String>,
        expects_name: bool,
    },
}

impl OpenJson {
    /// Looks at a text that is the beginning of valid JSON.
    pub fn of(text: &str) -> Self {
        let mut open: Vec<Open> = Vec::new();
        let mut string: Option<String> = None;
        let mut is_escaped = false;
        for it in text.chars() {
            if let Some(content) = &mut string {
                match it {
                    _ if is_escaped => {
                        is_escaped = false;
                        content.push(it);
                    }
                    '\\' => {
                        is_escaped = true;
                        content.push(it);
                    }
                    '"' => {
                        let content = string.take().unwrap_or_default();
                        if let Some(Open::Object { name, expects_name }) = open.last_mut()
                            && *expects_name
                        {
                            *expects_name = false;
                            *name = Some(unescaped(&content));
                        }
                    }
                    _ => content.push(it),
                }
                continue;
            }
            match it {
                '"' => string = Some(String::new()),
                '[' => open.push(Open::Array { index: 0 }),
                '{' => open.push(Open::Object { name: None, expects_name: true }),
                ']' | '}' => drop(open.pop()),
                ',' => match open.last_mut() {
                    Some(Open::Array { index }) => *index += 1,
                    Some(Open::Object { name, expects_name }) => (*name, *expects_name) = (None, true),
                    None => {}
                },
                _ => {}
            }
        }
        let mut end = Self::default();
        for it in &open {
            match it {
                Open::Array { index } => {
                    end.open.push('[');
                    // Writing to a string cannot fail.
                    let _ = write!(end.pointer, "/{index}");
                }
                Open::Object { name, .. } => {
                    end.open.push('{');
                    if let Some(name) = name {
                        end.pointer.push('/');
                        end.pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    }
                }
            }
        }
        if string.is_some() {
            end.open.push('"');
        }
        end
    }
}

/// The text of a JSON string, given what stands between its quotes.
fn unescaped(content: &str) -> String {
    serde_json::from_str(&format!("\"{content}\"")).unwrap_or_else(|_| content.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_and_where_is_read_from_the_text() {
        let table = [
            ("", "", ""),
            ("12", "", ""),
            (r#""a"#, "", "\""),
            ("{", "", "{"),
            (r#"{"na"#, "", "{\""),
            (r#"{"name""#, "/name", "{"),
            (r#"{"name": "x"#, "/name", "{\""),
            (r#"{"name": "x", "#, "", "{"),
            (r#"{"items": [1, {"a~/b": tr"#, "/items/1/a~0~1b", "{[{"),
            (r#"{"items": [1, {"a": "]}\"\\"#, "/items/1/a", "{[{\""),
            (r#"{"items": [1, {"a": "]}\"\\"}"#, "/items/1", "{["),
            (r#"{"q\"\u00e9": ["#, "/q\"é/0", "{["),
            (r#"{"items": [1]}"#, "", ""),
        ];
        for (text, pointer, open) in table {
            let expected = OpenJson { pointer: pointer.to_owned(), open: open.to_owned() };
            assert_eq!(OpenJson::of(text), expected, "of {text}");
        }
    }
}
