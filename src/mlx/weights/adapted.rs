//! How layers are taken that an adapter changes.

use mlx_rs::{Array, Dtype, ops};

use super::adapter::AdapterKind;
use super::low_rank::LowRank;
use super::matrix::Matrix;
use super::{FLOATS, Source, Weights, is_float};
use crate::LoadError;

impl Weights<'_> {
    /// A matrix with what the adapter adds to it. DoRA gives the sum of both a learned length.
    pub(super) fn adapted(
        &mut self,
        name: &str,
        matrix: Matrix,
        [n_out, n_in]: [i32; 2],
    ) -> Result<(Matrix, Option<LowRank>), LoadError> {
        let low_rank = self.low_rank(name, &[], [n_out, n_in])?;
        let length = self.adapter_array(&format!("{name}.m"), &[n_out])?;
        let (Some(low_rank), Some(length)) = (&low_rank, length) else { return Ok((matrix, low_rank)) };
        if matches!(self.source, Source::Unread) {
            return Ok((matrix, Some(low_rank.clone())));
        }
        let sum = matrix.dequantized()?.as_dtype(Dtype::Float32)?.add(low_rank.product()?)?;
        let scales = length.as_dtype(Dtype::Float32)?.divide(sum.square()?.sum_axis(-1, false)?.sqrt()?)?;
        let dtype = if self.is_float32 { Dtype::Float32 } else { matrix.dtype() };
        let up = low_rank.up.multiply(scales.expand_dims(-1)?)?.as_dtype(low_rank.up.dtype())?;
        Ok((matrix.scaled(&scales, dtype)?, Some(LowRank { down: low_rank.down.clone(), up })))
    }

    /// What the adapter adds to a layer, or to a stack of `n` of them.
    pub(super) fn low_rank(
        &mut self,
        name: &str,
        n: &[i32],
        [n_out, n_in]: [i32; 2],
    ) -> Result<Option<LowRank>, LoadError> {
        let Some(adapter) = &self.checkpoint.adapter else { return Ok(None) };
        let AdapterKind::LowRank { scale } = adapter.kind else { return Ok(None) };
        let (a, b) = (format!("{name}.lora_a"), format!("{name}.lora_b"));
        let is_stack = !n.is_empty();
        let rank = adapter.tensors.get(&a).and_then(|it| it.shape.get(1).copied()).unwrap_or(0);
        // mlx_lm has the factors of a stack the other way round.
        let [a_shape, b_shape] =
            if is_stack { [[rank, n_in], [n_out, rank]] } else { [[n_in, rank], [rank, n_out]] };
        let down = self.adapter_array(&a, &[n, &a_shape].concat())?;
        let up = self.adapter_array(&b, &[n, &b_shape].concat())?;
        let (Some(down), Some(up)) = (down, up) else { return Ok(None) };
        let up = up.multiply(Array::from_f32(scale).as_dtype(up.dtype())?)?;
        if is_stack {
            return Ok(Some(LowRank { down, up }));
        }
        Ok(Some(LowRank { down: down.transpose()?.contiguous()?, up: up.transpose()?.contiguous()? }))
    }

    /// A weight of the adapter, if it has one of this name.
    fn adapter_array(&mut self, name: &str, shape: &[i32]) -> Result<Option<Array>, LoadError> {
        let adapter = self.checkpoint.adapter.as_ref();
        let Some(tensor) = adapter.and_then(|it| it.tensors.get(name)) else { return Ok(None) };
        if !is_float(tensor.dtype) {
            return Err(tensor.wrong_type(name, FLOATS));
        }
        tensor.check_shape(name, shape)?;
        self.adapter_taken.insert(name.to_owned());
        match (&self.source, self.adapter_arrays.get(name)) {
            (Source::Lazy(_), Some(array)) => Ok(Some(array.clone())),
            _ => Ok(Some(ops::zeros::<f32>(shape)?)),
        }
    }
}
