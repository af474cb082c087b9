//! `response_format`: the form that a text must have, and what an unfinished one lacks.

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The form that a text must have. Tokens that would violate it are never generated.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Any text; the same as no format.
    Text,
    /// JSON that is valid by the schema, on one line, with its properties in the schema's order. OpenAI's form, with the
    /// schema in `json_schema`, and its type `json_object` are read too.
    JsonSchema {
        /// The JSON Schema.
        schema: Value,
    },
    /// Text that the pattern matches as a whole.
    Regex {
        /// The pattern, in the syntax of Rust's `regex` crate, without look-around and `\b`.
        pattern: String,
    },
    /// Text that the grammar generates from its rule `start`.
    Lark {
        /// The grammar, in llguidance's form of Lark.
        grammar: String,
    },
}

impl<'de> Deserialize<'de> for ResponseFormat {
    /// Reads a struct of all fields first: derived code for tagged enums hides them from the check for unknown names.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Clone, Copy, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Type {
            Text,
            JsonSchema,
            JsonObject,
            Regex,
            Lark,
        }
        /// OpenAI's form; the schema is always enforced strictly.
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "fields that may be given, and change nothing")]
        struct Named {
            name: Option<String>,
            description: Option<String>,
            strict: Option<bool>,
            schema: Value,
        }
        #[derive(Deserialize)]
        struct Fields {
            #[serde(rename = "type")]
            kind: Type,
            schema: Option<Value>,
            json_schema: Option<Named>,
            pattern: Option<String>,
            grammar: Option<String>,
        }
        let Fields { kind, schema, json_schema, pattern, grammar } = Fields::deserialize(deserializer)?;
        let is_twice = schema.is_some() && json_schema.is_some();
        let schema = schema.or(json_schema.map(|it| it.schema)).filter(|_| !is_twice);
        let format = match (kind, schema, pattern, grammar) {
            (Type::Text, None, None, None) => Some(Self::Text),
            (Type::JsonSchema, Some(schema), None, None) => Some(Self::JsonSchema { schema }),
            (Type::JsonObject, None, None, None) if !is_twice => {
                Some(Self::JsonSchema { schema: serde_json::json!({ "type": "object" }) })
            }
            (Type::Regex, None, Some(pattern), None) => Some(Self::Regex { pattern }),
            (Type::Lark, None, None, Some(grammar)) => Some(Self::Lark { grammar }),
            _ => None,
        };
        format.ok_or_else(|| {
            D::Error::custom(match kind {
                Type::Text => "type `text` must have no other field",
                Type::JsonSchema => "type `json_schema` must have the field `schema` and no other",
                Type::JsonObject => "type `json_object` must have no other field",
                Type::Regex => "type `regex` must have the field `pattern` and no other",
                Type::Lark => "type `lark` must have the field `grammar` and no other",
            })
        })
    }
}

/// Where a text was ended before it had the form of `response_format`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Incomplete {
    /// The JSON Pointer of the innermost value that was begun and not ended; present for `json_schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What is open there, from the outside in: `{`, `[`, and `"` for a string or a name; present for `json_schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
}
