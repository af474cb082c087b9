//! Attention over a cache: [`attend`] takes queries, keys and values of new tokens and computes the heads' outputs.
//!
//! It has two stages. `append.rs` rotates the new tokens' queries and keys, and appends keys and values to the cache.
//! Then tiles of query rows (the heads that share a key-value head, for a few tokens) pass over their keys
//! (`tile.rs`). The keys of a sequence are divided into parts of a fixed length, each with its own softmax
//! (`part.rs`), and the parts are joined from first to last (`softmax.rs`), whether one thread does them all, as in
//! prefill, or many threads share them, as in decode. So a token's output is bit for bit the same whatever tokens are
//! computed with it.

mod append;
mod cache;
mod layout;
mod part;
mod shape;
mod shift;
mod softmax;
mod step;
mod tile;

use half::f16;

use layout::{Codes, Layout, Plain};
use softmax::Softmax;
use step::{Plan, Step};
use tile::Tile;

pub use cache::KvCache;
pub use shape::{KvShape, KvType};
pub use shift::{Rotation, append_shifted};
pub use step::{Attention, Window};

use crate::error::{expect_len, product};
use crate::memory::with_scratch;
use crate::packed::SendPtr;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, KernelError};

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
            KvType::F16 => run::<Plain<f16>>(cpu, step),
            KvType::F32 => run::<Plain<f32>>(cpu, step),
            KvType::Bits8 => run::<Codes<8>>(cpu, step),
            KvType::Bits4 => run::<Codes<4>>(cpu, step),
        }
    });
    cache.set_len(first_position + n_tokens);
    Ok(())
}

/// Runs both stages for a cache of layout `L`.
fn run<L: Layout>(cpu: &Cpu, step: Step) {
    append::append::<L>(cpu, step);
    let plan = step.plan(cpu);
    let n_units = plan.n_tiles.div_ceil(plan.tiles_per_job) * step.shape.n_heads;
    let n_jobs = n_units * plan.n_splits();
    if plan.n_splits() == 1 {
        // The last tiles have the most keys. Started first, they do not leave one thread working alone at the end.
        cpu.pool().for_each(n_jobs, |job| tile::attend::<L>(cpu, step, plan, n_jobs - 1 - job));
        return;
    }
    let per_part = plan.rows_per_tile * step.shape.padded_dim();
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
                    std::slice::from_raw_parts_mut(all_sums.get().add(at * per_part), parts.len() * per_part),
                    std::slice::from_raw_parts_mut(all_states.get().add(at), parts.len()),
                )
            };
            tile::attend_parts::<L>(cpu, step, plan, unit, parts, sums, states);
        });
        for (unit, (sums, states)) in
            sums.chunks_exact_mut(plan.n_parts * per_part).zip(states.chunks_exact(plan.n_parts)).enumerate()
        {
            cpu.run(Join { step, plan, unit, sums, states });
        }
    });
}

/// Joins the parts of one tile and writes its outputs.
struct Join<'a> {
    step: Step<'a>,
    plan: Plan,
    unit: usize,
    /// For each part `[rows][padded_dim]`. The first part's sums become the total.
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
