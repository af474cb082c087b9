//! What a caller sees of an item that is worked on: [`Progress`].

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub item: usize,
    /// The tokens generated for the item so far. The exact number is in its evidence.
    pub n_tokens: usize,
    pub stage: Stage,
}

/// What the model does for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `done` of the prompt's `total` tokens have been computed. Only long prompts are reported.
    Prompt { done: usize, total: usize },
    /// It answers, for the first time or again, counted from 1.
    Answer { attempt: u32 },
}
