//! What fits into the model's context: [`Room`], and texts cut so that they do.

use runabout_assist::Message;

use crate::ask::Asker;
use crate::fault::Fault;

/// Tokens for what a tokenizer counts differently in a whole prompt than in its parts.
const SLACK_TOKENS: usize = 16;

/// How a prompt fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) n_prompt: usize,
    /// The most tokens that an answer can have.
    pub(crate) n_answer: usize,
}

impl Room {
    /// Whether the messages and an answer of `n_answer` tokens fit into the context.
    pub(crate) async fn of(asker: &Asker, messages: &[Message], n_answer: usize) -> Result<Self, Fault> {
        let context = asker.model().await?.description.context_length;
        let n_prompt = asker.n_prompt_tokens(messages).await?;
        let limit = context.saturating_sub(n_answer + SLACK_TOKENS);
        if n_prompt > limit {
            return Err(Fault::TooLong { n_tokens: n_prompt, limit });
        }
        Ok(Self { n_prompt, n_answer: context - n_prompt })
    }
}

/// The longest beginning of a text, cut at the end of a line, with which `prompt` fits beside an answer of `n_answer`
/// tokens; and whether something was cut off.
pub(crate) async fn fit<'t>(
    asker: &Asker,
    text: &'t str,
    n_answer: usize,
    prompt: impl Fn(&str) -> Vec<Message>,
) -> Result<(&'t str, bool), Fault> {
    let context = asker.model().await?.description.context_length;
    let n_empty = asker.n_prompt_tokens(&prompt("")).await?;
    let limit = context.saturating_sub(n_answer + n_empty + SLACK_TOKENS);
    let mut kept = text;
    loop {
        // A text of more bytes than this is not counted as a whole: a token has rarely more than eight.
        let most_bytes = limit.saturating_mul(8);
        if kept.len() > most_bytes {
            kept = beginning(kept, most_bytes);
        }
        let n_tokens = asker.n_tokens(kept).await?;
        if n_tokens <= limit {
            break;
        }
        // As if all lines had the same number of tokens for each byte; a little less, so that it ends.
        let most_bytes = kept.len() * limit / n_tokens.max(1);
        kept = beginning(kept, most_bytes.min(kept.len() * 19 / 20));
        if kept.is_empty() {
            return Err(Fault::TooLong { n_tokens: n_empty + n_tokens, limit: context });
        }
    }
    Ok((kept, kept.len() < text.len()))
}

/// At most `most_bytes` of a text, cut behind the end of a line; in the middle of the first line if that is longer.
pub(crate) fn beginning(text: &str, most_bytes: usize) -> &str {
    if text.len() <= most_bytes {
        return text;
    }
    let end = (0..=most_bytes).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0);
    let end = text[..end].rfind('\n').map_or(end, |it| it + 1);
    &text[..end]
}
