//! Speculative decoding: tokens are drafted cheaply, and the model checks several of them in one step.
//!
//! A *draft* is a token that the model checks; it is *accepted* if the model draws the very same. A sequence's
//! [`Drafter`] takes drafts from the sequence's own text and from what was generated earlier ([`lookup`]) or, where there
//! are none, from a smaller draft model that runs beside the model ([`ModelWithDraft`]). What a draft costs, and so how many are worth it, is
//! answered by [`DraftCosts`], from what [`CostMeter`] measured.
//!
//! Drafts change only the speed, never the text.

mod acceptance;
mod cost_meter;
mod costs;
mod draft_length;
mod draft_model;
mod drafter;
mod known_texts;
mod limits;
mod lookup;
mod match_rates;
mod model_with_draft;
mod row_costs;

pub(crate) use acceptance::AcceptanceRate;
pub(crate) use cost_meter::CostMeter;
pub(crate) use costs::DraftCosts;
pub(crate) use draft_model::DraftRequest;
pub(crate) use drafter::{DraftSource, Drafter};
pub(crate) use known_texts::KnownTexts;
pub use limits::MAX_DRAFTS;
pub(crate) use limits::MAX_DRAFTS_TOGETHER;
pub(crate) use model_with_draft::ModelWithDraft;
