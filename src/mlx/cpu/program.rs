//! Consecutive layers as one MLX operation that runs our kernels: [`Program`].
//!
//! An MLX operation costs a few microseconds to build, schedule and hand to its thread, and memory for its result. At
//! one token per step, five operations per layer cost a fifth of a small model's time. So the layers become a list of
//! [`Op`]s, which read and write a few registers: the residual, and memory to work in.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use mlx_rs::Array;
use mlx_rs::error::Result;
use mlx_rs::ops::indexing::TryIndexOp;
use runabout_kernels::{Activation, Cpu, Epilogue, Gating, activated, gated, rms_norm};

use super::attention::{PackedAttention, Positions, SpanCache, append_rotated};
use super::experts::PackedExperts;
use super::kernel_op::{Inputs, OpError, kernel_op};
use super::linear::{HostNorm, PackedLinear};
use super::packed::{to_i32, to_usize};
use crate::parts::Rope;
use crate::state::{LayerState, SpanRows};

/// Floats in a cache line.
const LINE_FLOATS: usize = 16;

/// Where an operation reads and writes, for each row of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    /// What the layers add to.
    Residual = 0,
    A = 1,
    B = 2,
    C = 3,
}

const N_REGISTERS: usize = 4;

/// A step of a layer. `from` and `to` differ.
pub(super) enum Op {
    /// Writes `linear(from)`, with the norm before it, if any.
    Linear {
        linear: PackedLinear,
        from: Register,
        to: Register,
    },
    /// Adds `linear(from)` to the residual.
    AddLinear {
        linear: PackedLinear,
        from: Register,
    },
    /// Writes the outputs of the heads from the projections of queries, keys and values.
    Attend {
        from: Register,
        to: Register,
    },
    Norm {
        norm: HostNorm,
        from: Register,
        to: Register,
    },
    /// Writes the gated values of rows of `[gate, up]`, `n` numbers each.
    Gate {
        gating: Gating,
        n: usize,
        from: Register,
        to: Register,
    },
    /// Replaces each of `n` numbers by `activation` of it.
    Activate {
        activation: Activation,
        n: usize,
        at: Register,
    },
    /// Multiplies each of `n` numbers by the sigmoid of the one in `gate`.
    GateBy {
        n: usize,
        gate: Register,
        at: Register,
    },
    Experts {
        experts: Box<PackedExperts>,
        from: Register,
        to: Register,
    },
    /// Adds `scale * from` to the residual.
    Add {
        scale: f32,
        from: Register,
    },
}

/// A layer that the kernels compute.
pub(crate) struct PackedBlock {
    pub(super) cpu: Arc<Cpu>,
    pub(super) n_hidden: usize,
    pub(super) attention: PackedAttention,
    pub(super) ops: Vec<Op>,
}

/// Consecutive layers as one operation.
pub(crate) struct Program {
    blocks: Arc<[PackedBlock]>,
    /// Of each layer's attention.
    ropes: Vec<Option<Rc<Rope>>>,
    n_hidden: usize,
    /// The numbers per row of each register.
    widths: [usize; N_REGISTERS],
}

impl Program {
    /// Layers with their ropes, in order. There is at least one.
    pub(crate) fn new(layers: Vec<(PackedBlock, Option<Rc<Rope>>)>) -> Self {
        let (blocks, ropes): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        let n_hidden = blocks.first().map_or(0, |it| it.n_hidden);
        let mut widths = [n_hidden, 0, 0, 0];
        for (register, width) in blocks.iter().flat_map(PackedBlock::widths) {
            let held = &mut widths[register as usize];
            *held = width.max(*held);
        }
        Self { blocks: blocks.into(), ropes, n_hidden, widths }
    }

    pub(crate) fn n_layers(&self) -> usize {
        self.blocks.len()
    }

    /// An empty state for each layer.
    pub(crate) fn make_states(&self) -> impl Iterator<Item = LayerState> {
        self.blocks.iter().map(|it| it.attention.make_state())
    }

    /// Bytes per token of keys and values, in all layers.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        self.blocks.iter().map(|it| it.attention.kv_bytes_per_token()).sum()
    }

    /// Bytes per token that a step takes: input, result, registers, and as much again for what the kernels hold.
    pub(crate) fn bytes_per_row(&self) -> u64 {
        let n_numbers = 2 * self.n_hidden + self.widths.iter().sum::<usize>();
        2 * (n_numbers * size_of::<f32>()) as u64
    }

    /// Computes `[T, hidden_size]` from `[T, hidden_size]`, and appends keys and values to the spans' states, of which
    /// the first layer's is `first_layer`.
    pub(crate) fn forward(&self, x: &Array, first_layer: usize, spans: &mut [SpanRows<'_>]) -> Result<Array> {
        let n_rows = to_usize(x.dim(0));
        // Scratch memory is part of the result, as extra rows, so that MLX counts it.
        let n_work: usize = self.widths.iter().map(|it| n_rows * it + LINE_FLOATS).sum();
        let n_work_rows = (n_work + LINE_FLOATS).div_ceil(self.n_hidden);
        let layers = first_layer..first_layer + self.blocks.len();
        let caches: Vec<Vec<_>> = layers
            .clone()
            .map(|layer_idx| spans.iter().map(|it| SpanCache::new(it, layer_idx)).collect())
            .collect();
        // All layers have the same positions.
        let n_positions = caches.first().into_iter().flatten().map(SpanCache::n_positions).max().unwrap_or(0);
        let positions: Vec<Positions> =
            self.ropes.iter().map(|it| it.as_ref().map(|it| it.table(n_positions))).collect();
        let (blocks, widths) = (Arc::clone(&self.blocks), self.widths);
        let n_values = n_rows * self.n_hidden;
        let shape = [to_i32(n_rows + n_work_rows), to_i32(self.n_hidden)];
        let output = kernel_op(c"layers", &[x], &shape, move |inputs: &Inputs<'_>, out: &mut [f32]| {
            let (result, work) = out.split_at_mut_checked(n_values).ok_or(TOO_SHORT)?;
            let mut registers = registers(work, n_rows, widths)?;
            registers[Register::Residual as usize].copy_from_slice(inputs.slice(0)?);
            for ((block, caches), positions) in blocks.iter().zip(&caches).zip(&positions) {
                block.run(n_rows, &mut registers, caches, positions)?;
            }
            result.copy_from_slice(registers[Register::Residual as usize]);
            Ok(())
        })?;
        for span in spans {
            for state in &mut span.states[layers.clone()] {
                state.in_place_mut().written_by(output.clone());
            }
        }
        output.try_index((..to_i32(n_rows), ..))
    }

    /// Appends `tokens` of another state of one of these layers, with their keys rotated to the new positions.
    pub(crate) fn append_shifted(
        &self,
        layer: usize,
        to: &mut LayerState,
        from: &LayerState,
        tokens: &Range<usize>,
    ) -> Result<()> {
        let (cpu, rope) = (&self.blocks[layer].cpu, self.ropes[layer].as_ref());
        append_rotated(cpu, to.in_place_mut(), from.in_place(), tokens, rope)
    }
}

impl PackedBlock {
    /// The numbers per row that its operations write, by register.
    fn widths(&self) -> impl Iterator<Item = (Register, usize)> {
        self.ops.iter().filter_map(|op| match op {
            Op::Linear { linear, to, .. } => Some((*to, linear.n_outputs())),
            Op::Attend { to, .. } => Some((*to, self.attention.n_outputs())),
            Op::Norm { norm, to, .. } => Some((*to, norm.len())),
            Op::Gate { n, to, .. } => Some((*to, *n)),
            Op::Experts { to, .. } => Some((*to, self.n_hidden)),
            Op::AddLinear { .. } | Op::Activate { .. } | Op::GateBy { .. } | Op::Add { .. } => None,
        })
    }

    /// Runs all operations on `n_rows` rows; the first register is replaced by the output of the layer.
    fn run(
        &self,
        n_rows: usize,
        registers: &mut [&mut [f32]; N_REGISTERS],
        caches: &[SpanCache],
        positions: &Positions,
    ) -> std::result::Result<(), OpError> {
        let cpu = &self.cpu;
        for op in &self.ops {
            match op {
                Op::Linear { linear, from, to } => {
                    let (n_in, n_out) = (linear.n_inputs(), linear.n_outputs());
                    let (x, out) = two(registers, (*from, n_rows * n_in), (*to, n_rows * n_out))?;
                    linear.run(x, Epilogue::Store, out)?;
                }
                Op::AddLinear { linear, from } => {
                    let from = (*from, n_rows * linear.n_inputs());
                    let (x, out) = two(registers, from, (Register::Residual, n_rows * self.n_hidden))?;
                    linear.run(x, Epilogue::Accumulate, out)?;
                }
                Op::Attend { from, to } => {
                    let (n_in, n_out) = (self.attention.n_inputs(), self.attention.n_outputs());
                    let [qkv, out] = registers.get_disjoint_mut([*from as usize, *to as usize])?;
                    let qkv = qkv.get_mut(..n_rows * n_in).ok_or(TOO_SHORT)?;
                    let out = out.get_mut(..n_rows * n_out).ok_or(TOO_SHORT)?;
                    self.attention.run(cpu, qkv, positions, caches, out)?;
                }
                Op::Norm { norm, from, to } => {
                    let n = n_rows * norm.len();
                    let (x, out) = two(registers, (*from, n), (*to, n))?;
                    rms_norm(cpu, x, norm.borrow(), out)?;
                }
                Op::Gate { gating, n, from, to } => {
                    let (x, out) = two(registers, (*from, 2 * n_rows * n), (*to, n_rows * n))?;
                    gated(cpu, *gating, x, *n, out)?;
                }
                Op::Activate { activation, n, at } => {
                    activated(
                        cpu,
                        *activation,
                        registers[*at as usize].get_mut(..n_rows * n).ok_or(TOO_SHORT)?,
                    );
                }
                Op::GateBy { n, gate, at } => {
                    let (gate, out) = two(registers, (*gate, n_rows * n), (*at, n_rows * n))?;
                    out.iter_mut().zip(gate).for_each(|(out, gate)| *out /= 1.0 + (-gate).exp());
                }
                Op::Experts { experts, from, to } => {
                    let n = n_rows * self.n_hidden;
                    let (x, out) = two(registers, (*from, n), (*to, n))?;
                    experts.run(cpu, x, out)?;
                }
                Op::Add { scale, from } => {
                    let n = n_rows * self.n_hidden;
                    let (x, out) = two(registers, (*from, n), (Register::Residual, n))?;
                    out.iter_mut().zip(x).for_each(|(out, x)| *out += scale * x);
                }
            }
        }
        Ok(())
    }
}

const TOO_SHORT: &str = "there is too little memory to work in";

/// Divides memory into registers that start at cache lines.
fn registers(
    mut work: &mut [f32],
    n_rows: usize,
    widths: [usize; N_REGISTERS],
) -> std::result::Result<[&mut [f32]; N_REGISTERS], OpError> {
    let mut all: [&mut [f32]; N_REGISTERS] = Default::default();
    for (register, width) in all.iter_mut().zip(widths) {
        // MLX's memory is not aligned. Writing a vector that crosses cache lines is slow, and more so when another
        // thread uses the second line.
        let n_skipped = work.as_ptr().align_offset(LINE_FLOATS * size_of::<f32>());
        let aligned = std::mem::take(&mut work).get_mut(n_skipped..).ok_or(TOO_SHORT)?;
        (*register, work) = aligned.split_at_mut_checked(n_rows * width).ok_or(TOO_SHORT)?;
    }
    Ok(all)
}

/// The first numbers of two different registers.
fn two<'a>(
    registers: &'a mut [&mut [f32]; N_REGISTERS],
    (from, n_from): (Register, usize),
    (to, n_to): (Register, usize),
) -> std::result::Result<(&'a [f32], &'a mut [f32]), OpError> {
    let [from, to] = registers.get_disjoint_mut([from as usize, to as usize])?;
    Ok((from.get(..n_from).ok_or(TOO_SHORT)?, to.get_mut(..n_to).ok_or(TOO_SHORT)?))
}
