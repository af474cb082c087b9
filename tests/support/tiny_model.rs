//! A tiny random Llama, written once per test run, which uses the real code and takes milliseconds.
//!
//! Its tokens are the 256 bytes and the Qwen family's control tokens, so its text has a lot of invalid UTF-8, and it
//! can fill in the middle. The rows of the control tokens are small, so that a greedy text never ends by itself.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

pub(crate) const CONTEXT_TOKENS: usize = 4096;

const HIDDEN: usize = 32;
const INTERMEDIATE: usize = 64;
const N_HEADS: usize = 4;
const N_KV_HEADS: usize = 2;
const HEAD_DIM: usize = HIDDEN / N_HEADS;
const CONTROL_TOKENS: [&str; 9] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];
/// `<|im_end|>`, which ends a turn.
pub(crate) const END_TOKEN: usize = 258;
const VOCABULARY: usize = 256 + CONTROL_TOKENS.len();

const CHAT_TEMPLATE: &str = "{% if tools %}<|im_start|>system\n{{ tools | tojson }} <tool_call></tool_call><|im_end|>\n\
     {% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
     {{ message['content'] or '' }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}\
     </tool_call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The differences between the models that are written here.
#[derive(Clone, Copy)]
struct Shape {
    n_layers: usize,
    context_tokens: usize,
}

const TINY: Shape = Shape { n_layers: 2, context_tokens: CONTEXT_TOKENS };
/// A step takes so long that the longest text takes many seconds on any machine. So it is still running when a test
/// that has waited for its first token continues, however busy the machine is.
const SLOW: Shape = Shape { n_layers: 128, context_tokens: 4 * CONTEXT_TOKENS };

/// The model's folder, the same for all tests of a run.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| shared("tiny-model", TINY))
}

/// The folder of a model that is as small but takes many times as long per token.
pub(crate) fn slow_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| shared("slow-model", SLOW))
}

/// A folder that all tests of a run share, and that later runs reuse.
fn shared(name: &str, shape: Shape) -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = scratch.join(format!("{name}-{}", std::process::id()));
    write_shape(&made, shape);
    let folder = scratch.join(name);
    // The same bytes in every run. Another run may be reading them, so they are replaced atomically.
    let is_current = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
        .iter()
        .all(|it| fs::read(folder.join(it)).ok() == fs::read(made.join(it)).ok());
    if is_current {
        fs::remove_dir_all(&made).unwrap();
    } else {
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&made, &folder).unwrap();
    }
    folder
}

/// Writes a fresh copy of the tiny model, for tests that damage it.
pub(crate) fn write(folder: &Path) {
    write_shape(folder, TINY);
}

fn write_shape(folder: &Path, shape: Shape) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config(shape).to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    let tokenizer_config =
        json!({"eos_token": "<|im_end|>", "chat_template": CHAT_TEMPLATE, "add_bos_token": false});
    fs::write(folder.join("tokenizer_config.json"), tokenizer_config.to_string()).unwrap();
    let tensors = tensors(shape.n_layers);
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("shape and bytes agree"))
    });
    let file = safetensors::serialize(views, None).expect("tensors of a known type");
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn config(shape: Shape) -> Value {
    json!({
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "num_hidden_layers": shape.n_layers,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_KV_HEADS,
        "rms_norm_eps": 1e-5,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": shape.context_tokens,
        "tie_word_embeddings": true,
        "eos_token_id": [256, END_TOKEN],
    })
}

/// Shapes and bytes by checkpoint name. The numbers are from a fixed linear congruential generator.
fn tensors(n_layers: usize) -> HashMap<String, (Vec<usize>, Vec<u8>)> {
    let mut state: u64 = 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let mut tensors = HashMap::new();
    let mut add = |name: String, shape: &[usize], mut value: Box<dyn FnMut() -> f32 + '_>| {
        let bytes = (0..shape.iter().product()).flat_map(|_| value().to_le_bytes()).collect();
        tensors.insert(name, (shape.to_vec(), bytes));
    };
    let mut n_drawn = 0;
    let embedding = || {
        n_drawn += 1;
        if n_drawn > 256 * HIDDEN { random() / 100.0 } else { random() }
    };
    add("model.embed_tokens.weight".to_owned(), &[VOCABULARY, HIDDEN], Box::new(embedding));
    for i in 0..n_layers {
        let matrices = [
            ("self_attn.q_proj", N_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.k_proj", N_KV_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.v_proj", N_KV_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.o_proj", HIDDEN, N_HEADS * HEAD_DIM),
            ("mlp.gate_proj", INTERMEDIATE, HIDDEN),
            ("mlp.up_proj", INTERMEDIATE, HIDDEN),
            ("mlp.down_proj", HIDDEN, INTERMEDIATE),
        ];
        for (name, n_out, n_in) in matrices {
            add(format!("model.layers.{i}.{name}.weight"), &[n_out, n_in], Box::new(&mut random));
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            add(format!("model.layers.{i}.{name}.weight"), &[HIDDEN], Box::new(|| 1.0));
        }
    }
    add("model.norm.weight".to_owned(), &[HIDDEN], Box::new(|| 1.0));
    tensors
}

/// Byte-level BPE without merges: every byte is a token.
fn tokenizer() -> Value {
    let vocabulary: serde_json::Map<String, Value> =
        byte_characters().into_iter().enumerate().map(|(id, c)| (c.to_string(), json!(id))).collect();
    let added: Vec<Value> = CONTROL_TOKENS
        .iter()
        .enumerate()
        .map(|(i, content)| {
            json!({"id": 256 + i, "content": content, "special": true, "single_word": false,
                   "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    })
}

/// The characters that byte-level tokenizers use for the bytes 0-255 (GPT-2's table).
fn byte_characters() -> Vec<char> {
    let is_printable = |b: u32| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut n_hidden = 0;
    (0..256)
        .map(|b| {
            let code = if is_printable(b) {
                b
            } else {
                n_hidden += 1;
                255 + n_hidden
            };
            char::from_u32(code).expect("all below the surrogates")
        })
        .collect()
}
