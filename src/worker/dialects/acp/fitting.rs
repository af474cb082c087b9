//! Makes a conversation fit into the model's context: [`fit`].
//!
//! What does not fit is left out in whole turns, the oldest first; the newest message never is.

use runabout_assist::{Assistant, Error, JobError, Message, Model, TemplateVariables, Tokenize};

use super::record::{Record, Turn};

/// The room that is kept for the answer, in tokens; in a small context a quarter of it.
const ANSWER_TOKENS: usize = 1024;

/// More tokens than a template adds to a message, or to a conversation.
const TEMPLATE_TOKENS: usize = 64;

/// The part of a conversation that the model is given.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) messages: Vec<Message>,
    /// How many of the conversation's turns the model does not see.
    pub(super) n_forgotten: usize,
}

/// The conversation with `prompt` as its newest message. Fails if that alone is too long.
pub(super) async fn fit(
    assistant: &Assistant,
    model: &Model,
    record: &Record,
    prompt: &str,
) -> Result<Fitted, Error> {
    let context = model.description.context_length;
    let room = ANSWER_TOKENS.min(context / 4);
    let newest = Message::user(prompt);
    let mut n_forgotten = record.n_forgotten.min(record.turns.len());
    loop {
        let turns = &record.turns[n_forgotten..];
        let mut messages: Vec<Message> = turns.iter().flat_map(Turn::messages).collect();
        messages.push(newest.clone());
        let n_bytes: usize = turns.iter().map(size).sum::<usize>() + prompt.len();
        // A token has at least a byte, so most conversations need not be counted.
        if n_bytes + TEMPLATE_TOKENS * (messages.len() + 1) + room <= context {
            return Ok(Fitted { messages, n_forgotten });
        }
        let request = Tokenize::Conversation {
            messages: messages.clone(),
            tools: Vec::new(),
            template_variables: TemplateVariables::new(),
        };
        let n_tokens = assistant.tokenize(request).await?.len();
        let n_over = (n_tokens + room).saturating_sub(context);
        if n_over == 0 || (turns.is_empty() && n_tokens < context) {
            return Ok(Fitted { messages, n_forgotten });
        }
        if turns.is_empty() {
            return Err(JobError::PromptTooLong { n_tokens, limit: context.saturating_sub(1) }.into());
        }
        n_forgotten += n_oldest(turns.iter().map(size), n_over * n_bytes / n_tokens.max(1));
    }
}

/// What the model sees of a turn, in bytes.
fn size(turn: &Turn) -> usize {
    turn.prompt.as_deref().map_or(0, |it| it.len() + turn.answer.len())
}

/// How many of the first sizes it takes to get to `n_bytes`; at least one.
fn n_oldest(sizes: impl Iterator<Item = usize>, n_bytes: usize) -> usize {
    let mut sum = 0;
    let before = sizes.take_while(|it| {
        let is_too_little = sum < n_bytes;
        sum += it;
        is_too_little
    });
    before.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_of_the_oldest_are_left_out_as_it_takes() {
        for (n_bytes, n) in [(0, 1), (1, 1), (10, 1), (11, 2), (30, 2), (31, 3), (1000, 3)] {
            assert_eq!(n_oldest([10, 20, 30].into_iter(), n_bytes), n, "{n_bytes}");
        }
    }
}
