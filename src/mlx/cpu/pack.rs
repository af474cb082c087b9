//! Turns a layer into operations of the CPU kernels: [`pack`].

use std::sync::Arc;

use runabout_kernels::{Arrangement, Gating};

use super::attention::PackedAttention;
use super::experts::PackedExperts;
use super::kernels::Kernels;
use super::linear::HostNorm;
use super::program::{Op, PackedBlock, Register};
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::parts::{Attention, Experts, KvSource, Mlp, Norm, NormKind};
use crate::state::KvBits;
use crate::weights::Linear;

/// The layer with its weights packed; `None` if the kernels do not have all of its operations. Its weights must have
/// been read.
pub(crate) fn pack(
    kernels: &Kernels,
    block: &Block,
    kv_bits: Option<KvBits>,
) -> Result<Option<PackedBlock>, LoadError> {
    let Mixer::Attention(attention) = &block.mixer.inner else { return Ok(None) };
    let KvSource::Own { k_proj, v_proj } = &attention.source else { return Ok(None) };
    if block.token_gate.is_some()
        || block.scale.is_some()
        || block.mixer.group.is_some()
        || !PackedAttention::supports(attention, kv_bits)
        || !has_known_norms(&block.mixer)
        || !has_known_norms(&block.feed_forward)
    {
        return Ok(None);
    }
    let mut packer = Packer { kernels, ops: Vec::new() };
    packer.attention(&block.mixer, attention, [k_proj, v_proj])?;
    match &block.feed_forward.inner {
        FeedForward::Mlp(mlp) => packer.mlp(&block.feed_forward, mlp)?,
        FeedForward::Experts(experts) => packer.experts(&block.feed_forward, experts)?,
        FeedForward::Both(_) => return Ok(None),
    }
    Ok(Some(PackedBlock {
        cpu: Arc::clone(kernels.cpu()),
        n_hidden: attention.o_proj.n_outputs(),
        attention: PackedAttention::new(attention, kv_bits)?,
        ops: packer.ops,
    }))
}

/// Whether the kernels have the norms.
fn has_known_norms<T>(residual: &Residual<T>) -> bool {
    residual.before.iter().chain(&residual.after).all(|it| matches!(it.kind, NormKind::Rms))
}

/// The operations of one layer.
struct Packer<'a> {
    kernels: &'a Kernels,
    ops: Vec<Op>,
}

impl Packer<'_> {
    fn attention<T>(
        &mut self,
        residual: &Residual<T>,
        attention: &Attention,
        [k_proj, v_proj]: [&Linear; 2],
    ) -> Result<(), LoadError> {
        let Attention { q_proj, o_proj, gate_proj, .. } = attention;
        let linears = [q_proj, k_proj, v_proj];
        let linear = self.kernels.linear(residual.before.as_ref(), &linears, Arrangement::Stacked)?;
        self.ops.push(Op::Linear { linear, from: Register::Residual, to: Register::A });
        self.ops.push(Op::Attend { from: Register::A, to: Register::B });
        if let Some(gate) = gate_proj {
            let n = gate.n_outputs();
            let linear = self.kernels.linear(residual.before.as_ref(), &[gate], Arrangement::Stacked)?;
            self.ops.push(Op::Linear { linear, from: Register::Residual, to: Register::C });
            self.ops.push(Op::GateBy { n, gate: Register::C, at: Register::B });
        }
        self.add_linear(residual, o_proj, Register::B)
    }

    fn mlp<T>(&mut self, residual: &Residual<T>, mlp: &Mlp) -> Result<(), LoadError> {
        let Mlp { gate, up, down, activation } = mlp;
        let before = residual.before.as_ref();
        let (from, to) = (Register::Residual, Register::A);
        let n = up.n_outputs();
        match gate {
            Some(gate) if gate.is_matrix() && up.is_matrix() => {
                let linear = self.kernels.linear(before, &[gate, up], Arrangement::Gated(*activation))?;
                self.ops.push(Op::Linear { linear, from, to });
            }
            // The kernels have no gate of anything but a matrix, which is rare.
            Some(gate) => {
                let linear = self.kernels.linear(before, &[gate, up], Arrangement::Stacked)?;
                self.ops.push(Op::Linear { linear, from, to: Register::B });
                self.ops.push(Op::Gate { gating: Gating::Activation(*activation), n, from: Register::B, to });
            }
            None => {
                let linear = self.kernels.linear(before, &[up], Arrangement::Stacked)?;
                self.ops.push(Op::Linear { linear, from, to });
                self.ops.push(Op::Activate { activation: *activation, n, at: to });
            }
        }
        self.add_linear(residual, down, Register::A)
    }

    fn experts<T>(&mut self, residual: &Residual<T>, experts: &Experts) -> Result<(), LoadError> {
        let from = match &residual.before {
            Some(norm) => {
                self.norm(norm, Register::Residual, Register::A)?;
                Register::A
            }
            None => Register::Residual,
        };
        let experts = Box::new(PackedExperts::new(self.kernels, experts)?);
        self.ops.push(Op::Experts { experts, from, to: Register::B });
        self.add(residual, Register::B, Register::A)
    }

    /// Adds `scale * after(linear(from))` to the residual.
    fn add_linear<T>(
        &mut self,
        residual: &Residual<T>,
        linear: &Linear,
        from: Register,
    ) -> Result<(), LoadError> {
        let linear = self.kernels.linear(None, &[linear], Arrangement::Stacked)?;
        if residual.after.is_none() && !residual.is_scaled() {
            self.ops.push(Op::AddLinear { linear, from });
            return Ok(());
        }
        let to = if from == Register::A { Register::B } else { Register::A };
        self.ops.push(Op::Linear { linear, from, to });
        self.add(residual, to, from)
    }

    /// Adds `scale * after(from)` to the residual; `free` is overwritten.
    fn add<T>(&mut self, residual: &Residual<T>, from: Register, free: Register) -> Result<(), LoadError> {
        let from = match &residual.after {
            Some(norm) => {
                self.norm(norm, from, free)?;
                free
            }
            None => from,
        };
        self.ops.push(Op::Add { scale: residual.scale, from });
        Ok(())
    }

    fn norm(&mut self, norm: &Norm, from: Register, to: Register) -> Result<(), LoadError> {
        self.ops.push(Op::Norm { norm: HostNorm::new(norm)?, from, to });
        Ok(())
    }
}
