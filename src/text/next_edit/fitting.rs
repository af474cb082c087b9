//! Chooses the recent edits and context files that fit into a prompt beside the document: [`fitting`].

use super::place::{Edited, NoPrompt};
use super::recent::RecentEdit;
use crate::{ContextFile, TokenId, Tokenizer, Trimmed};

/// Recent edits may take the room left by the document divided by this, so that context files get some, too.
const EDITS_SHARE: usize = 2;

/// The tokens of the prompt that `write` makes of the context files and edits that fit into `limit`, and what was left
/// out. At most `max_edits` edits are used.
pub(super) fn fitting(
    tokenizer: &Tokenizer,
    edited: &Edited<'_>,
    limit: usize,
    max_edits: usize,
    write: impl Fn(&[ContextFile<'_>], &[RecentEdit<'_>]) -> Vec<TokenId>,
) -> Result<(Vec<TokenId>, Trimmed), NoPrompt> {
    let bare = write(&[], &[]);
    let room = limit.checked_sub(bare.len()).ok_or(NoPrompt::TooLong { n_tokens: bare.len() })?;
    let n_edits = last_fitting(edited.edits, room / EDITS_SHARE, |it| {
        n_tokens(tokenizer, &[it.path.unwrap_or_default(), it.original, it.updated], room)
    });
    let mut edits = &edited.edits[edited.edits.len() - n_edits.min(max_edits)..];
    let left = room.saturating_sub(write(&[], edits).len().saturating_sub(bare.len()));
    let n_files = last_fitting(edited.context, left, |it| n_tokens(tokenizer, &[it.path, it.text], left));
    let mut files = &edited.context[edited.context.len() - n_files..];
    loop {
        let tokens = write(files, edits);
        if tokens.len() <= limit {
            let context_files = edited.context.len() - files.len();
            return Ok((tokens, Trimmed { context_files, ..Trimmed::default() }));
        }
        // What stands around the texts takes room, too.
        match (files, edits) {
            ([_, rest @ ..], _) => files = rest,
            ([], [_, rest @ ..]) => edits = rest,
            ([], []) => return Err(NoPrompt::TooLong { n_tokens: tokens.len() }),
        }
    }
}

/// How many of the last items fit into `limit` together.
fn last_fitting<T>(items: &[T], limit: usize, size: impl Fn(&T) -> usize) -> usize {
    let mut left = limit;
    let fits = |it: &&T| {
        let rest = left.checked_sub(size(it));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    items.iter().rev().take_while(fits).count()
}

/// The number of tokens of these texts, or some number above `limit` if they are obviously longer.
fn n_tokens(tokenizer: &Tokenizer, texts: &[&str], limit: usize) -> usize {
    let n_least: usize = texts.iter().map(|it| tokenizer.least_tokens(it)).sum();
    if n_least > limit {
        return n_least;
    }
    texts.iter().map(|it| tokenizer.encode_later(it).len()).sum()
}
