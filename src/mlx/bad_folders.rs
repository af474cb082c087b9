//! Tests with folders that cannot be loaded: each fails with an error that names the problem, before any number in it
//! decides how much is allocated; and a folder that loads can be used.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::Path;

use runabout_engine::model::{LanguageModel, SampleRequest, Span, StepError};
use runabout_text::SamplingParams;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

use crate::cpu::Kernels;
use crate::device::Compute;
use crate::testing::alone;
use crate::testing::tiny::Tiny;
use crate::{LoadError, MlxModel, Placement};

/// Tensors of a module, without their bytes: how their names end, types, shapes.
type Parts<'a> = &'a [(&'a str, Dtype, &'a [usize])];

/// A tensor of a file: name, type, shape, bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn placement(kernels: Option<Kernels>) -> Placement {
    Placement { compute: Compute::Cpu, kernels, kv_bits: None, group: None }
}

fn load(folder: &Path) -> Result<MlxModel, LoadError> {
    crate::load_with(folder, None, &placement(None), &mut |_, _| {})
}

fn config(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
}

fn write_config(folder: &Path, config: &str) {
    std::fs::write(folder.join("config.json"), config).unwrap();
}

/// The error message, which must not mention a source file.
fn refused(folder: &Path, what: &str) -> String {
    let message = load(folder).err().unwrap_or_else(|| panic!("{what} was loaded")).to_string();
    assert_clean(&message);
    message
}

fn assert_clean(message: &str) {
    for part in ["src/", ".rs:", ".cpp"] {
        assert!(!message.contains(part), "{message}");
    }
}

#[test]
fn numbers_of_config_json_that_no_model_has_are_refused_by_name() {
    let _alone = alone();
    let tiny = Tiny::plain();
    let folder = tiny.folder.path();
    let sound = config(folder);
    let n = i64::from(i32::MAX);
    for (field, value, expected) in [
        ("hidden_size", json!(0), "`hidden_size` must be at least 1, got 0"),
        ("hidden_size", json!(-64), "`hidden_size` must be at least 1, got -64"),
        ("hidden_size", json!(n + 1), "`hidden_size` must be"),
        ("hidden_size", json!("64"), "`hidden_size` must be"),
        ("hidden_size", json!(64.5), "`hidden_size` must be"),
        ("hidden_size", json!(null), "`hidden_size` is missing"),
        (
            "hidden_size",
            json!(32),
            "`model.layers.0.self_attn.q_proj.weight` has the wrong shape: expected [32, 32], got [64, 64]",
        ),
        ("head_dim", json!(n - 1), "`head_dim` must be less, with 4 heads"),
        ("head_dim", json!(1 << 28), "`model.layers.0.self_attn.q_proj.weight` has the wrong shape"),
        ("head_dim", json!(0), "`head_dim` must be at least 1"),
        ("head_dim", json!(15), "`head_dim` must be even, got 15"),
        ("num_attention_heads", json!(0), "`num_attention_heads` must be at least 1"),
        (
            "num_attention_heads",
            json!(3),
            "`num_attention_heads` must be a multiple of `num_key_value_heads`, 2, got 3",
        ),
        ("num_key_value_heads", json!(0), "`num_key_value_heads` must be at least 1"),
        ("num_key_value_heads", json!(4), "`model.layers.0.self_attn.k_proj.weight` has the wrong shape"),
        ("vocab_size", json!(0), "`vocab_size` must be at least 1"),
        ("vocab_size", json!(251), "`model.embed_tokens.weight` has the wrong shape"),
        ("vocab_size", json!(4_294_967_295_u32), "`vocab_size` must be"),
        ("intermediate_size", json!(n), "`model.layers.0.mlp.gate_proj.weight` has the wrong shape"),
        ("num_hidden_layers", json!(0), "`num_hidden_layers` must be at least 1"),
        (
            "num_hidden_layers",
            json!(1),
            "`model.layers.1.input_layernorm.weight` is unexpected: config.json describes no such weight",
        ),
        ("num_hidden_layers", json!(1_i64 << 50), "`model.layers.2.self_attn.q_proj.weight` is missing"),
        (
            "rms_norm_eps",
            json!({"__float__": "Infinity"}),
            "`rms_norm_eps` must be 0 or a number above it, got inf",
        ),
        ("rms_norm_eps", json!(-1e-5), "`rms_norm_eps` must be 0 or a number above it"),
        ("max_position_embeddings", json!(0), "`max_position_embeddings` must be at least 1"),
        ("max_position_embeddings", json!(-1), "`max_position_embeddings` must be"),
        ("tie_word_embeddings", json!(false), "`tie_word_embeddings` is false"),
        ("attention_bias", json!(true), "`model.layers.0.self_attn.q_proj.bias` is missing"),
        ("attention_bias", json!("yes"), "`attention_bias` must be"),
        ("rope_theta", json!(0), "`rope_theta` must be a number above 0"),
        ("model_type", json!("gpt2"), "architecture `gpt2` is not supported"),
        ("model_type", json!(7), "`model_type` is missing"),
        ("layer_types", json!(["sliding_attention"]), "sliding-window attention is not supported"),
    ] {
        let mut changed = sound.clone();
        changed[field] = value;
        write_config(folder, &changed.to_string());
        let message = refused(folder, &changed.to_string());
        assert!(message.contains(expected), "{changed}: {message}");
    }
    let mut changed = sound;
    changed["rms_norm_eps"] = json!("bare");
    write_config(folder, &changed.to_string().replace("\"bare\"", "NaN"));
    assert!(refused(folder, "NaN").contains("`rms_norm_eps` must be 0 or a number above it, got NaN"));
}

#[test]
fn numbers_as_python_writes_them_and_null_are_read() {
    let _alone = alone();
    let tiny = Tiny::plain();
    let folder = tiny.folder.path();
    let mut changed = config(folder);
    (changed["hidden_size"], changed["num_key_value_heads"]) = (json!(64.0), json!(2.0));
    for field in ["head_dim", "rope_scaling", "rope_theta", "attention_bias", "sliding_window", "layer_types"]
    {
        changed[field] = Value::Null;
    }
    let mut text = changed.to_string();
    text.insert_str(1, "\"initializer_range\": Infinity, \"x\": -Infinity, \"y\": [NaN], ");
    write_config(folder, &text);
    use_it(load(folder).unwrap()).unwrap();
}

/// Rewrites the weights of a folder.
fn edit(folder: &Path, edit: impl FnOnce(&mut Vec<Tensor>)) {
    let path = folder.join("model.safetensors");
    let file = std::fs::read(&path).unwrap();
    let mut tensors: Vec<Tensor> = SafeTensors::deserialize(&file)
        .unwrap()
        .iter()
        .map(|(name, it)| (name.to_owned(), it.dtype(), it.shape().to_vec(), it.data().to_vec()))
        .collect();
    edit(&mut tensors);
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

const MODULE: &str = "model.layers.0.self_attn.q_proj";

/// Replaces a module's weight by other tensors, filled with zeros.
fn replaced(folder: &Path, by: Parts<'_>) {
    edit(folder, |tensors| {
        tensors.retain(|it| !it.0.starts_with(MODULE));
        for (ending, dtype, shape) in by {
            let n_bits = dtype.bitsize() * shape.iter().product::<usize>();
            tensors.push((format!("{MODULE}{ending}"), *dtype, shape.to_vec(), vec![0; n_bits / 8]));
        }
    });
}

#[test]
fn formats_of_other_programs_are_called_by_their_names() {
    use Dtype::{BF16, F8_E4M3, F16, F32, I8, I32, I64, U8, U32};
    let _alone = alone();
    let quantized = |method: &str| json!({"quantization_config": {"quant_method": method}});
    let cases: [(Parts<'_>, Value, &str); 14] = [
        (&[(".weight", F8_E4M3, &[64, 64]), (".weight_scale_inv", F32, &[1, 1])], quantized("fp8"), "`fp8`"),
        (&[(".weight", F8_E4M3, &[64, 64]), (".weight_scale_inv", F32, &[1, 1])], json!({}), "fp8"),
        (&[(".weight", F8_E4M3, &[64, 64])], json!({}), "fp8 (F8_E4M3)"),
        (
            &[
                (".weight_packed", I32, &[64, 8]),
                (".weight_scale", BF16, &[64, 2]),
                (".weight_shape", I64, &[2]),
            ],
            json!({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}}),
            "`compressed-tensors` (pack-quantized)",
        ),
        (
            &[(".weight_packed", I32, &[64, 8]), (".weight_scale", BF16, &[64, 2])],
            json!({}),
            "compressed-tensors",
        ),
        (
            &[(".weight", I8, &[64, 64]), (".weight_scale", BF16, &[64, 1])],
            quantized("compressed-tensors"),
            "`compressed-tensors`",
        ),
        (
            &[
                (".qweight", I32, &[8, 64]),
                (".qzeros", I32, &[2, 8]),
                (".scales", F16, &[2, 64]),
                (".g_idx", I32, &[64]),
            ],
            quantized("gptq"),
            "`gptq`",
        ),
        (
            &[(".qweight", I32, &[64, 8]), (".qzeros", I32, &[2, 8]), (".scales", F16, &[2, 64])],
            quantized("awq"),
            "`awq`",
        ),
        (
            &[(".qweight", I32, &[64, 8]), (".qzeros", I32, &[2, 8]), (".scales", F16, &[2, 64])],
            json!({}),
            "GPTQ or AWQ",
        ),
        (
            &[(".weight", U8, &[2048, 1]), (".weight.absmax", F32, &[64]), (".weight.quant_map", F32, &[16])],
            quantized("bitsandbytes"),
            "`bitsandbytes`",
        ),
        (&[(".weight", I8, &[64, 64]), (".SCB", F32, &[64])], json!({}), "bitsandbytes"),
        (
            &[(".weight", U32, &[64, 8]), (".scales", U8, &[64, 1])],
            json!({"quantization": {"group_size": 64, "bits": 4, "mode": "mxint4"}}),
            "MLX's mxint4",
        ),
        (
            &[(".weight", U32, &[64, 8]), (".scales", U8, &[64, 1])],
            json!({}),
            "a micro-scaling format with other groups than MLX's",
        ),
        (&[(".packed_numbers", I8, &[64, 64])], quantized("torchao"), "`torchao`"),
    ];
    for (tensors, more, expected) in cases {
        let tiny = Tiny::plain();
        let folder = tiny.folder.path();
        replaced(folder, tensors);
        let mut changed = config(folder);
        for (key, value) in more.as_object().unwrap() {
            changed[key] = value.clone();
        }
        write_config(folder, &changed.to_string());
        let message = refused(folder, expected);
        let expected = format!("the weights are quantized as {expected} (`{MODULE}");
        assert!(message.starts_with(&expected) && message.contains("\nhint: "), "{message}");
    }
    // config.json may still name a format that the weights were converted from.
    let tiny = Tiny::plain();
    let folder = tiny.folder.path();
    let mut changed = config(folder);
    changed["quantization_config"] = json!({"quant_method": "fp8"});
    write_config(folder, &changed.to_string());
    use_it(load(folder).unwrap()).unwrap();
}

#[test]
fn a_head_is_used_unless_config_json_says_that_it_is_the_embedding() {
    let _alone = alone();
    for (said, is_used) in [(json!(true), false), (json!(false), true), (Value::Null, true)] {
        let tiny = Tiny::plain();
        let folder = tiny.folder.path();
        let zeros = vec![0; 250 * 64 * 4];
        edit(folder, |tensors| tensors.push(("lm_head.weight".into(), Dtype::F32, vec![250, 64], zeros)));
        let mut changed = config(folder);
        changed["tie_word_embeddings"] = said;
        write_config(folder, &changed.to_string());
        let logits = load(folder).unwrap().logits(&[1], NonZeroUsize::MIN).unwrap();
        assert_eq!(logits.iter().all(|it| it.to_bits() == 0), is_used, "{changed}");
    }
}

#[test]
fn weights_that_are_no_part_of_the_model_are_refused_by_name() {
    let _alone = alone();
    let spoilt = |by: Parts<'_>| {
        let tiny = Tiny::plain();
        replaced(tiny.folder.path(), by);
        refused(tiny.folder.path(), &format!("{by:?}"))
    };
    for (by, expected) in [
        (vec![], "`model.layers.0.self_attn.q_proj.weight` is missing"),
        (vec![(".weight", Dtype::F64, &[64, 64][..])], "must be of type F32, F16 or BF16, got F64"),
        (vec![(".weight", Dtype::F32, &[64, 63])], "wrong shape: expected [64, 64], got [64, 63]"),
        (vec![(".weight", Dtype::F32, &[4096])], "wrong shape: expected [64, 64], got [4096]"),
        (vec![(".weight", Dtype::F32, &[])], "wrong shape"),
        (vec![(".weight", Dtype::F32, &[0, 1 << 40])], "beyond what MLX counts"),
        (
            vec![(".weight", Dtype::F32, &[64, 64]), (".bias", Dtype::F16, &[7])],
            "`model.layers.0.self_attn.q_proj.bias` is unexpected",
        ),
        (
            vec![(".weight", Dtype::U32, &[64, 7]), (".scales", Dtype::F32, &[64, 2])],
            "got 7 words for 64 weights",
        ),
        (vec![(".weight", Dtype::U32, &[64, 8]), (".scales", Dtype::F32, &[64, 0])], "got 0 for 64 weights"),
        (
            vec![(".weight", Dtype::U32, &[64, 8]), (".scales", Dtype::F32, &[64, 2])],
            "q_proj.biases` is missing",
        ),
        (
            vec![
                (".weight", Dtype::U32, &[64, 8]),
                (".scales", Dtype::F32, &[64, 2]),
                (".biases", Dtype::F32, &[64, 3]),
            ],
            "q_proj.biases` has the wrong shape",
        ),
    ] {
        let message = spoilt(&by);
        assert!(message.contains(expected), "{by:?}: {message}");
    }
    // Of an odd length, so that everything behind it in the file is misaligned.
    let tiny = Tiny::plain();
    let folder = tiny.folder.path();
    let mut changed = config(folder);
    changed["attention_bias"] = json!(true);
    write_config(folder, &changed.to_string());
    edit(folder, |tensors| tensors.push((format!("{MODULE}.bias"), Dtype::F16, vec![7], vec![0; 14])));
    let message = refused(folder, "a bias of an odd length");
    assert!(message.contains("q_proj.bias` has the wrong shape: expected [64], got [7]"), "{message}");
}

#[test]
fn a_file_of_weights_that_is_cut_or_spoilt_is_refused_by_name() {
    let _alone = alone();
    let tiny = Tiny::plain();
    let path = tiny.folder.path().join("model.safetensors");
    let sound = std::fs::read(&path).unwrap();
    let mut long = sound.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    // As many bytes as a number can count, to which those of the header are added. A single tensor has an eighth at most.
    let n = u64::MAX / 8;
    let mut ends: Vec<u64> = (0..=8).map(|it| it * n).collect();
    ends.push(u64::MAX);
    let tensors = ends.windows(2).enumerate().map(|(i, it)| {
        let tensor = json!({"dtype": "U8", "shape": [it[1] - it[0]], "data_offsets": it});
        (i.to_string(), tensor)
    });
    let header = Value::Object(tensors.collect()).to_string();
    let endless = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    for bytes in [&[][..], &sound[..5], &sound[..100], &sound[..sound.len() - 1], &long, &endless] {
        std::fs::write(&path, bytes).unwrap();
        let message = refused(tiny.folder.path(), "a spoilt file");
        assert!(message.contains("model.safetensors"), "{message}");
    }
}

/// A step of the model.
fn use_it(mut model: MlxModel) -> Result<(), StepError> {
    let slot = model.open_slot();
    let params = SamplingParams::default();
    let sample = SampleRequest {
        params: &params,
        history: &[],
        n_generated: 0,
        seed: 0,
        top_logprobs: Some(1),
        allowed: &[],
    };
    model
        .step(&[Span { slot, tokens: &[0], n_drafted: 0, sample: Some(sample), checkpoint: false }])
        .map(drop)
}

/// Loads, and uses what could be loaded.
fn try_it(folder: &Path, kernels: Option<Kernels>) -> bool {
    match crate::load_with(folder, None, &placement(kernels), &mut |_, _| {}) {
        Ok(model) => {
            // Bytes read as another type may be NaN.
            if let Err(error) = use_it(model) {
                assert_clean(&error.message);
            }
            true
        }
        Err(error) => {
            assert_clean(&error.to_string());
            false
        }
    }
}

#[test]
fn whatever_config_json_says_a_folder_loads_or_is_refused() {
    let _alone = alone();
    let kernels = Kernels::new(None, None).unwrap();
    let mut rng = fastrand::Rng::with_seed(12);
    let values = [
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(3),
        json!(4),
        json!(16),
        json!(64),
        json!(96.0),
        json!(250),
        json!(i32::MAX),
        json!(i32::MAX - 1),
        json!(1_u64 << 31),
        json!(1_u64 << 32),
        json!(1_u64 << 40),
        json!(u64::MAX),
        json!(1e300),
        json!(1e-300),
        json!(0.5),
        json!(null),
        json!("64"),
        json!([]),
        json!([1]),
        json!({}),
        json!(true),
        json!(false),
        json!({"__float__": "NaN"}),
        json!({"__float__": "-Infinity"}),
        json!({"type": "linear"}),
        json!({"rope_type": "llama3", "factor": 1e-40}),
        json!({"full_attention": {"rope_theta": 3}}),
    ];
    let (mut n_loaded, mut n_refused) = (0, 0);
    for tiny in [Tiny::plain(), Tiny::llama()] {
        let folder = tiny.folder.path();
        let sound = config(folder);
        let mut fields: Vec<String> = sound.as_object().unwrap().keys().cloned().collect();
        let more = [
            "head_dim",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "attention_bias",
            "mlp_bias",
            "sliding_window",
            "layer_types",
            "rope_traditional",
            "partial_rotary_factor",
            "quantization",
        ];
        fields.extend(more.map(str::to_owned));
        for n in 0..150 {
            let mut changed = sound.clone();
            for _ in 0..rng.usize(1..=2) {
                changed[&fields[rng.usize(..fields.len())]] = values[rng.usize(..values.len())].clone();
            }
            write_config(folder, &changed.to_string());
            let kernels = kernels.clone().filter(|_| n % 2 == 0);
            if try_it(folder, kernels) { n_loaded += 1 } else { n_refused += 1 }
        }
    }
    assert!(n_loaded > 20 && n_refused > 100, "{n_loaded} loaded, {n_refused} refused");
}

#[test]
fn whatever_the_header_says_a_folder_loads_or_is_refused() {
    let _alone = alone();
    let kernels = Kernels::new(None, None).unwrap();
    let mut rng = fastrand::Rng::with_seed(13);
    let types =
        [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::U32, Dtype::I32, Dtype::U8, Dtype::I8, Dtype::I64];
    for n in 0..60 {
        let tiny = if n % 2 == 0 { Tiny::plain() } else { Tiny::llama() };
        let folder = tiny.folder.path();
        edit(folder, |tensors| {
            let at = rng.usize(..tensors.len());
            let (name, dtype, shape, bytes) = &mut tensors[at];
            match rng.usize(..5) {
                0 => *dtype = types[rng.usize(..types.len())],
                1 => shape.reverse(),
                2 => shape.push(rng.usize(..3)),
                3 => {
                    let i = rng.usize(..shape.len());
                    shape[i] = [0, 1, shape[i] / 2, shape[i] + 1, shape[i] * 2][rng.usize(..5)];
                }
                _ => name.push_str(["s", ".bias", ".scales", "_blocks"][rng.usize(..4)]),
            }
            bytes.resize(dtype.bitsize() / 8 * shape.iter().product::<usize>(), 0);
        });
        try_it(folder, kernels.clone().filter(|_| n % 4 < 2));
    }
}
