//! The KV cache of one layer of one slot: grows in steps, can be cut back.

use mlx_rs::ops::indexing::{TryIndexMutOp, TryIndexOp};
use mlx_rs::{Array, error::Result, ops};

/// Room is made for this many tokens at a time, as in mlx_lm, so that most appends write in place.
const STEP_TOKENS: i32 = 256;

#[derive(Default)]
pub(crate) struct KvCache {
    n_tokens: i32,
    /// Keys and values, `[1, n_kv_heads, capacity, head_dim]` each.
    kv: Option<(Array, Array)>,
}

impl KvCache {
    /// Tokens held, which is the position of the next one.
    pub(crate) fn n_tokens(&self) -> i32 {
        self.n_tokens
    }

    /// Appends `[1, n_kv_heads, L, head_dim]` and returns all that is held, in that layout.
    pub(crate) fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<(Array, Array)> {
        let start = self.n_tokens;
        let end = start + keys.dim(2);
        let (all_keys, all_values) = match self.kv.take() {
            Some((k, v)) if k.dim(2) >= end => (k, v),
            held => (
                grow(held.as_ref().map(|it| &it.0), start, keys)?,
                grow(held.as_ref().map(|it| &it.1), start, values)?,
            ),
        };
        let (all_keys, all_values) = self.kv.insert((all_keys, all_values));
        all_keys.try_index_mut((.., .., start..end, ..), keys)?;
        all_values.try_index_mut((.., .., start..end, ..), values)?;
        self.n_tokens = end;
        Ok((all_keys.try_index((.., .., ..end, ..))?, all_values.try_index((.., .., ..end, ..))?))
    }

    /// Forgets all but the first `n_tokens`. The memory stays for what comes next.
    pub(crate) fn truncate(&mut self, n_tokens: i32) {
        debug_assert!(n_tokens <= self.n_tokens);
        self.n_tokens = n_tokens;
    }

    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.kv.iter().flat_map(|(k, v)| [k, v])
    }
}

/// The first `n_held` tokens of `held`, followed by room for those of `new`.
fn grow(held: Option<&Array>, n_held: i32, new: &Array) -> Result<Array> {
    let &[n_batch, n_heads, n_new, head_dim] = new.shape() else {
        unreachable!("keys and values have four dimensions");
    };
    let capacity = ((n_held + n_new - 1) / STEP_TOKENS + 1) * STEP_TOKENS;
    let room = ops::zeros_dtype(&[n_batch, n_heads, capacity - n_held, head_dim], new.dtype())?;
    match held {
        Some(held) if n_held > 0 => ops::concatenate(&[&held.try_index((.., .., ..n_held, ..))?, &room], 2),
        _ => Ok(room),
    }
}
