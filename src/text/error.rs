//! The errors of a model's text files, a conversation or a parameter: [`TextError`].
//!
//! Each variant stands for a broken rule, not a place in the code: it tells the caller whether the model folder, the
//! template or the request is at fault.

use std::path::PathBuf;

use crate::TokenId;
use crate::model_json::ModelJsonError;

#[derive(Debug, thiserror::Error)]
pub enum TextError {
    #[error(
        "no `tokenizer.json` in {}\nhint: a model folder needs the fast tokenizer's file; `AutoTokenizer.from_pretrained(...).save_pretrained(...)` writes one",
        folder.display()
    )]
    MissingTokenizer { folder: PathBuf },

    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error("{} cannot be used", path.display())]
    BadJson {
        path: PathBuf,
        #[source]
        source: ModelJsonError,
    },

    /// tokenizer.json exists, but the tokenizers library rejects it.
    #[error("`tokenizer.json` cannot be used: {reason}")]
    BadTokenizer { reason: String },

    #[error(
        "`tokenizer.json` must have a decoder of a language model (`ByteLevel`, `Metaspace`, or a sequence of `Replace`, `ByteFallback`, `Fuse` and `Strip`), got `{decoder}`"
    )]
    UnsupportedDecoder { decoder: String },

    /// The model is a base model, or its folder has lost the template.
    #[error("the model has no chat template\nhint: use an instruct model, or `complete` instead of `chat`")]
    NoChatTemplate,

    /// The template leaves out the message that the model is to continue.
    #[error("the model's chat template does not write out the last message, so it cannot be continued")]
    CannotContinue,

    #[error(
        "the model's chat template cannot be used: {reason}\nhint: `complete` works without it; another `chat_template.jinja` in the model's folder goes before it"
    )]
    BadChatTemplate { reason: String },

    /// The template exceeded a limit, for instance by looping or by writing without end.
    #[error("the model's chat template took more {limit} than these messages can need")]
    ChatTemplateTooCostly { limit: &'static str },

    /// The template called `raise_exception`: the model does not support a conversation of this shape.
    #[error("the model's chat template refuses these messages: {reason}")]
    ConversationRefused { reason: String },

    #[error("the model's chat template failed on these messages: {reason}")]
    ChatTemplateFailed { reason: String },

    #[error("`role` must be a word of letters, digits, `_` and `-`, got {role:?}")]
    BadRole { role: String },

    #[error("`{field}` must be {expected}, got {got}")]
    OutOfBounds { field: &'static str, expected: &'static str, got: String },

    /// A format that a text must have is not a valid schema, pattern or grammar.
    #[error("the format cannot be used: {reason}")]
    BadFormat { reason: String },

    /// A format asks for something that cannot be enforced.
    #[error("the format asks for what cannot be enforced: {what}")]
    UnsupportedFormat { what: String },

    /// A call is demanded of a tool whose arguments cannot be enforced.
    #[error("the parameters of the tool `{name}` cannot be enforced: {reason}")]
    UnsupportedTool { name: String, reason: String },

    /// A call is demanded of a model whose family writes calls in a form that cannot be enforced.
    #[error(
        "a call cannot be enforced with this model and these tools, whose form has no grammar\nhint: leave it to the model whether it calls a tool"
    )]
    CallsWithoutGrammar,

    #[error("`logit_bias` must name tokens below {vocabulary_size}, got {token}")]
    UnknownToken { token: TokenId, vocabulary_size: usize },
}
