"""Writes small random models of mlx_lm as GGUF files and compares what RUNABOUT imports from them; see `test`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_lm.utils import _get_classes, load

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "rope_theta": 20000.0,
    "vocab_size": 258,
}
GRANITE = {
    "head_dim": 16,
    "logits_scaling": 6.0,
    "attention_multiplier": 0.2,
    "embedding_multiplier": 5.0,
    "residual_multiplier": 0.4,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
}
EXPERTS = {"num_local_experts": 6, "num_experts_per_tok": 2}
GEMMA = {"query_pre_attn_scalar": 32, "tie_word_embeddings": True}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 32.0, "beta_slow": 1.0}
# By the architecture's name in GGUF: its kind in the gguf package, and config.json.
MODELS = {
    "gemma2": (gguf.MODEL_ARCH.GEMMA2, {"model_type": "gemma2", "attn_logit_softcapping": 40.0, "final_logit_softcapping": 20.0} | GEMMA),
    # Seven layers, of which one has no window; the prompts are longer than it.
    "gemma3": (
        gguf.MODEL_ARCH.GEMMA3,
        {"model_type": "gemma3_text", "num_hidden_layers": 7, "sliding_window": 16, "rope_local_base_freq": 5000.0} | GEMMA,
    ),
    # Of an odd number of layers, mlx_lm leaves the last one out.
    "gpt-oss": (
        gguf.MODEL_ARCH.GPT_OSS,
        {"model_type": "gpt_oss", "num_hidden_layers": 4, "sliding_window": 16, "rope_scaling": YARN} | EXPERTS,
    ),
    "granite": (gguf.MODEL_ARCH.GRANITE, {"model_type": "granite"} | GRANITE),
    "granitemoe": (gguf.MODEL_ARCH.GRANITE_MOE, {"model_type": "granitemoe"} | GRANITE | EXPERTS),
    "qwen3moe": (
        gguf.MODEL_ARCH.QWEN3MOE,
        {
            "model_type": "qwen3_moe",
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "norm_topk_prob": True,
            "tie_word_embeddings": False,
        },
    ),
    "seed_oss": (gguf.MODEL_ARCH.SEED_OSS, {"model_type": "seed_oss", "attention_bias": True, "tie_word_embeddings": False}),
}
EXPERT_STACKS = ("mlp.switch_mlp.", "mlp.experts.", "block_sparse_moe.switch_mlp.")


def random_model(config):
    """A model of mlx_lm, and its weights, which half precision holds exactly."""
    model_class, args_class = _get_classes(config)
    model = model_class(args_class.from_dict(config))
    mx.random.seed(len(json.dumps(config)))
    weights = {}
    for name, weight in tree_flatten(model.parameters()):
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        is_norm = "norm" in name
        # Gemma's are stored with 1 added.
        centre = 1.0 if is_norm and "gemma" not in config["model_type"] else 0.0
        values = centre + mx.random.normal(weight.shape) * (0.2 if is_norm else 0.15)
        weights[name] = mx.round(values * 256) / 256 if is_norm else values.astype(mx.float16).astype(mx.float32)
    sanitize = getattr(model, "sanitize", dict)
    model.load_weights(list(sanitize(dict(weights)).items()))
    return model, weights


def permuted(rows, n_heads):
    """Rows of queries or keys as llama.cpp has them: the halves of each head interleaved."""
    return rows.reshape(n_heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write_gguf(path, name, kind, config, weights):
    writer = gguf.GGUFWriter(str(path), name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    for field, add in (
        ("num_experts", writer.add_expert_count),
        ("num_local_experts", writer.add_expert_count),
        ("num_experts_per_tok", writer.add_expert_used_count),
        ("moe_intermediate_size", writer.add_expert_feed_forward_length),
        ("sliding_window", writer.add_sliding_window),
        ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
        ("final_logit_softcapping", writer.add_final_logit_softcapping),
        ("logits_scaling", writer.add_logit_scale),
        ("attention_multiplier", writer.add_attention_scale),
        ("embedding_multiplier", writer.add_embedding_scale),
        ("residual_multiplier", writer.add_residual_scale),
        ("rope_local_base_freq", lambda it: writer.add_float32(f"{name}.rope.freq_base_swa", it)),
    ):
        if field in config:
            add(config[field])
    if scaling := config.get("rope_scaling"):
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    # The tokens are the bytes, as GPT-2 spells them, one of two bytes, since a file without merges is refused, and an end
    # token.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [it for it in range(256) if it not in printable]
    spelled = {it: chr(it) for it in printable} | {it: chr(256 + idx) for idx, it in enumerate(others)}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([spelled[it] for it in range(256)] + ["QX", "<|endoftext|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["Q X"])
    writer.add_eos_token_id(257)
    names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
    for full, weight in weights.items():
        stem, suffix = full.rsplit(".", 1)
        data = np.array(weight)
        if suffix not in ("weight", "bias"):
            stem, suffix = full, "weight"
        stack = next((it for it in EXPERT_STACKS if it in stem), None)
        if stack:
            layer, part = stem.split("layers.")[1].split(".")[0], stem.split(stack)[1].removesuffix("_proj")
            stem = f"blk.{layer}.ffn_{part}_exps"
        else:
            stem = names.get_name(stem) or names.get_name(f"{stem}.{suffix}") or sys.exit(f"{name}: no name for {full}")
        if "granite" in name and stem.endswith(("attn_q", "attn_k")):
            data = permuted(data, config["num_attention_heads" if stem.endswith("q") else "num_key_value_heads"])
        if "gemma" in name and "norm" in stem:
            data = data + np.float32(1)
        is_matrix = data.ndim > 1 and suffix == "weight"
        writer.add_tensor(f"{stem}.{suffix}", data.astype(np.float16) if is_matrix else data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(*args):
    result = subprocess.run([os.environ["RUNABOUT"], *args], capture_output=True, text=True, env=os.environ | {"RUNABOUT_LOG": "error"})
    assert result.returncode == 0, f"{args}: {result.stdout}{result.stderr}"
    return result.stdout


def greedy(model, tokens, n):
    out = []
    while len(out) < n:
        out.append(mx.argmax(model(mx.array([tokens + out]))[0, -1]).item())
    return out


def main():
    prompts = ["def add(a, b):\n    return a", "The quick brown fox jumps over the lazy dog. " * 2]
    mx.set_default_device(mx.cpu)
    for name in sys.argv[1:] or list(MODELS):
        kind, more = MODELS[name]
        config = SIZES | more
        model, weights = random_model(config)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            os.environ["RUNABOUT_HOME"] = str(folder / "home")
            file = folder / f"{name}.gguf"
            write_gguf(file, name, kind, config, weights)
            # Its first use imports it.
            run("generate", "--model", str(file), "--ignore-chat-template", "--prompt", "x", "--max-tokens", "1")
            (config_json,) = (folder / "home/models").rglob("config.json")
            imported, tokenizer = load(str(config_json.parent))
            # Its conversion is that import.
            run("models", "convert", str(file), "--output", str(folder / "ours"))
            converted, _ = load(str(folder / "ours"))
            for (part, a), (_, b) in zip(tree_flatten(imported.parameters()), tree_flatten(converted.parameters()), strict=True):
                assert mx.array_equal(a, b), (name, part)
            imported.update(tree_map(lambda it: it.astype(mx.float32), imported.parameters()))
            worst = 0.0
            for prompt in prompts:
                tokens = tokenizer.encode(prompt, add_special_tokens=False)
                assert tokens == list(prompt.encode()), (name, tokens)
                a, b = (it(mx.array([tokens])) for it in (model, imported))
                worst = max(worst, (mx.abs(a - b).max() / mx.abs(a).max()).item())
                args = ["--ignore-chat-template", "--prompt", prompt, "--max-tokens", "12", "--json", "--kv-bits", "32"]
                text = json.loads(run("generate", "--model", str(file), *args))["text"]
                expected = tokenizer.decode([it for it in greedy(model, tokens, 12) if it != 257])
                assert text == expected, (name, text, expected)
            assert worst < 1e-5, f"{name}: logits differ by {worst}"
            print(f"ok  {name}: logits within {worst:.0e}, and the same texts", flush=True)


main()
