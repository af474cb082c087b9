//! The number and size of attention heads: [`Heads`].

use mlx_rs::Array;
use mlx_rs::error::Result;

/// Query heads, and the key-value heads that they share in groups of equal size.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the words that every model's code has")]
pub(crate) struct Heads {
    pub(crate) n_heads: i32,
    pub(crate) n_kv_heads: i32,
    pub(crate) head_dim: i32,
}

impl Heads {
    /// The usual factor that scores are multiplied by.
    pub(crate) fn scale(self) -> f32 {
        (self.head_dim as f32).powf(-0.5)
    }

    /// The numbers of all queries of a token.
    pub(crate) fn n_query(self) -> i32 {
        self.n_heads * self.head_dim
    }

    /// The numbers of all keys of a token; as many are in its values.
    pub(crate) fn n_key(self) -> i32 {
        self.n_kv_heads * self.head_dim
    }

    /// Queries `[1, n_heads, L, head_dim]` by the key-value head that they share, `[1, n_kv_heads, n_shared, L,
    /// head_dim]`.
    pub(crate) fn grouped(self, queries: &Array) -> Result<Array> {
        let n_shared = self.n_heads / self.n_kv_heads;
        queries.reshape(&[1, self.n_kv_heads, n_shared, queries.dim(2), self.head_dim])
    }
}
