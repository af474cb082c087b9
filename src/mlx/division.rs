//! Divides a model among the processes of a group: [`divide`].
//!
//! As in mlx_lm's `shard`, each process has some heads of every attention and some of the inner numbers of every
//! feed-forward network and expert, so each computes a part of what a layer adds to the residual, and the parts are summed
//! up. Here also the vocabulary is divided: a process has some rows of the embedding and of the output matrix. So nearly
//! every weight is in one process only. Parts need not be equal.

#[cfg(test)]
mod tests;

use std::ops::Range;

use mlx_rs::ops::indexing::TryIndexOp;

use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer};
use crate::group::Group;
use crate::network::Network;
use crate::parts::{Attention, Experts, Heads, KvSource, Mlp, Shared};
use crate::vocabulary_part::VocabularyPart;
use crate::weights::Matrix;

/// Parts of at least so many numbers are faster than smaller ones.
const LINE: i32 = 32;

/// Leaves of the network what this process of the group computes. Its weights must not have been read.
pub(crate) fn divide(network: Network, group: &Group) -> Result<Network, LoadError> {
    let divider = Divider { group };
    if network.token_inputs.is_some() {
        return Err(divider.cannot("it has an embedding for each layer"));
    }
    let n_all = i32::try_from(network.vocabulary_size).unwrap_or(i32::MAX);
    let part = divider.vocabulary(n_all)?;
    let embedding = network.embedding.outputs(part.tokens.clone())?;
    let head = network.head.map(|it| it.outputs(part.tokens.clone())).transpose()?;
    let blocks = network.blocks.into_iter().map(|it| divider.block(it)).collect::<Result<_, _>>()?;
    Ok(Network { embedding, head, blocks, vocabulary_part: Some(part), ..network })
}

struct Divider<'a> {
    group: &'a Group,
}

impl Divider<'_> {
    fn cannot(&self, what: impl Into<String>) -> LoadError {
        LoadError::Division { n: self.group.size(), what: what.into() }
    }

    /// This process's share of `n` things, which stay together in `unit`s; `None` if there are too few for all.
    fn share(&self, n: i32, unit: i32) -> Option<Range<i32>> {
        share(n, unit, self.group.rank(), self.group.size())
    }

    fn vocabulary(&self, n_all: i32) -> Result<VocabularyPart, LoadError> {
        let size = self.group.size();
        let n_each = (n_all / size + i32::from(n_all % size > 0)).saturating_add(LINE - 1) / LINE * LINE;
        let at = |rank: i32| rank.saturating_mul(n_each).min(n_all);
        let rank = self.group.rank();
        if at(size - 1) == n_all {
            return Err(self.cannot(format!("its vocabulary has only {n_all} tokens")));
        }
        Ok(VocabularyPart { group: self.group.clone(), tokens: at(rank)..at(rank + 1), n_each, n_all })
    }

    fn block(&self, mut block: Block) -> Result<Block, LoadError> {
        if block.token_gate.is_some() {
            return Err(self.cannot("it has an embedding for each layer"));
        }
        block.mixer.inner = match block.mixer.inner {
            Mixer::Attention(it) => Mixer::Attention(self.attention(it)?),
            Mixer::Latent(_) => return Err(self.cannot("it has attention to latents")),
            Mixer::GatedDelta(_) | Mixer::Mamba2(_) => return Err(self.cannot("it has recurrent layers")),
            Mixer::ShortConv(_) => return Err(self.cannot("it has convolutions")),
        };
        block.feed_forward.inner = match block.feed_forward.inner {
            FeedForward::Mlp(it) => FeedForward::Mlp(self.mlp(&it)?),
            FeedForward::Experts(it) => FeedForward::Experts(self.experts(it)?),
            FeedForward::Both(_) => return Err(self.cannot("it has experts beside a dense network")),
        };
        (block.mixer.group, block.feed_forward.group) = (Some(self.group.clone()), Some(self.group.clone()));
        Ok(block)
    }

    /// Whether this process adds what is added only once.
    fn is_first(&self) -> bool {
        self.group.rank() == 0
    }

    fn attention(&self, it: Attention) -> Result<Attention, LoadError> {
        let Heads { n_heads, n_kv_heads, head_dim } = it.heads;
        let KvSource::Own { k_proj, v_proj } = &it.source else {
            return Err(self.cannot("its layers share keys and values"));
        };
        if [&it.q_norm, &it.k_norm].into_iter().flatten().any(|norm| norm.weight.dim(0) != head_dim) {
            return Err(self.cannot("it has a norm over all heads together"));
        }
        // A key-value head stays with the query heads that share it, and the inputs of the output projection stay with
        // those that have a scale in common with them.
        let n_shared = n_heads / n_kv_heads;
        let unit = it.o_proj.matrix.input_unit();
        let n_together = (1..=n_kv_heads).find(|n| n * n_shared * head_dim % unit == 0).unwrap_or(n_kv_heads);
        let Some(kv_heads) = self.share(n_kv_heads, n_together) else {
            return Err(self.cannot(format!("it has {n_kv_heads} key-value heads")));
        };
        let numbers = |heads: &Range<i32>| heads.start * head_dim..heads.end * head_dim;
        let heads = kv_heads.start * n_shared..kv_heads.end * n_shared;
        let (queries, keys) = (numbers(&heads), numbers(&kv_heads));
        Ok(Attention {
            q_proj: it.q_proj.outputs(queries.clone())?,
            source: KvSource::Own { k_proj: k_proj.outputs(keys.clone())?, v_proj: v_proj.outputs(keys)? },
            o_proj: it.o_proj.inputs(&queries, self.is_first())?,
            gate_proj: it.gate_proj.as_ref().map(|it| it.outputs(queries)).transpose()?,
            sinks: it.sinks.as_ref().map(|it| it.try_index(heads.clone())).transpose()?,
            heads: Heads {
                n_heads: heads.end - heads.start,
                n_kv_heads: kv_heads.end - kv_heads.start,
                head_dim,
            },
            ..it
        })
    }

    fn mlp(&self, it: &Mlp) -> Result<Mlp, LoadError> {
        let inner = self.inner(&it.down.matrix)?;
        Ok(Mlp {
            gate: it.gate.as_ref().map(|it| it.outputs(inner.clone())).transpose()?,
            up: it.up.outputs(inner.clone())?,
            down: it.down.inputs(&inner, self.is_first())?,
            activation: it.activation,
        })
    }

    fn experts(&self, it: Experts) -> Result<Experts, LoadError> {
        let inner = self.inner(&it.down.matrix)?;
        let shared =
            it.shared.map(|it| Ok::<_, LoadError>(Shared { mlp: self.mlp(&it.mlp)?, gate: it.gate }));
        Ok(Experts {
            gate: it.gate.outputs(inner.clone())?,
            up: it.up.outputs(inner.clone())?,
            down: it.down.inputs(&inner, self.is_first())?,
            shared: shared.transpose()?,
            ..it
        })
    }

    /// The share of a network's inner numbers, which `down` takes.
    fn inner(&self, down: &Matrix) -> Result<Range<i32>, LoadError> {
        let (n, unit) = (down.n_inputs(), down.input_unit());
        let fast = Some(unit.max(LINE)).filter(|fast| n % fast == 0);
        let share = fast.and_then(|fast| self.share(n, fast)).or_else(|| self.share(n, unit));
        share.ok_or_else(|| {
            self.cannot(format!("its networks have {n} inner numbers, {unit} of which stay together"))
        })
    }
}

/// The share of process `rank` of `size` in `n` things, which stay together in `unit`s; `None` if there are too few for
/// all.
fn share(n: i32, unit: i32, rank: i32, size: i32) -> Option<Range<i32>> {
    let n_units = n / unit;
    let at = |rank: i32| i64::from(rank) * i64::from(n_units) / i64::from(size) * i64::from(unit);
    let at = |rank: i32| i32::try_from(at(rank)).ok();
    (n % unit == 0 && n_units >= size).then_some(at(rank)?..at(rank + 1)?)
}
