//! Whether and what a model must call: [`ToolChoice`].

/// Whether the model calls tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// If it wants to.
    #[default]
    Auto,
    /// Not at all: it is not told about any.
    None,
    /// At least one.
    Required,
    /// This one, once.
    Named(String),
}
