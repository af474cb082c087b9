//! Rotary position embedding by a table of cosines and sines: [`RopeTable`].
//!
//! Scalings (linear, llama3, yarn, ...) affect only the frequencies that the table is made from; the rotation is
//! always the same.

use crate::error::expect_len;
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, KernelError};

/// The cosines and sines of all positions.
#[derive(Clone, Debug)]
pub struct RopeTable {
    frequencies: Vec<f64>,
    magnitude: f64,
    n_positions: usize,
    /// For each position, the cosines and then the sines of all frequencies.
    values: Vec<f32>,
}

/// Which dimensions form a pair that is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RopePairs {
    /// `i` and `i + n / 2`: "half-split", as in llama and qwen checkpoints.
    Halves,
    /// `2 i` and `2 i + 1`: "traditional".
    Adjacent,
}

/// A rotation of the first `2 * n_frequencies` dimensions of each head.
#[derive(Clone, Copy, Debug)]
pub struct Rope<'a> {
    pub table: &'a RopeTable,
    pub pairs: RopePairs,
}

impl RopeTable {
    /// The angle of pair `i` at position `p` is `p * frequencies[i]`. Both outputs are multiplied by `magnitude`,
    /// which is 1 except for yarn.
    pub fn new(frequencies: &[f64], magnitude: f64, n_positions: usize) -> RopeTable {
        let frequencies = frequencies.to_vec();
        let mut table = RopeTable { frequencies, magnitude, n_positions: 0, values: Vec::new() };
        table.extend_to(n_positions);
        table
    }

    /// The frequencies without scaling: `theta^(-2i / n_dims)`.
    pub fn plain_frequencies(theta: f64, n_dims: usize) -> Vec<f64> {
        (0..n_dims / 2).map(|i| theta.powf(-(2.0 * i as f64) / n_dims as f64)).collect()
    }

    /// Extends the table to at least `n_positions`.
    pub fn extend_to(&mut self, n_positions: usize) {
        for position in self.n_positions..n_positions {
            let angles = self.frequencies.iter().map(|it| position as f64 * it);
            self.values.extend(angles.clone().map(|it| (it.cos() * self.magnitude) as f32));
            self.values.extend(angles.map(|it| (it.sin() * self.magnitude) as f32));
        }
        self.n_positions = self.n_positions.max(n_positions);
    }

    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// The number of dimensions of a head that are rotated.
    pub fn n_dims(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// The cosines and sines of a position, which must be in the table.
    #[inline(always)]
    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let n = self.frequencies.len();
        self.values.get(2 * n * position..2 * n * (position + 1)).unwrap_or(&[]).split_at(n)
    }

    pub(crate) fn check(&self, head_dim: usize, n_positions: usize) -> Result<(), KernelError> {
        if self.n_dims() > head_dim {
            return Err(KernelError::RotatedDims { head_dim, got: self.n_dims() });
        }
        if n_positions > self.n_positions {
            return Err(KernelError::Position { n_positions: self.n_positions, got: n_positions - 1 });
        }
        Ok(())
    }
}

impl Rope<'_> {
    /// Rotates one head in place. The table must contain the position, and the head must have enough dimensions.
    #[inline(always)]
    pub(crate) fn rotate<S: Simd>(&self, simd: S, position: usize, head: &mut [f32]) {
        let (cos, sin) = self.table.at(position);
        match self.pairs {
            RopePairs::Halves => {
                let n = cos.len();
                debug_assert!(head.len() >= 2 * n);
                let (first, second) = (head.as_mut_ptr(), head.as_mut_ptr().wrapping_add(n));
                for at in (0..n).step_by(LANES) {
                    let left = LANES.min(n - at);
                    // SAFETY: `left` values follow `at` in each half of the head and in both tables.
                    unsafe {
                        let (x, y) =
                            (simd.load_first(first.add(at), left), simd.load_first(second.add(at), left));
                        let cos = simd.load_first(cos.as_ptr().add(at), left);
                        let sin = simd.load_first(sin.as_ptr().add(at), left);
                        simd.store_first(first.add(at), simd.sub(simd.mul(x, cos), simd.mul(y, sin)), left);
                        simd.store_first(second.add(at), simd.mul_add(x, sin, simd.mul(y, cos)), left);
                    }
                }
            }
            RopePairs::Adjacent => {
                for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                    if let [x, y] = pair {
                        (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
                    }
                }
            }
        }
    }
}

/// Rotates `x`, `[n_tokens, n_heads, head_dim]`, in place; its first token is at `position`.
pub fn rope(
    cpu: &Cpu,
    rope: Rope,
    x: &mut [f32],
    n_heads: usize,
    head_dim: usize,
    position: usize,
) -> Result<(), KernelError> {
    let n_per_token = crate::error::product("x", &[n_heads, head_dim])?;
    if n_per_token == 0 {
        return Err(KernelError::Zero { what: "heads and their size" });
    }
    let n_tokens = x.len() / n_per_token;
    expect_len("x", n_tokens * n_per_token, x.len())?;
    rope.table.check(head_dim, position + n_tokens)?;
    let values = SendPtr(x.as_mut_ptr());
    cpu.pool().for_each(n_tokens, |token| {
        // SAFETY: the tokens' values do not overlap, and each job has one token.
        let x = unsafe { std::slice::from_raw_parts_mut(values.get().add(token * n_per_token), n_per_token) };
        cpu.run(Token { rope, position: position + token, head_dim, x });
    });
    Ok(())
}

struct Token<'a> {
    rope: Rope<'a>,
    position: usize,
    head_dim: usize,
    x: &'a mut [f32],
}

impl Kernel for Token<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for head in self.x.chunks_exact_mut(self.head_dim) {
            self.rope.rotate(simd, self.position, head);
        }
    }
}
