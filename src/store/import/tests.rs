//! Imports of tiny models: the contents of the folder, and the files that are refused before anything is written.

#![allow(clippy::unwrap_used)]

mod fuzz;
mod refusals;
mod rope;

use std::fs;
use std::path::Path;

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value as Json, json};

use super::import_gguf;
use crate::folder::ModelFolder;
use crate::gguf::sample::{Sample, texts};
use crate::gguf::{GgmlType, Value};

struct Imported {
    folder: tempfile::TempDir,
}

impl Imported {
    fn json(&self, name: &str) -> Json {
        serde_json::from_slice(&fs::read(self.folder.path().join(name)).unwrap()).unwrap()
    }

    fn weights(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("model.safetensors")).unwrap()
    }
}

fn import(sample: &Sample) -> Result<Imported, String> {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    fs::create_dir(&made).unwrap();
    let gguf = folder.path().join("x.gguf");
    fs::write(&gguf, sample.bytes()).unwrap();
    let result = import_gguf(&gguf, &made, &mut |done, total| assert!(done <= total));
    match result {
        Ok(records) => {
            for record in &records {
                let bytes = fs::read(made.join(&record.name)).unwrap();
                assert_eq!(
                    (record.n_bytes, &record.sha256),
                    (bytes.len() as u64, &crate::digest::sha256_bytes(&bytes))
                );
            }
            let kept = tempfile::tempdir().unwrap();
            fs::remove_dir(kept.path()).unwrap();
            fs::rename(&made, kept.path()).unwrap();
            Ok(Imported { folder: kept })
        }
        Err(err) => {
            assert_eq!(fs::read_dir(&made).unwrap().count(), 0, "a refused file writes nothing");
            Err(err.to_string())
        }
    }
}

/// The values of a tensor in half precision.
fn halves(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(2).map(|it| f16::from_le_bytes(it.try_into().unwrap()).to_f32()).collect()
}

/// The values of a vector, which is stored as f32.
fn singles(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
}

#[test]
fn a_llama_file_becomes_a_folder_that_opens() {
    let imported = import(&Sample::model("llama")).unwrap();
    let folder = ModelFolder::open(imported.folder.path()).unwrap();
    assert_eq!(folder.weight_bytes, imported.weights().len() as u64);

    let config = imported.json("config.json");
    for (key, expected) in [
        ("model_type", json!("llama")),
        ("hidden_size", json!(32)),
        ("intermediate_size", json!(64)),
        ("num_hidden_layers", json!(1)),
        ("num_attention_heads", json!(2)),
        ("num_key_value_heads", json!(1)),
        ("head_dim", json!(16)),
        ("max_position_embeddings", json!(64)),
        ("rms_norm_eps", json!(1e-5)),
        ("rope_theta", json!(10_000.0)),
        ("rope_scaling", Json::Null),
        ("tie_word_embeddings", json!(true)),
        ("vocab_size", json!(11)),
        ("torch_dtype", json!("float16")),
        ("eos_token_id", json!([2, 0])),
        ("attention_bias", json!(false)),
    ] {
        assert_eq!(config[key], expected, "{key}");
    }
    let quantization = &config["quantization"];
    assert_eq!((&quantization["group_size"], &quantization["bits"]), (&json!(32), &json!(4)));
    assert_eq!(quantization["model.embed_tokens"], json!({ "group_size": 32, "bits": 8, "mode": "affine" }));
    assert_eq!(quantization["model.layers.0.self_attn.v_proj"]["bits"], json!(5));
    assert_eq!(quantization.get("model.layers.0.self_attn.q_proj"), None, "the default needs no entry");
    assert_eq!(imported.json("generation_config.json")["eos_token_id"], json!([2, 0]));
    let tokenizer_config = imported.json("tokenizer_config.json");
    assert_eq!(tokenizer_config["eos_token"], json!("<|im_end|>"));
    assert_eq!(tokenizer_config["bos_token"], json!("<|im_start|>"));
    assert_eq!(tokenizer_config["chat_template"], json!("{{ messages }}"));
}

#[test]
fn weights_have_the_names_shapes_and_alignment_that_mlx_expects() {
    let bytes = import(&Sample::model("llama")).unwrap().weights();
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    for (name, dtype, shape) in [
        ("model.embed_tokens.weight", Dtype::U32, vec![11, 8]),
        ("model.embed_tokens.scales", Dtype::F16, vec![11, 1]),
        ("model.embed_tokens.biases", Dtype::F16, vec![11, 1]),
        ("model.norm.weight", Dtype::F32, vec![32]),
        ("model.layers.0.self_attn.q_proj.weight", Dtype::U32, vec![32, 4]),
        ("model.layers.0.self_attn.v_proj.weight", Dtype::U32, vec![16, 5]),
        ("model.layers.0.mlp.down_proj.weight", Dtype::F16, vec![32, 64]),
    ] {
        let tensor = weights.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (dtype, &shape[..]), "{name}");
    }
    let (header_bytes, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!((8 + header_bytes) % 64, 0);
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "mlx");
    let gate = metadata.info("model.layers.0.mlp.gate_proj.weight").unwrap();
    assert_eq!(gate.data_offsets.0 % 64, 0);
}

/// Sets each row of q and k to its number, so that the order after the import can be checked.
fn with_numbered_rows(architecture: &str) -> Sample {
    let mut sample = Sample::model(architecture);
    for (name, n_rows) in [("attn_q", 32_u8), ("attn_k", 16)] {
        let name = format!("blk.0.{name}.weight");
        let tensor = sample.tensors.iter_mut().find(|it| it.0 == name).unwrap();
        tensor.2 = GgmlType::F32;
        tensor.3 = (0..n_rows).flat_map(|row| f32::from(row).to_le_bytes().repeat(32)).collect();
    }
    if architecture == "qwen2" {
        let tensor = sample.tensors.iter_mut().find(|it| it.0 == "blk.0.attn_q.bias").unwrap();
        tensor.3 = (0..32_u8).flat_map(|row| f32::from(row).to_le_bytes()).collect();
    }
    sample
}

fn rows_of(bytes: &[u8], name: &str) -> Vec<f32> {
    let weights = SafeTensors::deserialize(bytes).unwrap();
    halves(weights.tensor(name).unwrap().data()).into_iter().step_by(32).collect()
}

#[test]
fn rows_of_q_and_k_are_restored_to_their_order_for_llama_only() {
    let one_head: Vec<f32> =
        [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15].map(|it: u8| f32::from(it)).to_vec();
    let two_heads: Vec<f32> = one_head.iter().copied().chain(one_head.iter().map(|it| it + 16.0)).collect();
    let bytes = import(&with_numbered_rows("llama")).unwrap().weights();
    assert_eq!(rows_of(&bytes, "model.layers.0.self_attn.q_proj.weight"), two_heads);
    assert_eq!(rows_of(&bytes, "model.layers.0.self_attn.k_proj.weight"), one_head);

    let in_order: Vec<f32> = (0..32_u8).map(f32::from).collect();
    let bytes = import(&with_numbered_rows("qwen3")).unwrap().weights();
    assert_eq!(rows_of(&bytes, "model.layers.0.self_attn.q_proj.weight"), in_order);
    let bytes = import(&with_numbered_rows("qwen2")).unwrap().weights();
    assert_eq!(rows_of(&bytes, "model.layers.0.self_attn.q_proj.weight"), in_order);
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    let bias = weights.tensor("model.layers.0.self_attn.q_proj.bias").unwrap();
    assert_eq!((singles(bias.data()), bias.shape()), (in_order, &[32][..]));
}

#[test]
fn biases_of_a_llama_are_reordered_like_their_rows() {
    let mut sample = Sample::model("llama");
    for (part, len) in [("attn_q", 32), ("attn_k", 16), ("attn_v", 16), ("attn_output", 32)] {
        sample.tensor(&format!("blk.0.{part}.bias"), &[len], GgmlType::F32);
        sample.tensors.last_mut().unwrap().3 =
            (0..u8::try_from(len).unwrap()).flat_map(|row| f32::from(row).to_le_bytes()).collect();
    }
    let imported = import(&sample).unwrap();
    assert_eq!(imported.json("config.json")["attention_bias"], json!(true));
    let bytes = imported.weights();
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    let bias = |part: &str| {
        singles(weights.tensor(&format!("model.layers.0.self_attn.{part}.bias")).unwrap().data())
    };
    assert_eq!(bias("q_proj")[..4], [0.0, 2.0, 4.0, 6.0]);
    assert_eq!(bias("q_proj")[16..20], [16.0, 18.0, 20.0, 22.0]);
    assert_eq!(bias("v_proj")[..4], [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_qwen3_file_keeps_the_norms_of_queries_and_keys() {
    let mut sample = Sample::model("qwen3");
    let norm = sample.tensors.iter_mut().find(|it| it.0 == "blk.0.attn_q_norm.weight").unwrap();
    norm.3 = (0..16_u8).flat_map(|it| f32::from(it).to_le_bytes()).collect();
    let imported = import(&sample).unwrap();
    let config = imported.json("config.json");
    assert_eq!((&config["model_type"], &config["attention_bias"]), (&json!("qwen3"), &json!(false)));
    let bytes = imported.weights();
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    let norm = weights.tensor("model.layers.0.self_attn.q_norm.weight").unwrap();
    assert_eq!(singles(norm.data()), (0..16_u8).map(f32::from).collect::<Vec<_>>());
    assert!(weights.tensor("model.layers.0.self_attn.k_norm.weight").is_ok());

    sample.tensors.retain(|it| it.0 != "blk.0.attn_k_norm.weight");
    let refusal = import(&sample).err().unwrap();
    assert!(refusal.contains("it has no `blk.0.attn_k_norm.weight`"), "{refusal}");
}

#[test]
fn each_family_has_the_names_and_fields_of_its_checkpoints() {
    let experts = |stacks: &str, router: &str| {
        let stacks = ["gate_proj", "up_proj", "down_proj"].map(|it| format!("{stacks}.{it}.weight"));
        let stacks = stacks.into_iter().map(|it| (it, vec![4, 32, 5]));
        stacks.chain([(format!("{router}.weight"), vec![4, 32])]).collect::<Vec<_>>()
    };
    let norms = |names: &[&str]| {
        names.iter().map(|it| (format!("{it}.weight"), vec![32])).collect::<Vec<(String, Vec<usize>)>>()
    };
    let gemma =
        norms(&["pre_feedforward_layernorm", "post_feedforward_layernorm", "post_attention_layernorm"]);
    for (architecture, model_type, fields, tensors) in [
        (
            "qwen3moe",
            "qwen3_moe",
            json!({"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": true}),
            experts("mlp.switch_mlp", "mlp.gate"),
        ),
        ("granite", "granite", json!({"residual_multiplier": 0.5, "logits_scaling": 0.5}), norms(&[])),
        (
            "granitemoe",
            "granitemoe",
            json!({"num_local_experts": 4, "attention_multiplier": 0.5}),
            experts("block_sparse_moe.switch_mlp", "block_sparse_moe.router.layer"),
        ),
        ("gemma2", "gemma2", json!({"query_pre_attn_scalar": 16, "sliding_window": 4096}), gemma.clone()),
        (
            "gemma3",
            "gemma3_text",
            json!({"rope_local_base_freq": 10_000.0, "hidden_act": "gelu_pytorch_tanh"}),
            gemma,
        ),
        ("seed_oss", "seed_oss", json!({"attention_bias": false}), norms(&["post_attention_layernorm"])),
        (
            "gpt-oss",
            "gpt_oss",
            json!({"num_local_experts": 4, "sliding_window": 128, "attention_bias": true}),
            [
                experts("mlp.experts", "mlp.router"),
                vec![
                    ("self_attn.sinks".to_owned(), vec![2]),
                    ("mlp.experts.up_proj.bias".to_owned(), vec![4, 32]),
                ],
            ]
            .concat(),
        ),
    ] {
        let sample = Sample::model(architecture);
        let imported = import(&sample).unwrap_or_else(|e| panic!("{architecture}: {e}"));
        let config = imported.json("config.json");
        assert_eq!(config["model_type"], model_type);
        for (field, value) in fields.as_object().unwrap() {
            assert_eq!(&config[field], value, "{architecture} {field}");
        }
        let bytes = imported.weights();
        let weights = SafeTensors::deserialize(&bytes).unwrap();
        for (name, shape) in tensors {
            let tensor = weights.tensor(&format!("model.layers.0.{name}"));
            assert_eq!(tensor.unwrap().shape(), shape, "{architecture} {name}");
        }
        // Gemma's norms are stored by llama.cpp as what they multiply by.
        let stored = singles(&sample.tensors.iter().find(|it| it.0 == "output_norm.weight").unwrap().3);
        let offset = if architecture.starts_with("gemma") { 1.0 } else { 0.0 };
        let expected: Vec<f32> = stored.iter().map(|it| it - offset).collect();
        assert_eq!(singles(weights.tensor("model.norm.weight").unwrap().data()), expected, "{architecture}");
    }
}

#[test]
fn an_unquantized_file_keeps_its_float_types() {
    for (ggml_type, name, dtype) in [
        (GgmlType::F32, "float32", Dtype::F32),
        (GgmlType::Bf16, "bfloat16", Dtype::BF16),
        (GgmlType::F16, "float16", Dtype::F16),
    ] {
        let mut sample = Sample::model("llama");
        for (tensor, dims, ..) in std::mem::take(&mut sample.tensors) {
            let is_norm = dims.len() == 1;
            sample.tensor(&tensor, &dims, if is_norm { GgmlType::F32 } else { ggml_type });
        }
        let imported = import(&sample).unwrap();
        let config = imported.json("config.json");
        assert_eq!((&config["torch_dtype"], config.get("quantization")), (&json!(name), None));
        let bytes = imported.weights();
        let weights = SafeTensors::deserialize(&bytes).unwrap();
        for (tensor, view) in weights.tensors() {
            let expected = if view.shape().len() == 1 { Dtype::F32 } else { dtype };
            assert_eq!(view.dtype(), expected, "{tensor} of a {name} file");
        }
    }
}

#[test]
fn with_a_separate_output_matrix_the_embeddings_are_not_tied() {
    let mut sample = Sample::model("llama");
    sample.tensor("output.weight", &[32, 11], GgmlType::Q4_0);
    let imported = import(&sample).unwrap();
    assert_eq!(imported.json("config.json")["tie_word_embeddings"], json!(false));
    let bytes = imported.weights();
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("lm_head.scales").unwrap().shape(), [11, 1]);
}

#[test]
fn a_file_that_cannot_be_converted_is_refused_and_the_reason_named() {
    let spoil = |spoil: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::model("llama");
        spoil(&mut sample);
        import(&sample).err().expect("it is spoilt")
    };
    let number = Value::Unsigned;
    let text = |it: &str| Value::Text(it.to_owned());
    for (got, expected) in [
        (spoil(&|it| it.set("general.architecture", text("gemma"))), "the architecture `gemma`"),
        (spoil(&|it| it.set("llama.expert_count", number(8))), "experts"),
        (spoil(&|it| it.set("split.count", number(3))), "llama-gguf-split --merge"),
        (spoil(&|it| it.unset("llama.block_count")), "`llama.block_count` is missing"),
        (spoil(&|it| it.set("llama.block_count", number(2))), "has no `blk.1.attn_norm.weight`"),
        (
            spoil(&|it| it.set("llama.attention.head_count", number(0))),
            "`llama.attention.head_count` must be a whole number between 1 and",
        ),
        (spoil(&|it| it.set("llama.attention.head_count_kv", number(3))), "impossible"),
        (spoil(&|it| it.set("llama.rope.scaling.type", text("longrope"))), "rope scaling `longrope`"),
        (spoil(&|it| it.set("llama.rope.dimension_count", number(8))), "a rope over 8 of 16"),
        (spoil(&|it| it.set("tokenizer.ggml.pre", text("unheard-of"))), "pre-tokenizer `unheard-of`"),
        (spoil(&|it| it.set("tokenizer.ggml.model", text("t5"))), "tokenizer model `t5`"),
        (spoil(&|it| it.set("tokenizer.ggml.merges", texts(&["a b", "a z"]))), "merge 1 is not a pair"),
        (spoil(&|it| it.set("tokenizer.ggml.eos_token_id", number(11))), "a token's id, below 11, got 11"),
        (spoil(&|it| it.set("tokenizer.ggml.tokens", texts(&["a", "a"]))), "not as long as the vocabulary"),
        (
            spoil(&|it| it.tensor("blk.0.attn_sinks.weight", &[32], GgmlType::F32)),
            "the tensor `blk.0.attn_sinks.weight`",
        ),
        (spoil(&|it| it.tensor("blk.0.attn_q.bias", &[32], GgmlType::F32)), "has no `blk.0.attn_k.bias`"),
        (
            spoil(&|it| {
                it.tensors.retain_mut(|it| {
                    it.1.iter_mut().for_each(|dim| *dim = (*dim).min(32));
                    true
                });
            }),
            "must be 64 x 32, got 32 x 32",
        ),
    ] {
        assert!(got.contains(expected), "expected {expected:?} in: {got}");
        assert!(got.contains("\nhint: "), "{got}");
    }
}

#[test]
fn added_tokens_keep_their_ids_and_flags() {
    let mut sample = Sample::model("llama");
    let kinds = [3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 5].map(Value::Signed).to_vec();
    let mut tokens = [
        "<|endoftext|>",
        "<|im_start|>",
        "<tool_call>",
        "a",
        "b",
        "c",
        "ab",
        "abc",
        "1",
        "\u{120}",
        "[PAD10]",
    ];
    sample.set("tokenizer.ggml.tokens", texts(&tokens));
    sample.set("tokenizer.ggml.token_type", Value::Array(kinds));
    sample.set("tokenizer.ggml.merges", texts(&["a b", "ab c"]));
    let tokenizer = import(&sample).unwrap().json("tokenizer.json");
    let flags: Vec<(u64, &str, bool)> = tokenizer["added_tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (it["id"].as_u64().unwrap(), it["content"].as_str().unwrap(), it["special"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(flags, [(0, tokens[0], true), (1, tokens[1], true), (2, tokens[2], false)]);
    let vocab = tokenizer["model"]["vocab"].as_object().unwrap();
    assert_eq!(
        (vocab["<tool_call>"].as_u64(), vocab["abc"].as_u64(), vocab.get("[PAD10]")),
        (Some(2), Some(7), None)
    );
    assert_eq!(tokenizer["model"]["merges"], json!([["a", "b"], ["ab", "c"]]));
    // Otherwise the token would have two ids.
    tokens[10] = "abc";
    sample.set("tokenizer.ggml.tokens", texts(&tokens));
    assert!(import(&sample).err().unwrap().contains("`abc` occurs twice"));
}

#[test]
fn several_templates_become_a_named_list() {
    let mut sample = Sample::model("llama");
    sample.set("tokenizer.chat_template.tool_use", Value::Text("T".into()));
    let template = import(&sample).unwrap().json("tokenizer_config.json")["chat_template"].clone();
    assert_eq!(
        template,
        json!([{ "name": "default", "template": "{{ messages }}" }, { "name": "tool_use", "template": "T" }])
    );
}

#[test]
fn a_bos_token_is_added_to_texts_if_the_file_says_so() {
    let mut sample = Sample::model("llama");
    sample.set("tokenizer.ggml.add_bos_token", Value::Bool(true));
    let processors = import(&sample).unwrap().json("tokenizer.json")["post_processor"]["processors"].clone();
    assert_eq!(processors[1]["single"][0], json!({ "SpecialToken": { "id": "<|im_start|>", "type_id": 0 } }));
    assert_eq!(processors[1]["special_tokens"]["<|im_start|>"]["ids"], json!([1]));
    sample.unset("tokenizer.ggml.bos_token_id");
    assert!(import(&sample).err().unwrap().contains("adds a bos token but does not say which"));
}

#[test]
fn weights_that_overflow_half_precision_are_refused() {
    let mut sample = with_numbered_rows("llama");
    let matrix = sample.tensors.iter_mut().find(|it| it.0 == "blk.0.attn_q.weight").unwrap();
    matrix.3[..4].copy_from_slice(&1e6_f32.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("x.gguf");
    fs::write(&gguf, sample.bytes()).unwrap();
    let err = import_gguf(&gguf, Path::new(folder.path()), &mut |_, _| {}).unwrap_err().to_string();
    assert!(err.contains("`blk.0.attn_q.weight` has numbers outside half precision"), "{err}");
}

fn tokenizer_of(imported: &Imported) -> tokenizers::Tokenizer {
    tokenizers::Tokenizer::from_file(imported.folder.path().join("tokenizer.json")).unwrap()
}

#[test]
fn the_tokenizer_loads_and_splits_as_the_pre_tokenizers_name_says() {
    let ids = |pre: &str, text: &str| {
        let mut sample = Sample::model("llama");
        sample.set("tokenizer.ggml.pre", Value::Text(pre.to_owned()));
        sample.set("tokenizer.ggml.merges", texts(&["a b", "ab c", "\u{120} ab", "1 1"]));
        let tokens =
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "c", "ab", "abc", "1", "\u{120}", "11"];
        let tokens: Vec<&str> = tokens.into_iter().chain(["\u{120}ab"]).collect();
        sample.set("tokenizer.ggml.tokens", texts(&tokens));
        let kinds = (0..12).map(|id| Value::Signed(if id < 3 { 3 } else { 1 })).collect();
        sample.set("tokenizer.ggml.token_type", Value::Array(kinds));
        sample.tensors.remove(0);
        sample.tensor("token_embd.weight", &[32, 12], GgmlType::Q8_0);
        let tokenizer = tokenizer_of(&import(&sample).unwrap());
        tokenizer.encode(text, true).unwrap().get_ids().to_vec()
    };
    for pre in ["qwen2", "smollm", "gpt-2", "llama-bpe", "deepseek-coder"] {
        assert_eq!(ids(pre, "ab ab<|im_end|>"), [6, 11, 2], "{pre}");
    }
    assert_eq!(ids("qwen2", "11"), [8, 8], "single digits");
    assert_eq!(ids("smollm", "11"), [8, 8]);
    assert_eq!(ids("llama-bpe", "11"), [10], "up to three digits together");
    assert_eq!(ids("gpt-2", "11"), [10]);
}

/// SentencePiece: `tokens` after the unknown, bos and eos tokens and the 256 bytes.
fn sentencepiece(tokens: &[(&str, f64)]) -> Sample {
    let mut sample = Sample::model("llama");
    let fixed = [("<unk>", 2), ("<s>", 3), ("</s>", 3)].map(|(text, kind)| (text.to_owned(), 0.0, kind));
    let bytes = (0..256).map(|byte| (format!("<0x{byte:02X}>"), 0.0, 6));
    let rest = tokens.iter().map(|(text, score)| ((*text).to_owned(), *score, 1));
    let all: Vec<(String, f64, i64)> = fixed.into_iter().chain(bytes).chain(rest).collect();
    sample.set("tokenizer.ggml.model", Value::Text("llama".into()));
    sample.unset("tokenizer.ggml.pre");
    sample.unset("tokenizer.ggml.merges");
    sample
        .set("tokenizer.ggml.tokens", Value::Array(all.iter().map(|it| Value::Text(it.0.clone())).collect()));
    sample.set("tokenizer.ggml.scores", Value::Array(all.iter().map(|it| Value::Float(it.1)).collect()));
    sample.set("tokenizer.ggml.token_type", Value::Array(all.iter().map(|it| Value::Signed(it.2)).collect()));
    sample.unset("tokenizer.ggml.add_bos_token");
    sample.tensors.remove(0);
    sample.tensor("token_embd.weight", &[32, all.len() as u64], GgmlType::Q8_0);
    sample
}

#[test]
fn sentencepiece_joins_pairs_by_score_and_falls_back_to_bytes() {
    let first = 259;
    let sample = sentencepiece(&[
        ("\u{2581}", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("c", -9.0),
        ("bc", -1.0),
        ("ab", -2.0),
        ("\u{2581}a", -3.0),
    ]);
    let imported = import(&sample).unwrap();
    let tokenizer = tokenizer_of(&imported);
    let ids = |text: &str| tokenizer.encode(text, true).unwrap().get_ids().to_vec();
    // `bc` has a higher score than `ab`, although `ab` comes first; then the blank is joined with `a`.
    assert_eq!(ids("abc"), [1, first + 6, first + 4]);
    assert_eq!(ids("ab"), [1, first, first + 5]);
    assert_eq!(ids("é"), [1, first, 3 + 0xc3, 3 + 0xa9]);
    assert_eq!(tokenizer.decode(&ids("a é bc"), true).unwrap(), "a é bc");

    let mut sample = sample;
    sample.set("tokenizer.ggml.scores", Value::Array(Vec::new()));
    assert!(import(&sample).err().unwrap().contains("no score for each token"));
}
