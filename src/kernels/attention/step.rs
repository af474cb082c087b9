//! A call of attention, and how its work is divided among threads: [`Attention`], [`Step`] and [`Plan`].

use std::ops::Range;

use super::shape::KvShape;
use crate::packed::SendPtr;
use crate::simd::LANES;
use crate::{Cpu, Norm, Rope};

/// Blocks of sixteen keys in a part. With more, threads would be idle in decode.
pub(super) const PART: usize = 8;
/// Enough jobs per thread to balance the load.
const JOBS_PER_THREAD: usize = 3;
/// The maximum number of tiles per job. Converting keys and values costs a quarter of a tile.
pub(super) const MAX_TILES: usize = 8;

/// Attention for new tokens, which follow those in the cache.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// For each token its query heads, then its key heads, then its value heads, of `head_dim` each.
    pub qkv: &'a [f32],
    /// Query heads, a multiple of the cache's heads.
    pub n_heads: usize,
    /// The factor for scores, usually one over the root of `head_dim`.
    pub scale: f32,
    /// Applied to each query and key head before the rotation.
    pub q_norm: Option<Norm<'a>>,
    pub k_norm: Option<Norm<'a>>,
    pub rope: Option<Rope<'a>>,
    /// Limits the keys that a token sees; `None` is all keys before it.
    pub window: Option<Window>,
    /// For each query head, an extra logit in the softmax that contributes no value.
    pub sinks: Option<&'a [f32]>,
}

/// The keys that a token sees: the last `size`, itself included, and the first `n_kept` of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub size: usize,
    pub n_kept: usize,
}

/// A validated call, with everything that it works on.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) attention: &'a Attention<'a>,
    pub(super) shape: KvShape,
    pub(super) n_tokens: usize,
    pub(super) first_position: usize,
    /// Rotated and scaled, `[n_tokens, n_heads, head_dim]`.
    pub(super) queries: SendPtr<f32>,
    pub(super) keys: SendPtr<u8>,
    pub(super) values: SendPtr<u8>,
    pub(super) out: SendPtr<f32>,
}

/// The division of the work: tiles of query rows for each key-value head, and parts of their keys.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Query rows of one key-value head: its query heads for the first token, for the second, and so on.
    pub(super) n_rows: usize,
    pub(super) rows_per_tile: usize,
    pub(super) n_tiles: usize,
    /// 1 if several jobs share the parts of a tile.
    pub(super) tiles_per_job: usize,
    /// The maximum number of parts of a tile.
    pub(super) n_parts: usize,
    /// `n_parts`, unless several jobs share the parts of a tile.
    pub(super) parts_per_job: usize,
}

/// The parts of the keys that some rows see: `0..n_kept`, then those starting at `first`.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    n_kept: usize,
    first: usize,
    pub(super) n: usize,
}

impl Parts {
    pub(super) const KEYS: usize = PART * LANES;

    /// The parts seen by rows whose first and last tokens have the given positions.
    #[inline(always)]
    fn of(window: Option<Window>, first_position: usize, last_position: usize) -> Parts {
        let end = last_position / Parts::KEYS + 1;
        let Some(Window { size, n_kept }) = window else { return Parts { n_kept: 0, first: 0, n: end } };
        let first = (first_position + 1).saturating_sub(size) / Parts::KEYS;
        let n_kept = n_kept.div_ceil(Parts::KEYS).min(first);
        Parts { n_kept, first, n: n_kept + end - first }
    }

    /// The index in the sequence of the `i`th part.
    #[inline(always)]
    pub(super) fn at(self, i: usize) -> usize {
        if i < self.n_kept { i } else { i - self.n_kept + self.first }
    }
}

impl Plan {
    /// The number of jobs that share the parts of a tile.
    pub(super) fn n_splits(self) -> usize {
        self.n_parts.div_ceil(self.parts_per_job)
    }
}

impl Step<'_> {
    pub(super) fn plan(&self, cpu: &Cpu) -> Plan {
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
            Plan { tiles_per_job: (n_jobs / (2 * n_jobs_wanted)).clamp(1, MAX_TILES), ..plan }
        }
    }

    /// Query heads that share a key-value head.
    #[inline(always)]
    pub(super) fn heads_per_group(&self) -> usize {
        self.attention.n_heads / self.shape.n_heads
    }

    /// A head's keys and values in a block.
    #[inline(always)]
    pub(super) fn block(&self, block: usize, kv_head: usize) -> (*mut u8, *mut u8) {
        let head = block * self.shape.n_heads + kv_head;
        let keys = self.keys.get().wrapping_add(head * self.shape.key_bytes());
        (keys, self.values.get().wrapping_add(head * self.shape.value_bytes()))
    }

    /// The key-value head and the tiles of a unit, whose keys may be divided among several jobs.
    pub(super) fn place(&self, plan: Plan, unit: usize) -> (usize, Range<usize>) {
        let first = unit / self.shape.n_heads * plan.tiles_per_job;
        (unit % self.shape.n_heads, first..(first + plan.tiles_per_job).min(plan.n_tiles))
    }

    /// The parts that the rows of some tiles see.
    pub(super) fn parts(&self, plan: Plan, tiles: &Range<usize>) -> Parts {
        let (first_row, end) = (tiles.start * plan.rows_per_tile, tiles.end * plan.rows_per_tile);
        Parts::of(self.attention.window, self.position(plan, first_row), self.position(plan, end - 1))
    }

    /// The position of a row's token. Rows beyond the last one repeat it.
    pub(super) fn position(&self, plan: Plan, row: usize) -> usize {
        self.first_position + row.min(plan.n_rows - 1) / self.heads_per_group()
    }

    /// The token and the query head of a row of a key-value head.
    #[inline(always)]
    pub(super) fn token_and_head(&self, kv_head: usize, row: usize) -> (usize, usize) {
        let per_group = self.heads_per_group();
        (row / per_group, kv_head * per_group + row % per_group)
    }
}
