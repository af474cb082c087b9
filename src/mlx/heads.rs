//! The number and size of attention heads: [`Heads`].

/// Query heads, and the key-value heads that they share in groups of equal size.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the words that every model's code has")]
pub(crate) struct Heads {
    pub(crate) n_heads: i32,
    pub(crate) n_kv_heads: i32,
    pub(crate) head_dim: i32,
}

impl Heads {
    /// The factor that scores are multiplied by.
    pub(crate) fn scale(self) -> f32 {
        (self.head_dim as f32).powf(-0.5)
    }
}
