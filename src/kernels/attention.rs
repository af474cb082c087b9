//! Attention over a cache: queries, keys and values of new tokens in, their heads' outputs out.
//!
//! Two stages. `append.rs` rotates the new tokens' queries and keys and writes keys and values into the
//! cache. Then tiles of query rows, the heads that share a key-value head over a few tokens, go over
//! their keys in stretches with a running softmax (`tile.rs`, `stretch.rs`). Where there are fewer tiles than threads, as in
//! decode, the keys are split and the parts merged by their weights.

mod append;
mod cache;
mod stretch;
#[cfg(test)]
mod tests;
mod tile;

pub use cache::{KvCache, KvShape, KvType};
use half::f16;

use crate::error::{expect_len, product};
use crate::memory::with_scratch;
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd, Stored};
use crate::{Cpu, KernelError, Norm, Rope};

/// Blocks of sixteen keys that are worth a part of their own.
const BLOCKS_PER_SPLIT: usize = 6;
/// Jobs per thread that even out the threads.
const JOBS_PER_THREAD: usize = 3;

/// Attention of new tokens, which follow those in the cache.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// For each token its query heads, then key heads, then value heads, of `head_dim` each.
    pub qkv: &'a [f32],
    /// Query heads, a multiple of the cache's heads.
    pub n_heads: usize,
    /// What the scores are multiplied by, usually one over the root of `head_dim`.
    pub scale: f32,
    /// Applied to each query and key head before the rotation.
    pub q_norm: Option<Norm<'a>>,
    pub k_norm: Option<Norm<'a>>,
    pub rope: Option<Rope<'a>>,
    /// `None`: every token sees all before it.
    pub window: Option<Window>,
    /// For each query head a logit that takes part in the softmax and contributes nothing.
    pub sinks: Option<&'a [f32]>,
}

/// The keys that a token sees: the last `size`, itself included, and the first `n_kept` of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub size: usize,
    pub n_kept: usize,
}

/// Appends the new tokens to `cache` and writes their outputs, `[n_tokens, n_heads, head_dim]`, to `out`.
pub fn attend(
    cpu: &Cpu,
    cache: &mut KvCache,
    attention: &Attention,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let KvShape { n_heads: n_kv_heads, head_dim, kv_type } = cache.shape();
    let n_heads = attention.n_heads;
    if n_heads == 0 || !n_heads.is_multiple_of(n_kv_heads) {
        return Err(KernelError::Heads { n_heads, n_kv_heads });
    }
    let n_per_token = product("qkv", &[n_heads + 2 * n_kv_heads, head_dim])?;
    let n_tokens = attention.qkv.len() / n_per_token;
    expect_len("qkv", n_tokens * n_per_token, attention.qkv.len())?;
    expect_len("out", product("out", &[n_tokens, n_heads, head_dim])?, out.len())?;
    for (what, norm) in [("query norm", attention.q_norm), ("key norm", attention.k_norm)] {
        if let Some(norm) = norm {
            expect_len(what, head_dim, norm.weight.len())?;
        }
    }
    if let Some(sinks) = attention.sinks {
        expect_len("sinks", n_heads, sinks.len())?;
    }
    if let Some(Window { size: 0, .. }) = attention.window {
        return Err(KernelError::Zero { what: "window" });
    }
    if n_tokens == 0 {
        return Ok(());
    }
    let first_position = cache.len();
    if let Some(rope) = attention.rope {
        rope.table.check(head_dim, first_position + n_tokens)?;
    }
    cache.reserve_more(n_tokens)?;

    let (keys, values) = cache.as_mut_ptrs();
    with_scratch(n_tokens * n_heads * head_dim, |queries| {
        let step = Step {
            attention,
            shape: cache.shape(),
            n_tokens,
            first_position,
            queries: SendPtr(queries.as_mut_ptr()),
            keys: SendPtr(keys),
            values: SendPtr(values),
            out: SendPtr(out.as_mut_ptr()),
        };
        match kv_type {
            KvType::F16 => step.run::<f16>(cpu),
            KvType::F32 => step.run::<f32>(cpu),
        }
    });
    cache.set_len(first_position + n_tokens);
    Ok(())
}

/// A call that has been checked, with everything it works on.
#[derive(Clone, Copy)]
struct Step<'a> {
    attention: &'a Attention<'a>,
    shape: KvShape,
    n_tokens: usize,
    first_position: usize,
    /// Rotated and scaled, `[n_tokens, n_heads, head_dim]`.
    queries: SendPtr<f32>,
    keys: SendPtr<u8>,
    values: SendPtr<u8>,
    out: SendPtr<f32>,
}

/// How the work is divided: tiles of query rows for each key-value head, and parts of their keys.
#[derive(Clone, Copy)]
struct Plan {
    /// Query rows of one key-value head: its heads of the first token, of the second, and so on.
    n_rows: usize,
    rows_per_tile: usize,
    n_tiles: usize,
    /// One if the keys are split.
    tiles_per_job: usize,
    n_splits: usize,
}

impl Step<'_> {
    fn run<T: Stored>(self, cpu: &Cpu) {
        append::append::<T>(cpu, self);
        let plan = self.plan(cpu);
        let n_jobs = plan.n_tiles.div_ceil(plan.tiles_per_job) * self.shape.n_heads * plan.n_splits;
        let rows = plan.rows_per_tile;
        if plan.n_splits == 1 {
            // The last tiles have the most keys: begun first, they leave no thread alone at the end.
            cpu.pool().for_each(n_jobs, |job| tile::attend::<T>(cpu, self, plan, n_jobs - 1 - job, None));
            return;
        }
        let per_job = rows * (self.shape.padded_dim() + LANES);
        with_scratch(n_jobs * per_job, |scratch| {
            let parts = SendPtr(scratch.as_mut_ptr());
            cpu.pool().for_each(n_jobs, |job| {
                // SAFETY: the jobs' parts do not overlap.
                let part = unsafe { std::slice::from_raw_parts_mut(parts.get().add(job * per_job), per_job) };
                tile::attend::<T>(cpu, self, plan, job, Some(part));
            });
            for (tile, parts) in scratch.chunks_exact(plan.n_splits * per_job).enumerate() {
                cpu.run(Merge { step: self, plan, tile, parts });
            }
        });
    }

    fn plan(&self, cpu: &Cpu) -> Plan {
        let n_rows = self.n_tokens * self.heads_per_group();
        let n_tiles = n_rows.div_ceil(cpu.tile_rows());
        let rows_per_tile = n_rows.div_ceil(n_tiles);
        let n_tiles = n_rows.div_ceil(rows_per_tile);
        let n_threads = cpu.pool().n_threads();
        let n_jobs = n_tiles * self.shape.n_heads;
        let n_blocks = (self.first_position + self.n_tokens).div_ceil(LANES);
        let n_jobs_wanted = n_threads * JOBS_PER_THREAD;
        let n_splits = if n_threads == 1 || n_jobs >= n_jobs_wanted {
            1
        } else {
            n_jobs_wanted.div_ceil(n_jobs).min(n_blocks / BLOCKS_PER_SPLIT).max(1)
        };
        let tiles_per_job =
            if n_splits > 1 { 1 } else { (n_jobs / (2 * n_jobs_wanted)).clamp(1, tile::MAX_TILES) };
        Plan { n_rows, rows_per_tile, n_tiles, tiles_per_job, n_splits }
    }

    /// Query heads that share a key-value head.
    #[inline(always)]
    fn heads_per_group(&self) -> usize {
        self.attention.n_heads / self.shape.n_heads
    }

    /// Token and query head of a row of a key-value head.
    #[inline(always)]
    fn token_and_head(&self, kv_head: usize, row: usize) -> (usize, usize) {
        let per_group = self.heads_per_group();
        (row / per_group, kv_head * per_group + row % per_group)
    }
}

/// Joins the parts of one tile's keys.
struct Merge<'a> {
    step: Step<'a>,
    plan: Plan,
    tile: usize,
    /// For each part `[rows][padded_dim]` sums, then for each row sixteen numbers: maximum, total, unused.
    parts: &'a [f32],
}

impl Kernel for Merge<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Merge { step, plan, tile, parts } = self;
        let dim = step.shape.padded_dim();
        let rows = plan.rows_per_tile;
        let (kv_head, tiles) = tile::place(step, plan, tile);
        let first_row = tiles.start * rows;
        let per_part = rows * (dim + LANES);
        for r in 0..rows.min(plan.n_rows - first_row) {
            let (token, head) = step.token_and_head(kv_head, first_row + r);
            let statistics = |part: &[f32]| {
                let at = rows * dim + r * LANES;
                (part.get(at).copied().unwrap_or(0.0), part.get(at + 1).copied().unwrap_or(0.0))
            };
            let sink = step.attention.sinks.and_then(|it| it.get(head)).copied();
            let greatest = parts
                .chunks_exact(per_part)
                .map(|part| statistics(part).0)
                .fold(sink.unwrap_or(f32::NEG_INFINITY), f32::max);
            let mut total = sink.map_or(0.0, |it| (it - greatest).exp());
            for part in parts.chunks_exact(per_part) {
                let (maximum, sum) = statistics(part);
                total += sum * (maximum - greatest).exp();
            }
            for d in (0..step.shape.head_dim).step_by(LANES) {
                let mut merged = simd.zero();
                for part in parts.chunks_exact(per_part) {
                    let weight = (statistics(part).0 - greatest).exp() / total;
                    // SAFETY: the sums of row `r` are `dim` long, a multiple of sixteen.
                    let sums = unsafe { simd.load(part.as_ptr().add(r * dim + d)) };
                    merged = simd.mul_add(sums, simd.splat(weight), merged);
                }
                let at = (token * step.attention.n_heads + head) * step.shape.head_dim + d;
                // SAFETY: within the head's output.
                unsafe {
                    simd.store_first(step.out.get().add(at), merged, LANES.min(step.shape.head_dim - d));
                };
            }
        }
    }
}
