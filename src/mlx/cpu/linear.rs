//! Linear layers packed for the CPU kernels, with the norm before them: [`PackedLinear`].

use std::sync::Arc;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype};
use runabout_kernels::{Epilogue, Input, KernelError, matmul};

use super::kernel_op::kernel_op;
use super::packed::{Packed, to_i32, to_usize};
use crate::LoadError;
use crate::error::not_a_slice;
use crate::parts::{Norm, NormKind};
use crate::weights::LowRank;

impl Packed {
    /// The norm followed by this matrix, without a bias; `None` if the kernels have no such norm.
    pub(crate) fn after(&self, norm: &Norm) -> std::result::Result<Option<PackedLinear>, LoadError> {
        if !matches!(norm.kind, NormKind::Rms) {
            return Ok(None);
        }
        let norm = Some(HostNorm::new(norm)?);
        Ok(Some(PackedLinear { packed: self.clone(), low_rank: None, norm, bias: None }))
    }
}

/// `norm(x) @ weights.T + low_rank(norm(x)) + bias`, all but the weights optional. Clones share the weights.
#[derive(Clone)]
pub(crate) struct PackedLinear {
    pub(super) packed: Packed,
    pub(super) low_rank: Option<PackedLowRank>,
    pub(super) norm: Option<HostNorm>,
    pub(super) bias: Option<Arc<[f32]>>,
}

/// `x @ down.T @ up.T`.
#[derive(Clone)]
pub(super) struct PackedLowRank {
    pub(super) down: Packed,
    pub(super) up: Packed,
}

impl PackedLinear {
    /// Computes `[T, n_out]` from `[T, n_in]`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let linear = self.clone();
        let shape = [x.dim(0), to_i32(self.n_outputs())];
        kernel_op(c"linear", &[x], &shape, move |inputs, out: &mut [f32]| {
            Ok(linear.run(inputs.slice(0)?, Epilogue::Store, out)?)
        })
    }

    pub(super) fn run(
        &self,
        x: &[f32],
        epilogue: Epilogue<'_>,
        out: &mut [f32],
    ) -> std::result::Result<(), KernelError> {
        let Packed { cpu, weights } = &self.packed;
        let norm = self.norm.as_ref().map(HostNorm::borrow);
        matmul(cpu, weights, Input { x, norm, bias: self.bias.as_deref() }, epilogue, out)?;
        let Some(PackedLowRank { down, up }) = &self.low_rank else { return Ok(()) };
        let n_rows = x.len() / weights.n_inputs();
        let mut inner = vec![0.0; n_rows * down.n_outputs()];
        matmul(cpu, &down.weights, Input { x, norm, bias: None }, Epilogue::Store, &mut inner)?;
        let input = Input { x: &inner, norm: None, bias: None };
        matmul(cpu, &up.weights, input, Epilogue::Accumulate, out)
    }

    pub(super) fn n_inputs(&self) -> usize {
        self.packed.weights.n_inputs()
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.packed.weights.n_outputs()
    }
}

/// A term of low rank in host memory.
pub(super) struct HostLowRank {
    pub(super) rank: usize,
    pub(super) down: Vec<f32>, // [rank, n_in]
    pub(super) up: Vec<f32>,   // [n_out, rank]
}

impl HostLowRank {
    pub(super) fn new(low_rank: &LowRank) -> Result<Self> {
        let rank = to_usize(low_rank.down.dim(-2));
        Ok(Self { rank, down: floats(&low_rank.down)?, up: floats(&low_rank.up)? })
    }

    /// The layers of a stack of `n`, in the stack's order.
    pub(super) fn of_each(low_rank: &LowRank, n: usize) -> Result<Vec<Self>> {
        let Self { rank, down, up } = Self::new(low_rank)?;
        let parts = down.chunks_exact(down.len() / n).zip(up.chunks_exact(up.len() / n));
        Ok(parts.map(|(down, up)| Self { rank, down: down.to_vec(), up: up.to_vec() }).collect())
    }
}

/// A norm with its weight in host memory, so that it need not be an input of each operation.
#[derive(Clone)]
pub(super) struct HostNorm {
    weight: Arc<[f32]>,
    eps: f32,
}

impl HostNorm {
    pub(super) fn new(norm: &Norm) -> Result<Self> {
        Ok(Self { weight: floats(&norm.weight)?.into(), eps: norm.eps })
    }

    pub(super) fn len(&self) -> usize {
        self.weight.len()
    }

    pub(super) fn borrow(&self) -> runabout_kernels::Norm<'_> {
        runabout_kernels::Norm { weight: &self.weight, eps: self.eps }
    }
}

/// A small array as float32 numbers.
pub(super) fn floats(array: &Array) -> Result<Vec<f32>> {
    let array = array.as_dtype(Dtype::Float32)?.contiguous()?;
    array.try_as_slice().map(<[f32]>::to_vec).map_err(not_a_slice)
}
