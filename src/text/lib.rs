//! Pure text rules: tokenizer, detokenizer, chat templates, fill-in-the-middle formats, stop strings, sampling parameters.

mod sampling;

pub use sampling::SamplingParams;

/// An index into the model's vocabulary.
pub type TokenId = u32;
