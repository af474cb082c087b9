//! The keys that the tokens of a span see: [`View`].

use mlx_rs::error::Result;
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype};

/// The keys that new tokens see, the new ones included, when each sees those before it, perhaps within a window.
pub(crate) struct View {
    /// The first key that any of them sees.
    start: i32,
    n_old: i32,
    n_new: i32,
    window: Option<i32>,
}

impl View {
    /// For `n_new` tokens after `n_old`; `window` counts the token itself.
    pub(crate) fn after(n_old: i32, n_new: i32, window: Option<usize>) -> Self {
        let window = window.and_then(|it| i32::try_from(it).ok());
        let start = window.map_or(0, |it| (n_old + 1 - it).max(0));
        Self { start, n_old, n_new, window }
    }

    /// What is seen of parts `[1, n_kv_heads, n_tokens, n]`.
    pub(crate) fn of<const N: usize>(&self, parts: &[Array; N]) -> Result<[Array; N]> {
        if self.start == 0 {
            return Ok(parts.clone());
        }
        let seen = parts.iter().map(|it| it.try_index((.., .., self.start.., ..)));
        let seen = seen.collect::<Result<Vec<_>>>()?;
        Ok(seen.try_into().unwrap_or_else(|_| unreachable!("as many parts as there were")))
    }

    /// Whether the tokens see different keys.
    pub(crate) fn is_causal(&self) -> bool {
        self.n_new > 1
    }

    /// Which keys `[n_new, n_keys]` each token sees; `None` if each sees all before it.
    pub(crate) fn mask(&self) -> Result<Option<Array>> {
        let is_limited = self.window.is_some_and(|it| self.n_old + self.n_new > it);
        if is_limited { self.causal_mask() } else { Ok(None) }
    }

    /// Which keys `[n_new, n_keys]` each token sees; `None` if all tokens see all keys.
    pub(crate) fn causal_mask(&self) -> Result<Option<Array>> {
        if !self.is_causal() {
            return Ok(None);
        }
        let end = self.n_old + self.n_new;
        let keys = Array::arange::<_, i32>(self.start, end, None)?;
        let tokens = Array::arange::<_, i32>(self.n_old, end, None)?.expand_dims(1)?;
        let mut is_seen = keys.le(&tokens)?;
        if let Some(window) = self.window {
            let first = tokens.subtract(Array::from_int(window))?;
            is_seen = is_seen.logical_and(keys.gt(first)?)?;
        }
        Ok(Some(is_seen.as_dtype(Dtype::Bool)?))
    }
}
