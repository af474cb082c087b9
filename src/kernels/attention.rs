//! Attention over a cache: queries, keys and values of new tokens in, their heads' outputs out.
//!
//! Two stages. `append.rs` rotates the new tokens' queries and keys and writes keys and values into the
//! cache. Then tiles of query rows, the heads that share a key-value head over a few tokens, go over
//! their keys (`tile.rs`). The keys of a sequence are divided into parts of a fixed length, each with a softmax of
//! its own (`part.rs`), and the parts are joined from the first to the last (`softmax.rs`): whether one thread does
//! them all, as in prefill, or many do some each, as in decode. So what comes out for a token is the same to the
//! last bit whatever tokens are computed beside it.

mod append;
mod cache;
mod layout;
mod part;
mod shift;
mod softmax;
#[cfg(test)]
mod tests;
mod tile;

pub use cache::{KvCache, KvShape, KvType};
pub use shift::{Turn, append_shifted};
use std::ops::Range;

use half::f16;
use layout::{Codes, Layout, Plain};
use softmax::Softmax;
use tile::Tile;

use crate::error::{expect_len, product};
use crate::memory::with_scratch;
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, KernelError, Norm, Rope};

/// Blocks of sixteen keys in a part. More would leave threads without work in decode.
const PART: usize = 8;
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
            KvType::F16 => step.run::<Plain<f16>>(cpu),
            KvType::F32 => step.run::<Plain<f32>>(cpu),
            KvType::Bits8 => step.run::<Codes<8>>(cpu),
            KvType::Bits4 => step.run::<Codes<4>>(cpu),
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
    /// One if the parts are shared out.
    tiles_per_job: usize,
    /// Of any tile at most.
    n_parts: usize,
    /// As many as there are, unless they are shared out.
    parts_per_job: usize,
}

/// The parts of the keys that some rows see: `0..n_kept`, then from `first` on.
#[derive(Clone, Copy)]
struct Parts {
    n_kept: usize,
    first: usize,
    n: usize,
}

impl Parts {
    const KEYS: usize = PART * LANES;

    /// Of rows whose first and last tokens are at the given positions.
    #[inline(always)]
    fn of(window: Option<Window>, first_position: usize, last_position: usize) -> Parts {
        let end = last_position / Parts::KEYS + 1;
        let Some(Window { size, n_kept }) = window else { return Parts { n_kept: 0, first: 0, n: end } };
        let first = (first_position + 1).saturating_sub(size) / Parts::KEYS;
        let n_kept = n_kept.div_ceil(Parts::KEYS).min(first);
        Parts { n_kept, first, n: n_kept + end - first }
    }

    /// The number of part `i` in the sequence.
    #[inline(always)]
    fn at(self, i: usize) -> usize {
        if i < self.n_kept { i } else { i - self.n_kept + self.first }
    }
}

impl Plan {
    /// Jobs that share the parts of a tile.
    fn n_splits(self) -> usize {
        self.n_parts.div_ceil(self.parts_per_job)
    }
}

impl Step<'_> {
    fn run<L: Layout>(self, cpu: &Cpu) {
        append::append::<L>(cpu, self);
        let plan = self.plan(cpu);
        let n_units = plan.n_tiles.div_ceil(plan.tiles_per_job) * self.shape.n_heads;
        let n_jobs = n_units * plan.n_splits();
        if plan.n_splits() == 1 {
            // The last tiles have the most keys: begun first, they leave no thread alone at the end.
            cpu.pool().for_each(n_jobs, |job| tile::attend::<L>(cpu, self, plan, n_jobs - 1 - job));
            return;
        }
        let per_part = plan.rows_per_tile * self.shape.padded_dim();
        let mut states = vec![Softmax::EMPTY; n_units * plan.n_parts];
        with_scratch(n_units * plan.n_parts * per_part, |sums| {
            let (all_sums, all_states) = (SendPtr(sums.as_mut_ptr()), SendPtr(states.as_mut_ptr()));
            cpu.pool().for_each(n_jobs, |job| {
                let (unit, split) = (job / plan.n_splits(), job % plan.n_splits());
                let first = split * plan.parts_per_job;
                let parts = first..(first + plan.parts_per_job).min(plan.n_parts);
                let at = unit * plan.n_parts + first;
                // SAFETY: the parts of different jobs do not overlap.
                let (sums, states) = unsafe {
                    (
                        std::slice::from_raw_parts_mut(
                            all_sums.get().add(at * per_part),
                            parts.len() * per_part,
                        ),
                        std::slice::from_raw_parts_mut(all_states.get().add(at), parts.len()),
                    )
                };
                tile::attend_parts::<L>(cpu, self, plan, unit, parts, sums, states);
            });
            for (unit, (sums, states)) in sums
                .chunks_exact_mut(plan.n_parts * per_part)
                .zip(states.chunks_exact(plan.n_parts))
                .enumerate()
            {
                cpu.run(Join { step: self, plan, unit, sums, states });
            }
        });
    }

    fn plan(&self, cpu: &Cpu) -> Plan {
        let n_rows = self.n_tokens * self.heads_per_group();
        let n_tiles = n_rows.div_ceil(cpu.tile_rows());
        let rows_per_tile = n_rows.div_ceil(n_tiles);
        let n_tiles = n_rows.div_ceil(rows_per_tile);
        let last_position = self.first_position + self.n_tokens - 1;
        let n_parts = Parts::of(self.attention.window, self.first_position, last_position).n;
        let n_threads = cpu.pool().n_threads();
        let n_jobs = n_tiles * self.shape.n_heads;
        let n_jobs_wanted = n_threads * JOBS_PER_THREAD;
        let plan = Plan { n_rows, rows_per_tile, n_tiles, tiles_per_job: 1, n_parts, parts_per_job: n_parts };
        if n_threads > 1 && n_jobs < n_jobs_wanted {
            let n_splits = n_jobs_wanted.div_ceil(n_jobs).min(n_parts);
            Plan { parts_per_job: n_parts.div_ceil(n_splits), ..plan }
        } else {
            Plan { tiles_per_job: (n_jobs / (2 * n_jobs_wanted)).clamp(1, tile::MAX_TILES), ..plan }
        }
    }

    /// Query heads that share a key-value head.
    #[inline(always)]
    fn heads_per_group(&self) -> usize {
        self.attention.n_heads / self.shape.n_heads
    }

    /// Where a head's keys and values of a block begin.
    #[inline(always)]
    fn block(&self, block: usize, kv_head: usize) -> (*mut u8, *mut u8) {
        let head = block * self.shape.n_heads + kv_head;
        let keys = self.keys.get().wrapping_add(head * self.shape.key_bytes());
        (keys, self.values.get().wrapping_add(head * self.shape.value_bytes()))
    }

    /// The key-value head and the tiles of a unit of the plan, whose keys are one job or several.
    fn place(&self, plan: Plan, unit: usize) -> (usize, Range<usize>) {
        let first = unit / self.shape.n_heads * plan.tiles_per_job;
        (unit % self.shape.n_heads, first..(first + plan.tiles_per_job).min(plan.n_tiles))
    }

    /// The parts that the rows of some tiles see.
    fn parts(&self, plan: Plan, tiles: &Range<usize>) -> Parts {
        let (first_row, end) = (tiles.start * plan.rows_per_tile, tiles.end * plan.rows_per_tile);
        Parts::of(self.attention.window, self.position(plan, first_row), self.position(plan, end - 1))
    }

    /// The position of a row's token; rows beyond the last repeat it.
    fn position(&self, plan: Plan, row: usize) -> usize {
        self.first_position + row.min(plan.n_rows - 1) / self.heads_per_group()
    }

    /// Token and query head of a row of a key-value head.
    #[inline(always)]
    fn token_and_head(&self, kv_head: usize, row: usize) -> (usize, usize) {
        let per_group = self.heads_per_group();
        (row / per_group, kv_head * per_group + row % per_group)
    }
}

/// Joins the parts of one tile and writes its outputs.
struct Join<'a> {
    step: Step<'a>,
    plan: Plan,
    unit: usize,
    /// For each part `[rows][padded_dim]`; the first part's become the whole's.
    sums: &'a mut [f32],
    states: &'a [Softmax],
}

impl Kernel for Join<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Join { step, plan, unit, sums, states } = self;
        let per_part = plan.rows_per_tile * step.shape.padded_dim();
        let (kv_head, tiles) = step.place(plan, unit);
        let mut tile = Tile::begin(step, plan, tiles.start);
        let (joined, later) = sums.split_at_mut(per_part);
        let Some((first, states)) = states.split_first() else { return };
        tile.softmax = *first;
        let n_later = step.parts(plan, &tiles).n - 1;
        for (state, sums) in states.iter().zip(later.chunks_exact(per_part)).take(n_later) {
            let (before, added) = tile.softmax.join(simd, state);
            let dim = step.shape.padded_dim();
            let rows = joined.chunks_exact_mut(dim).zip(sums.chunks_exact(dim));
            for ((row, sums), (before, added)) in rows.zip(before.into_iter().zip(added)) {
                for (at, sums) in row.chunks_exact_mut(LANES).zip(sums.chunks_exact(LANES)) {
                    // SAFETY: sixteen values each.
                    unsafe {
                        let sums = simd.load(sums.as_ptr());
                        softmax::add(simd, at.as_mut_ptr(), before, sums, added);
                    }
                }
            }
        }
        tile.finish(simd, step, plan, kv_head, joined.as_ptr());
    }
}
