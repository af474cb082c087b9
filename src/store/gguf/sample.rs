//! GGUF files for tests: [`Sample`] writes any content, and [`Sample::model`] is a tiny model that can be imported.

#![allow(clippy::unwrap_used)]

use super::{GgmlType, Value};

/// The contents of a file. A test can damage every field before it writes them.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) metadata: Vec<(String, Value)>,
    /// Name, dimensions (columns first, as ggml has them), type, bytes.
    pub(crate) tensors: Vec<(String, Vec<u64>, GgmlType, Vec<u8>)>,
}

impl Sample {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3_u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            text(&mut out, key);
            out.extend(kind(value).to_le_bytes());
            put(&mut out, value);
        }
        let mut offset = 0_u64;
        for (name, dims, ggml_type, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend(u32::try_from(dims.len()).unwrap().to_le_bytes());
            for dim in dims {
                out.extend(dim.to_le_bytes());
            }
            out.extend(code(*ggml_type).to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + bytes.len() as u64).next_multiple_of(32);
        }
        for (.., bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(bytes);
        }
        out
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.metadata.retain(|(it, _)| it != key);
        self.metadata.push((key.to_owned(), value));
    }

    pub(crate) fn unset(&mut self, key: &str) {
        self.metadata.retain(|(it, _)| it != key);
    }

    /// Adds a tensor of random blocks with small scales.
    pub(crate) fn tensor(&mut self, name: &str, dims: &[u64], ggml_type: GgmlType) {
        let n_weights: u64 = dims.iter().product();
        let n_blocks = usize::try_from(n_weights).unwrap() / ggml_type.block_len();
        let mut seed = name.bytes().fold(1_u32, |seed, it| seed.wrapping_mul(31).wrapping_add(u32::from(it)));
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let mut bytes = Vec::new();
        for _ in 0..n_blocks {
            let mut block: Vec<u8> = (0..ggml_type.block_bytes()).map(|_| random()).collect();
            let scale = half::f16::from_f32(0.01).to_le_bytes();
            match ggml_type {
                GgmlType::F32 => block.copy_from_slice(&(f32::from(random()) / 256.0).to_le_bytes()),
                GgmlType::F16 => block.copy_from_slice(&scale),
                GgmlType::Bf16 => block.copy_from_slice(&half::bf16::from_f32(0.5).to_le_bytes()),
                GgmlType::Q2K => {
                    block[80..82].copy_from_slice(&scale);
                    block[82..].copy_from_slice(&scale);
                }
                GgmlType::Q3K => block[108..].copy_from_slice(&scale),
                GgmlType::Q6K => block[208..].copy_from_slice(&scale),
                GgmlType::Mxfp4 => block[0] = 120,
                GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4K | GgmlType::Q5K => {
                    block[..2].copy_from_slice(&scale);
                    block[2..4].copy_from_slice(&scale);
                }
                GgmlType::Q4_0 | GgmlType::Q5_0 | GgmlType::Q8_0 | GgmlType::Iq4Nl | GgmlType::Iq4Xs => {
                    block[..2].copy_from_slice(&scale);
                }
            }
            bytes.extend(block);
        }
        self.tensors.push((name.to_owned(), dims.to_vec(), ggml_type, bytes));
    }

    /// A model of one layer, two heads of 16, and a byte-level vocabulary of a few letters.
    pub(crate) fn model(architecture: &str) -> Self {
        let mut this = Self { metadata: Vec::new(), tensors: Vec::new() };
        this.set("general.architecture", Value::Text(architecture.to_owned()));
        for (key, value) in [
            ("block_count", 1),
            ("context_length", 64),
            ("embedding_length", 32),
            ("feed_forward_length", 64),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
        ] {
            this.set(&format!("{architecture}.{key}"), Value::Unsigned(value));
        }
        let epsilon = f64::from(1e-5_f32);
        this.set(&format!("{architecture}.attention.layer_norm_rms_epsilon"), Value::Float(epsilon));
        let tokens = [
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "a",
            "b",
            "c",
            "ab",
            "abc",
            "1",
            "\u{120}",
            "\u{120}ab",
        ];
        this.set("tokenizer.ggml.model", Value::Text("gpt2".into()));
        this.set("tokenizer.ggml.pre", Value::Text("qwen2".into()));
        this.set("tokenizer.ggml.tokens", texts(&tokens));
        let kinds = (0..tokens.len()).map(|id| Value::Signed(if id < 3 { 3 } else { 1 })).collect();
        this.set("tokenizer.ggml.token_type", Value::Array(kinds));
        this.set("tokenizer.ggml.merges", texts(&["a b", "ab c", "\u{120} ab"]));
        this.set("tokenizer.ggml.bos_token_id", Value::Unsigned(1));
        this.set("tokenizer.ggml.eos_token_id", Value::Unsigned(2));
        this.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
        this.set("tokenizer.chat_template", Value::Text("{{ messages }}".into()));

        this.tensor("token_embd.weight", &[32, tokens.len() as u64], GgmlType::Q8_0);
        this.tensor("output_norm.weight", &[32], GgmlType::F32);
        for (part, dims, ggml_type) in [
            ("attn_norm.weight", vec![32], GgmlType::F32),
            ("attn_q.weight", vec![32, 32], GgmlType::Q4_0),
            ("attn_k.weight", vec![32, 16], GgmlType::Q4_1),
            ("attn_v.weight", vec![32, 16], GgmlType::Q5_0),
            ("attn_output.weight", vec![32, 32], GgmlType::Q5_1),
            ("ffn_norm.weight", vec![32], GgmlType::F32),
            ("ffn_gate.weight", vec![32, 64], GgmlType::Q4_0),
            ("ffn_up.weight", vec![32, 64], GgmlType::Q4_0),
            ("ffn_down.weight", vec![64, 32], GgmlType::F16),
        ] {
            this.tensor(&format!("blk.0.{part}"), &dims, ggml_type);
        }
        if architecture == "qwen2" {
            for (part, len) in [("attn_q", 32), ("attn_k", 16), ("attn_v", 16)] {
                this.tensor(&format!("blk.0.{part}.bias"), &[len], GgmlType::F32);
            }
        }
        if ["qwen3", "qwen3moe", "gemma3"].contains(&architecture) {
            for part in ["attn_q_norm", "attn_k_norm"] {
                this.tensor(&format!("blk.0.{part}.weight"), &[16], GgmlType::F32);
            }
        }
        if ["granite", "granitemoe"].contains(&architecture) {
            for key in ["logit_scale", "attention.scale", "embedding_scale", "residual_scale"] {
                this.set(&format!("{architecture}.{key}"), Value::Float(0.5));
            }
        }
        if ["gemma2", "gemma3", "seed_oss", "gpt-oss"].contains(&architecture) {
            this.tensor("blk.0.post_attention_norm.weight", &[32], GgmlType::F32);
        }
        if ["gemma2", "gemma3"].contains(&architecture) {
            this.tensor("blk.0.post_ffw_norm.weight", &[32], GgmlType::F32);
        }
        if ["seed_oss", "gpt-oss"].contains(&architecture) {
            this.remove("ffn_norm");
        }
        if ["qwen3moe", "granitemoe", "gpt-oss"].contains(&architecture) {
            this.add_experts(architecture);
        }
        this
    }

    /// Four experts of 32 in place of the feed-forward network.
    fn add_experts(&mut self, architecture: &str) {
        self.remove("ffn_gate.");
        self.remove("ffn_up.");
        self.remove("ffn_down.");
        let keys = [("expert_count", 4), ("expert_used_count", 2), ("expert_feed_forward_length", 32)];
        for (key, value) in keys {
            self.set(&format!("{architecture}.{key}"), Value::Unsigned(value));
        }
        self.tensor("blk.0.ffn_gate_inp.weight", &[32, 4], GgmlType::F32);
        for part in ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"] {
            self.tensor(&format!("blk.0.{part}.weight"), &[32, 32, 4], GgmlType::Mxfp4);
        }
        if architecture == "gpt-oss" {
            self.tensor("blk.0.ffn_gate_inp.bias", &[4], GgmlType::F32);
            for part in ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"] {
                self.tensor(&format!("blk.0.{part}.bias"), &[32, 4], GgmlType::F32);
            }
            for (part, len) in [("attn_q", 32), ("attn_k", 16), ("attn_v", 16), ("attn_output", 32)] {
                self.tensor(&format!("blk.0.{part}.bias"), &[len], GgmlType::F32);
            }
            self.tensor("blk.0.attn_sinks.weight", &[2], GgmlType::F32);
        }
    }

    /// Removes the tensors of a part of the layer.
    fn remove(&mut self, part: &str) {
        self.tensors.retain(|it| !it.0.starts_with(&format!("blk.0.{part}")));
    }
}

pub(crate) fn texts(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|it| Value::Text((*it).to_owned())).collect())
}

fn code(ggml_type: GgmlType) -> u32 {
    (0..40).find(|it| GgmlType::from_code(*it) == Ok(ggml_type)).unwrap()
}

fn kind(value: &Value) -> u32 {
    match value {
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::Array(_) => 9,
        Value::Unsigned(_) => 10,
        Value::Signed(_) => 11,
        Value::Float(_) => 12,
    }
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Unsigned(it) => out.extend(it.to_le_bytes()),
        Value::Signed(it) => out.extend(it.to_le_bytes()),
        Value::Float(it) => out.extend(it.to_le_bytes()),
        Value::Bool(it) => out.push(u8::from(*it)),
        Value::Text(it) => text(out, it),
        Value::Array(items) => {
            out.extend(items.first().map_or(8, kind).to_le_bytes());
            out.extend((items.len() as u64).to_le_bytes());
            for item in items {
                put(out, item);
            }
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
