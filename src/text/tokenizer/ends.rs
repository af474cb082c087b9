//! Finds the tokens that end a turn.
//!
//! The files of a model folder disagree: config.json names the base model's end token, generation_config.json the chat
//! model's, and the template a third one. A model that is not stopped at its own end-of-turn token goes on up to the
//! token limit, talking to itself, so all of them count.

use serde_json::Map;

use super::control::ControlTokens;
use super::folder::TokenizerParts;
use crate::TokenId;
use crate::chat::{ChatRequest, ChatTemplates, Message};

/// Tokens that end a turn with any template: if a vocabulary has them as control tokens, they mean nothing else.
/// `<|end|>` and `<|user|>` are not listed, since in some model families text follows them; there the template tells.
/// `<|call|>` ends a turn that calls a tool.
const ALWAYS_END: [&str; 8] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|return|>",
    "<|call|>",
];

/// An answer that no template contains.
const ANSWER: &str = "Wolpertinger";

/// The tokens that end a turn, in ascending order.
pub(super) fn find(
    tokenizer: &tokenizers::Tokenizer,
    control: &ControlTokens,
    templates: &ChatTemplates,
    parts: &TokenizerParts,
) -> Vec<TokenId> {
    let eos_token = parts.special_token("eos_token");
    let named = eos_token.as_deref().and_then(|it| tokenizer.token_to_id(it));
    let known = ALWAYS_END.iter().filter_map(|it| control.named(it));
    let mut ends: Vec<TokenId> = parts
        .eos_token_ids()
        .into_iter()
        .chain(named)
        .chain(known)
        .chain(after_answer(control, templates))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// The control token that the template puts right after an answer: the one that ends the turn, or, if the template only
/// marks where turns begin, the one that begins the next turn.
fn after_answer(control: &ControlTokens, templates: &ChatTemplates) -> Option<TokenId> {
    let turns = [Message::user("Hello"), Message::assistant(ANSWER), Message::user("Thanks")];
    [&turns[..2], &turns[..]].into_iter().find_map(|messages| {
        let request = ChatRequest { messages, tools: &[], kwargs: &Map::new(), add_generation_prompt: false };
        let rendered = templates.render(&request).ok()?;
        let (_, after) = rendered.rsplit_once(ANSWER)?;
        control.leading(after.trim_start())
    })
}
