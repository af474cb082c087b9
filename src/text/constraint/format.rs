//! The form that a text must have: [`Format`].

/// The form that a text must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON that is valid by this JSON Schema.
    JsonSchema(String),
    /// Text that this pattern matches as a whole, in the syntax of Rust's `regex`.
    Regex(String),
    /// Text that this grammar generates from its rule `start`, in llguidance's form of Lark.
    Lark(String),
}
