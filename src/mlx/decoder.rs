//! A decoder at work: [`Decoder`] runs a ragged batch through embedding, layers and output matrix.
//!
//! The rows of all spans are stacked. Consecutive layers that the CPU kernels can compute become one operation; the
//! others consist of MLX's operations.

use std::ops::Range;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Dtype, transforms};

use crate::LoadError;
use crate::block::{Block, Mixer};
use crate::cpu::{PackedLinear, Program, pack};
use crate::network::{Logits, Network, activation_type, scaled};
use crate::parts::{Heads, KvSource, Norm, TokenInputs};
use crate::state::{ArrayCache, KvBits, KvQuantization, LayerState, Recurrent, SpanRows};
use crate::vocabulary_part::VocabularyPart;
use crate::weights::{Matrix, Reader};

pub(crate) struct Decoder {
    embedding: Matrix,
    embedding_scale: f32,
    /// The tokens that embedding and output matrix have; `None` if they have all.
    vocabulary_part: Option<VocabularyPart>,
    token_inputs: Option<TokenInputs>,
    layers: Vec<Layers>,
    output: Output,
    logits: Logits,
    kv_bytes_per_token: u64,
}

/// Layers that are computed in the same way.
#[expect(clippy::large_enum_variant, reason = "there is one per layer")]
enum Layers {
    Packed(Program),
    Mlx { block: Block, state: StateKind },
}

/// What a layer of MLX's operations keeps for each slot.
#[derive(Clone, Copy)]
enum StateKind {
    KeysAndValues {
        heads: Heads,
        quantization: Option<KvQuantization>,
    },
    /// `n` numbers per token.
    Latents {
        n: i32,
    },
    Recurrent {
        n_bytes: u64,
    },
    /// It looks at the keys and values of another layer.
    Nothing,
}

/// The last norm and the output matrix.
enum Output {
    Packed(PackedLinear),
    Mlx { norm: Norm, matrix: Matrix },
}

impl Decoder {
    /// Reads the weights, and packs for the CPU kernels what they can compute.
    pub(crate) fn read(network: Network, reader: &mut Reader<'_>) -> std::result::Result<Self, LoadError> {
        let Network {
            mut embedding,
            embedding_scale,
            mut token_inputs,
            blocks,
            mut norm,
            head,
            logits,
            vocabulary_part,
            ..
        } = network;
        let dtype = activation_type(&embedding, &norm);
        reader.place(&mut embedding)?;
        if let Some(inputs) = &mut token_inputs {
            inputs.visit(&mut |it| reader.read(it))?;
            inputs.visit(&mut |it| reader.pack(it))?;
        }
        let layers = read_layers(blocks, reader)?;
        norm.visit(&mut |it| reader.read(it))?;
        let matrix = match head {
            Some(mut head) => {
                reader.place(&mut head)?;
                head
            }
            None => embedding.clone(),
        };
        let kv_bytes_per_token = layers.iter().map(|it| it.kv_bytes_per_token(dtype)).sum();
        let output = Output::new(norm, matrix)?;
        Ok(Self {
            embedding,
            embedding_scale,
            vocabulary_part,
            token_inputs,
            layers,
            output,
            logits,
            kv_bytes_per_token,
        })
    }

    /// Empty states for a slot, one per layer.
    pub(crate) fn make_states(&self) -> Vec<LayerState> {
        let mut states = Vec::new();
        for layers in &self.layers {
            match layers {
                Layers::Packed(program) => states.extend(program.make_states()),
                Layers::Mlx { state: StateKind::KeysAndValues { quantization, .. }, .. } => {
                    states.push(LayerState::Arrays(ArrayCache::new(*quantization)));
                }
                Layers::Mlx { state: StateKind::Latents { .. }, .. } => {
                    states.push(LayerState::Arrays(ArrayCache::new(None)));
                }
                Layers::Mlx { state: StateKind::Recurrent { .. }, .. } => {
                    states.push(LayerState::Recurrent(Recurrent::default()));
                }
                Layers::Mlx { state: StateKind::Nothing, .. } => states.push(LayerState::Nothing),
            }
        }
        states
    }

    /// Appends `tokens` of another slot's states, with their keys rotated to the new positions. The result need not
    /// have been evaluated yet.
    pub(crate) fn append_shifted(
        &self,
        to: &mut [LayerState],
        from: &[LayerState],
        tokens: &Range<usize>,
    ) -> Result<()> {
        let mut at = 0;
        for layers in &self.layers {
            for layer in 0..layers.n_layers() {
                layers.append_shifted(layer, &mut to[at + layer], &from[at + layer], tokens)?;
            }
            at += layers.n_layers();
        }
        Ok(())
    }

    /// Removes the tokens at these positions, with the keys of those behind rotated to their new positions, layer by layer,
    /// so that no more than one of them is in memory twice.
    pub(crate) fn drop_tokens(&self, states: &mut [LayerState], tokens: &Range<usize>) -> Result<()> {
        let mut at = 0;
        for layers in &self.layers {
            for layer in 0..layers.n_layers() {
                let state = &mut states[at + layer];
                let Some(n_tokens) = state.n_tokens() else { continue };
                let mut kept = state.copy_prefix(tokens.start)?;
                kept.fit()?;
                let whole = std::mem::replace(state, kept);
                layers.append_shifted(layer, state, &whole, &(tokens.end..n_tokens))?;
                transforms::eval(state.pending())?;
                state.settle();
            }
            at += layers.n_layers();
        }
        Ok(())
    }

    /// Bytes per token of keys and values, in all layers.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        self.kv_bytes_per_token
    }

    /// Bytes per token of the activations of a step; `None` unless the kernels compute all layers.
    pub(crate) fn packed_bytes_per_row(&self) -> Option<u64> {
        let of = |it: &Layers| match it {
            Layers::Packed(program) => Some(program.bytes_per_row()),
            Layers::Mlx { .. } => None,
        };
        self.layers.iter().map(of).try_fold(0, |most: u64, bytes| Some(most.max(bytes?)))
    }

    /// Bytes of a slot's states that do not depend on the number of tokens, and that cannot be cut.
    pub(crate) fn recurrent_bytes(&self) -> u64 {
        let of = |it: &Layers| match it {
            Layers::Mlx { state: StateKind::Recurrent { n_bytes }, .. } => *n_bytes,
            _ => 0,
        };
        self.layers.iter().map(of).sum()
    }

    /// Feeds the tokens `[T]` of all spans and returns the logits `[n_out, vocab_size]` of the rows in `out_rows`;
    /// `None` if there are none, as for all but the last chunk of a prompt.
    pub(crate) fn forward(
        &self,
        tokens: &Array,
        spans: &mut [SpanRows<'_>],
        out_rows: &[i32],
    ) -> Result<Option<Array>> {
        let rows = match &self.vocabulary_part {
            Some(part) => part.rows(&self.embedding, tokens)?,
            None => self.embedding.rows(tokens)?,
        };
        let mut h = scaled(rows, self.embedding_scale)?;
        let inputs = self.token_inputs.as_ref().map(|it| it.forward(tokens, &h)).transpose()?;
        let mut at = 0;
        for layers in &self.layers {
            h = match layers {
                Layers::Packed(program) => program.forward(&h, at, spans)?,
                Layers::Mlx { block, .. } => block.forward(&h, inputs.as_ref(), at, spans)?,
            };
            at += layers.n_layers();
        }
        if out_rows.is_empty() {
            return Ok(None);
        }
        // The output matrix is the largest of all, so only the requested rows pass through it.
        let n_out = i32::try_from(out_rows.len()).expect("a batch has fewer than 2^31 rows");
        if n_out != h.dim(0) {
            h = h.take_axis(Array::from_slice(out_rows, &[n_out]), 0)?;
        }
        let results = self.output.forward(&h)?;
        let results = self
            .vocabulary_part
            .as_ref()
            .map_or_else(|| Ok(results.clone()), |it| it.all_logits(&results))?;
        self.logits.of(results).map(Some)
    }
}

impl Layers {
    /// Appends `tokens` of another state of one of these layers, with their keys rotated to the new positions.
    fn append_shifted(
        &self,
        layer: usize,
        to: &mut LayerState,
        from: &LayerState,
        tokens: &Range<usize>,
    ) -> Result<()> {
        match self {
            Self::Packed(program) => program.append_shifted(layer, to, from, tokens),
            Self::Mlx { block, .. } => match &block.mixer.inner {
                Mixer::Attention(it) if matches!(it.source, KvSource::Layer(_)) => Ok(()),
                Mixer::Attention(it) => it.append_shifted(to.arrays_mut(), from.arrays(), &to_i32s(tokens)),
                Mixer::Latent(it) => it.append_shifted(to.arrays_mut(), from.arrays(), &to_i32s(tokens)),
                Mixer::GatedDelta(_) | Mixer::Mamba2(_) | Mixer::ShortConv(_) => {
                    Err(Exception::custom("a recurrent state cannot be moved"))
                }
            },
        }
    }

    fn n_layers(&self) -> usize {
        match self {
            Self::Packed(program) => program.n_layers(),
            Self::Mlx { .. } => 1,
        }
    }

    /// Bytes per token of keys and values, for activations of type `dtype`.
    fn kv_bytes_per_token(&self, dtype: Dtype) -> u64 {
        match self {
            Self::Packed(program) => program.kv_bytes_per_token(),
            Self::Mlx { state: StateKind::Recurrent { .. } | StateKind::Nothing, .. } => 0,
            Self::Mlx { state: StateKind::Latents { n }, .. } => n_float_bytes(*n, dtype),
            Self::Mlx { state: StateKind::KeysAndValues { heads, quantization }, .. } => {
                let n_bytes = match quantization {
                    Some(it) => it.n_bytes(heads.head_dim, dtype),
                    None => n_float_bytes(heads.head_dim, dtype),
                };
                2 * u64::from(heads.n_kv_heads.unsigned_abs()) * n_bytes
            }
        }
    }
}

impl StateKind {
    fn of(block: &Block, kv_bits: Option<KvBits>) -> std::result::Result<Self, LoadError> {
        match &block.mixer.inner {
            Mixer::Attention(attention) if matches!(attention.source, KvSource::Layer(_)) => {
                Ok(Self::Nothing)
            }
            // They are as small as quantized keys and values already.
            Mixer::Latent(attention) => Ok(Self::Latents { n: attention.n_stored() }),
            Mixer::Attention(attention) => {
                let heads = attention.heads;
                let quantized = |bits| {
                    KvQuantization::new(bits, heads.head_dim).ok_or(LoadError::KvHeads(heads.head_dim))
                };
                // MLX's operations keep keys and values in the type of the activations, which is float32 on a CPU.
                let kv_bits = kv_bits.filter(|it| *it != KvBits::ThirtyTwo);
                Ok(Self::KeysAndValues { heads, quantization: kv_bits.map(quantized).transpose()? })
            }
            Mixer::GatedDelta(net) => Ok(Self::Recurrent { n_bytes: net.n_state_bytes() }),
            Mixer::Mamba2(net) => Ok(Self::Recurrent { n_bytes: net.n_state_bytes() }),
            Mixer::ShortConv(conv) => Ok(Self::Recurrent { n_bytes: conv.n_state_bytes() }),
        }
    }
}

impl Output {
    fn new(norm: Norm, matrix: Matrix) -> std::result::Result<Self, LoadError> {
        if let Matrix::Packed(packed) = &matrix
            && let Some(linear) = packed.after(&norm)?
        {
            return Ok(Self::Packed(linear));
        }
        Ok(Self::Mlx { norm, matrix })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Packed(linear) => linear.forward(x),
            Self::Mlx { norm, matrix } => matrix.forward(&norm.forward(x)?),
        }
    }
}

fn read_layers(blocks: Vec<Block>, reader: &mut Reader<'_>) -> std::result::Result<Vec<Layers>, LoadError> {
    let (kernels, kv_bits) = (reader.placement().kernels.clone(), reader.placement().kv_bits);
    let mut layers = Vec::new();
    // Packed layers since the last one that is not.
    let mut run = Vec::new();
    for mut block in blocks {
        block.visit(&mut |it| reader.read(it))?;
        if let Some(kernels) = &kernels
            && let Some(packed) = pack(kernels, &block, kv_bits)?
        {
            run.push((packed, block.rope().cloned()));
            continue;
        }
        if !run.is_empty() {
            layers.push(Layers::Packed(Program::new(std::mem::take(&mut run))));
        }
        block.visit(&mut |it| reader.pack(it))?;
        let state = StateKind::of(&block, kv_bits)?;
        layers.push(Layers::Mlx { block, state });
    }
    if !run.is_empty() {
        layers.push(Layers::Packed(Program::new(run)));
    }
    Ok(layers)
}

/// Bytes of `n` numbers in an activation type.
fn n_float_bytes(n: i32, dtype: Dtype) -> u64 {
    u64::from(n.unsigned_abs()) * if dtype == Dtype::Float32 { 4 } else { 2 }
}

/// Token counts are bounded by the context.
fn to_i32s(tokens: &Range<usize>) -> Range<i32> {
    let to_i32 = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    to_i32(tokens.start)..to_i32(tokens.end)
}
