//! Speculative decoding: tokens are drafted cheaply, and the model checks several of them in one step.

pub(crate) mod acceptance;
pub(crate) mod costs;
pub(crate) mod draft_length;
pub(crate) mod lookup;
pub(crate) mod model_with_draft;
