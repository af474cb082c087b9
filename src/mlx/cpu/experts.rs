//! Experts by the CPU kernels: [`PackedExperts`].

use mlx_rs::error::Result;
use runabout_kernels::{Arrangement, Cpu, Epilogue, Gating, gated};

use super::kernel_op::OpError;
use super::kernels::Kernels;
use super::linear::{HostLowRank, PackedLinear, floats};
use super::source::Source;
use crate::LoadError;
use crate::parts::{Experts, Groups, Scoring, Shared};
use crate::weights::Stack;

/// Experts, of which each row uses a few, and the network that all rows use, if any.
pub(super) struct PackedExperts {
    router: PackedLinear,
    n_used: usize,
    scoring: Scoring,
    choice_bias: Option<Vec<f32>>,
    groups: Option<Groups>,
    scale: f32,
    expert_scales: Option<Vec<f32>>,
    experts: Vec<Expert>,
    shared: Option<(Expert, Option<PackedLinear>)>,
}

/// `down(gated(gate(x), up(x)))`.
struct Expert {
    gate_up: PackedLinear,
    /// If the gate is not applied with the product.
    gate_later: Option<Gating>,
    down: PackedLinear,
}

/// A use of an expert: the row, and the weight of the expert's output.
#[derive(Clone, Copy)]
struct Use {
    row: usize,
    score: f32,
}

impl PackedExperts {
    pub(super) fn new(kernels: &Kernels, experts: &Experts) -> std::result::Result<Self, LoadError> {
        let Experts { router, routing, gate, up, down, gating, shared } = experts;
        let stacked = Arrangement::Stacked;
        let gates = layers_of(gate)?;
        let packed = gates
            .into_iter()
            .zip(layers_of(up)?)
            .zip(layers_of(down)?)
            .map(|((gate, up), down)| {
                let are_matrices = gate.is_matrix() && up.is_matrix();
                let (arrangement, gate_later) = arrangement(*gating, are_matrices);
                Ok(Expert {
                    gate_up: packed_linear(kernels, vec![gate, up], arrangement)?,
                    gate_later,
                    down: packed_linear(kernels, vec![down], stacked)?,
                })
            })
            .collect::<std::result::Result<Vec<_>, LoadError>>()?;
        let shared = shared.as_ref().map(|it| shared_expert(kernels, it)).transpose()?;
        let router = kernels.linear(None, &[router], stacked)?;
        Ok(Self {
            router,
            n_used: routing.n_used,
            scoring: routing.scoring,
            choice_bias: routing.choice_bias.as_ref().map(floats).transpose()?,
            groups: routing.groups,
            scale: routing.scale,
            expert_scales: routing.expert_scales.as_ref().map(floats).transpose()?,
            experts: packed,
            shared,
        })
    }

    /// Computes `out` `[T, n]` from `x` `[T, n]`.
    pub(super) fn run(&self, cpu: &Cpu, x: &[f32], out: &mut [f32]) -> std::result::Result<(), OpError> {
        let n = self.router.n_inputs();
        let n_rows = x.len() / n;
        let mut logits = vec![0.0; n_rows * self.router.n_outputs()];
        self.router.run(x, Epilogue::Store, &mut logits)?;
        let mut uses = vec![Vec::new(); self.experts.len()];
        for (row, logits) in logits.chunks_exact_mut(self.router.n_outputs()).enumerate() {
            for (expert, score) in self.choose(logits) {
                uses[expert].push(Use { row, score });
            }
        }
        out.fill(0.0);
        let (mut rows, mut work) = (Vec::new(), Work::default());
        for (expert, uses) in self.experts.iter().zip(&uses).filter(|it| !it.1.is_empty()) {
            rows.clear();
            for it in uses {
                rows.extend_from_slice(&x[it.row * n..(it.row + 1) * n]);
            }
            let y = expert.run(cpu, &rows, &mut work)?;
            for (y, Use { row, score }) in y.chunks_exact(n).zip(uses) {
                let out = &mut out[row * n..(row + 1) * n];
                out.iter_mut().zip(y).for_each(|(out, y)| *out += score * y);
            }
        }
        let Some((expert, gate)) = &self.shared else { return Ok(()) };
        let mut scores = vec![1.0; n_rows];
        if let Some(gate) = gate {
            gate.run(x, Epilogue::Store, &mut scores)?;
            for score in &mut scores {
                *score = sigmoid(*score);
            }
        }
        let y = expert.run(cpu, x, &mut work)?;
        for ((out, y), score) in out.chunks_exact_mut(n).zip(y.chunks_exact(n)).zip(scores) {
            out.iter_mut().zip(y).for_each(|(out, y)| *out += score * y);
        }
        Ok(())
    }
}

impl PackedExperts {
    /// A row's experts, the best first, with their scores. Changes the logits.
    fn choose(&self, logits: &mut [f32]) -> Vec<(usize, f32)> {
        match self.scoring {
            Scoring::Softmax { .. } => softmax(logits),
            Scoring::SoftmaxOfUsed => {}
            Scoring::Sigmoid { .. } => logits.iter_mut().for_each(|it| *it = sigmoid(*it)),
        }
        let mut order = logits.to_vec();
        if let Some(bias) = &self.choice_bias {
            order.iter_mut().zip(bias).for_each(|(it, bias)| *it += bias);
        }
        if let Some(groups) = self.groups {
            limit(groups, &mut order);
        }
        let mut best: Vec<_> = (0..logits.len()).collect();
        best.sort_unstable_by(|a, b| order[*b].total_cmp(&order[*a]).then(a.cmp(b)));
        best.truncate(self.n_used);
        let mut scores: Vec<_> = best.iter().map(|it| logits[*it]).collect();
        match self.scoring {
            Scoring::Softmax { is_normalized: true } | Scoring::Sigmoid { is_normalized: true } => {
                let sum: f32 = scores.iter().sum();
                for score in &mut scores {
                    *score /= sum;
                }
            }
            Scoring::Softmax { .. } | Scoring::Sigmoid { .. } => {}
            Scoring::SoftmaxOfUsed => softmax(&mut scores),
        }
        let scale =
            |expert: usize| self.expert_scales.as_ref().map_or(self.scale, |it| self.scale * it[expert]);
        best.into_iter().zip(scores).map(|(expert, score)| (expert, score * scale(expert))).collect()
    }
}

/// Replaces scores outside the best groups by 0.
fn limit(groups: Groups, scores: &mut [f32]) {
    let n_each = scores.len() / groups.n;
    let mut values: Vec<_> = scores
        .chunks_exact(n_each)
        .enumerate()
        .map(|(group, scores)| {
            let mut scores = scores.to_vec();
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
            (group, scores[..groups.n_counted].iter().sum::<f32>())
        })
        .collect();
    values.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
    for (group, _) in &values[groups.n_used..] {
        scores[group * n_each..(group + 1) * n_each].fill(0.0);
    }
}

/// Memory that all experts of a step use.
#[derive(Default)]
struct Work {
    inner: Vec<f32>,
    gates: Vec<f32>,
    y: Vec<f32>,
}

impl Expert {
    /// The outputs `[T, n]`.
    fn run<'a>(&self, cpu: &Cpu, x: &[f32], work: &'a mut Work) -> std::result::Result<&'a [f32], OpError> {
        let Work { inner, gates, y } = work;
        let n_rows = x.len() / self.gate_up.n_inputs();
        inner.resize(n_rows * self.gate_up.n_outputs(), 0.0);
        self.gate_up.run(x, Epilogue::Store, inner)?;
        let n_inner = self.down.n_inputs();
        let inner = match self.gate_later {
            Some(gating) => {
                gates.resize(n_rows * n_inner, 0.0);
                gated(cpu, gating, inner, n_inner, gates)?;
                gates
            }
            None => inner,
        };
        y.resize(n_rows * self.down.n_outputs(), 0.0);
        self.down.run(inner, Epilogue::Store, y)?;
        Ok(y)
    }
}

/// How gate and up are arranged, and the gating that is left for later: products apply only activations, and only to
/// gates of nothing but a matrix.
fn arrangement(gating: Gating, are_matrices: bool) -> (Arrangement, Option<Gating>) {
    match gating {
        Gating::Activation(activation) if are_matrices => (Arrangement::Gated(activation), None),
        _ => (Arrangement::Stacked, Some(gating)),
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(logits: &mut [f32]) {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for logit in &mut *logits {
        *logit = (*logit - greatest).exp();
    }
    let sum: f32 = logits.iter().sum();
    for logit in logits {
        *logit /= sum;
    }
}

/// One layer of a stack.
struct Layer<'a> {
    source: Source<'a>,
    low_rank: Option<HostLowRank>,
    bias: Option<Vec<f32>>,
}

impl Layer<'_> {
    fn is_matrix(&self) -> bool {
        self.low_rank.is_none() && self.bias.is_none()
    }
}

fn layers_of(stack: &Stack) -> Result<Vec<Layer<'_>>> {
    let biases = stack.bias.as_ref().map(floats).transpose()?;
    let sources: Vec<_> = Source::of_stack(&stack.matrix).collect();
    let low_ranks = stack.low_rank.as_ref().map(|it| HostLowRank::of_each(it, sources.len())).transpose()?;
    let mut low_ranks = low_ranks.into_iter().flatten();
    let bias_of = |i: usize, n: usize| biases.as_ref().map(|it| it[i * n..(i + 1) * n].to_vec());
    let layers = sources.into_iter().enumerate();
    Ok(layers
        .map(|(i, source)| Layer { source, low_rank: low_ranks.next(), bias: bias_of(i, source.shape()[0]) })
        .collect())
}

fn packed_linear(
    kernels: &Kernels,
    layers: Vec<Layer<'_>>,
    arrangement: Arrangement,
) -> std::result::Result<PackedLinear, LoadError> {
    let sources: Vec<_> = layers.iter().map(|it| it.source).collect();
    let bias: Vec<f32> = layers.iter().filter_map(|it| it.bias.as_deref()).flatten().copied().collect();
    let packed = kernels.pack_all(&sources, arrangement)?;
    let low_ranks: Vec<_> = layers.into_iter().map(|it| (it.source.shape()[0], it.low_rank)).collect();
    let low_rank = kernels.low_rank(packed.weights.n_inputs(), &low_ranks)?;
    Ok(PackedLinear { packed, low_rank, norm: None, bias: (!bias.is_empty()).then(|| bias.into()) })
}

fn shared_expert(
    kernels: &Kernels,
    shared: &Shared,
) -> std::result::Result<(Expert, Option<PackedLinear>), LoadError> {
    let mlp = &shared.mlp;
    let gate_and_up: Vec<_> = mlp.gate.iter().chain([&mlp.up]).collect();
    let are_matrices = gate_and_up.iter().all(|it| it.is_matrix());
    let (arrangement, gate_later) = arrangement(Gating::Activation(mlp.activation), are_matrices);
    let expert = Expert {
        gate_up: kernels.linear(None, &gate_and_up, arrangement)?,
        gate_later,
        down: kernels.linear(None, &[&mlp.down], Arrangement::Stacked)?,
    };
    let gate =
        shared.gate.as_ref().map(|it| kernels.linear(None, &[it], Arrangement::Stacked)).transpose()?;
    Ok((expert, gate))
}
