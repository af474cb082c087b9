//! A tiny random Llama as a GGUF file, for tests of everything between such a file and a running model.
//!
//! Its tokens are the 256 bytes, in GPT-2's spelling, and an end token.

use std::collections::BTreeSet;

const HIDDEN: u64 = 32;
const INTERMEDIATE: u64 = 64;
const HEAD_DIM: u64 = 16;
const ALIGNMENT: usize = 32;

/// The contents of a file, which a test can extend before it is written.
pub(crate) struct TinyGguf {
    /// For each pair: key, number of the value's type, bytes of the value.
    pairs: Vec<(String, u32, Vec<u8>)>,
    /// For each tensor: name, dimensions (columns first), numbers.
    tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
}

impl TinyGguf {
    pub(crate) fn new() -> Self {
        let mut this = Self { pairs: Vec::new(), tensors: Vec::new() };
        this.text("general.architecture", "llama");
        for (key, value) in [
            ("block_count", 1),
            ("context_length", 256),
            ("embedding_length", u32::try_from(HIDDEN).unwrap()),
            ("feed_forward_length", u32::try_from(INTERMEDIATE).unwrap()),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
        ] {
            this.pairs.push((format!("llama.{key}"), 4, u32::to_le_bytes(value).to_vec()));
        }
        this.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        this.text("tokenizer.ggml.model", "gpt2");
        this.text("tokenizer.ggml.pre", "gpt-2");
        let mut tokens: Vec<String> = spelling();
        tokens.push("<|endoftext|>".to_owned());
        let kinds = (0..tokens.len()).map(|id| if id < 256 { 1_i32 } else { 3 });
        let kinds: Vec<Vec<u8>> = kinds.map(|it| it.to_le_bytes().to_vec()).collect();
        this.list("tokenizer.ggml.token_type", 5, &kinds);
        let texts: Vec<Vec<u8>> = tokens.iter().map(|it| text(it)).collect();
        this.list("tokenizer.ggml.tokens", 8, &texts);
        this.list("tokenizer.ggml.merges", 8, &[]);
        this.pairs.push(("tokenizer.ggml.eos_token_id".to_owned(), 4, 256_u32.to_le_bytes().to_vec()));
        let n_tokens = tokens.len() as u64;
        for (name, dims) in [
            ("token_embd.weight", vec![HIDDEN, n_tokens]),
            ("output_norm.weight", vec![HIDDEN]),
            ("blk.0.attn_norm.weight", vec![HIDDEN]),
            ("blk.0.attn_q.weight", vec![HIDDEN, 2 * HEAD_DIM]),
            ("blk.0.attn_k.weight", vec![HIDDEN, HEAD_DIM]),
            ("blk.0.attn_v.weight", vec![HIDDEN, HEAD_DIM]),
            ("blk.0.attn_output.weight", vec![2 * HEAD_DIM, HIDDEN]),
            ("blk.0.ffn_norm.weight", vec![HIDDEN]),
            ("blk.0.ffn_gate.weight", vec![HIDDEN, INTERMEDIATE]),
            ("blk.0.ffn_up.weight", vec![HIDDEN, INTERMEDIATE]),
            ("blk.0.ffn_down.weight", vec![INTERMEDIATE, HIDDEN]),
        ] {
            this.random(name, &dims);
        }
        this
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.pairs.push((key.to_owned(), 8, text(value)));
    }

    pub(crate) fn float(&mut self, key: &str, value: f32) {
        self.pairs.push((key.to_owned(), 6, value.to_le_bytes().to_vec()));
    }

    fn list(&mut self, key: &str, kind: u32, items: &[Vec<u8>]) {
        let head = [&kind.to_le_bytes()[..], &(items.len() as u64).to_le_bytes()].concat();
        self.pairs.push((key.to_owned(), 9, [head, items.concat()].concat()));
    }

    /// Adds a tensor of small numbers.
    pub(crate) fn random(&mut self, name: &str, dims: &[u64]) {
        let n_numbers: u64 = dims.iter().product();
        let mut state = name.bytes().fold(7_u32, |state, it| state.wrapping_mul(31).wrapping_add(it.into()));
        let numbers = (0..n_numbers)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from(u16::try_from(state >> 16).unwrap()) / 65536.0 - 0.4
            })
            .collect();
        self.tensors.push((name.to_owned(), dims.to_vec(), numbers));
    }

    /// Adds Llama 3's scaling by `factor`, as llama.cpp stores it.
    pub(crate) fn llama3_rope(&mut self, factor: f64) {
        let base = 10_000_f64;
        #[expect(clippy::cast_possible_truncation, reason = "as the file has them")]
        let freqs = (0..8)
            .map(|i| {
                let wave = std::f64::consts::TAU * base.powf(f64::from(i) / 8.0);
                let smooth = ((8192.0 / wave - 1.0) / 3.0).clamp(0.0, 1.0);
                ((1.0 - smooth) / factor + smooth).recip() as f32
            })
            .collect();
        self.tensors.push(("rope_freqs.weight".to_owned(), vec![HEAD_DIM / 2], freqs));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.pairs {
            out.extend(text(key));
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        let mut offset = 0;
        for (name, dims, numbers) in &self.tensors {
            out.extend(text(name));
            out.extend(u32::try_from(dims.len()).unwrap().to_le_bytes());
            out.extend(dims.iter().flat_map(|it| it.to_le_bytes()));
            // The code of F32.
            out.extend(0_u32.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset = (offset + 4 * numbers.len()).next_multiple_of(ALIGNMENT);
        }
        for (.., numbers) in &self.tensors {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(numbers.iter().flat_map(|it| it.to_le_bytes()));
        }
        out
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The characters that GPT-2 uses for bytes: printable ones for themselves, and those from 256 on for the others.
fn spelling() -> Vec<String> {
    let printable: BTreeSet<u32> = (33..=126).chain(161..=172).chain(174..=255).collect();
    let mut next = 256;
    (0..256)
        .map(|byte| {
            let code = if printable.contains(&byte) {
                byte
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).unwrap().to_string()
        })
        .collect()
}
