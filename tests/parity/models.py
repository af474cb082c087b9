"""Makes tiny models of every supported architecture, and what mlx_lm computes with them.

    pip install mlx-lm==0.32.2 "mlx[cpu]==0.32.2"
    python tests/parity/models.py FOLDER [NAME...]   # models, with all logits: for `cargo xtask bench parity`
    python tests/parity/models.py --stored > tests/parity/models.json     # the short form that the tests use

Weights follow from their names by a formula that `src/mlx/testing/stored.rs` repeats, so the short form needs no
weights: it has their names, shapes, factors and bits, the greedy tokens, and a few logits.
"""

import json
import math
import re
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import _get_classes

VOCABULARY = 250
N_PROMPT = 96
N_GREEDY = 48
# Positions of the prompt whose logits the short form has, and how many of the first logits.
STORED_POSITIONS = [0, 1, 40, 95]
N_STORED = 12

PROMPT = [(37 * i + 11 * (i // 7)) % VOCABULARY for i in range(N_PROMPT)]

BASE = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 1024,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
LLAMA3 = {
    "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32}
MOE = {
    "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 32, "decoder_sparse_step": 1,
    "mlp_only_layers": [], "norm_topk_prob": True, "head_dim": 32,
}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 24, "rms_norm_eps": 1e-6}
GRANITE = {
    "logits_scaling": 3.0, "attention_multiplier": 0.2, "embedding_multiplier": 4.0, "residual_multiplier": 0.4,
    "attention_bias": False, "mlp_bias": False,
}
SLIDING = ["sliding_attention", "full_attention", "sliding_attention"]
MELLUM = {
    **MOE, "sliding_window": 16, "layer_types": SLIDING,
    "rope_parameters": {
        "full_attention": {"rope_theta": 10000.0, **YARN},
        "sliding_attention": {"rope_theta": 5000.0, "rope_type": "default"},
    },
}
GPT_OSS = {
    "head_dim": 32, "num_local_experts": 8, "num_experts_per_tok": 3, "sliding_window": 16, "num_hidden_layers": 4,
    "rope_scaling": YARN, "rope_theta": 150000, "tie_word_embeddings": False,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
GLM_MOE = {
    "head_dim": 32, "moe_intermediate_size": 32, "n_group": 1, "topk_group": 1, "n_shared_experts": 1,
    "n_routed_experts": 8, "routed_scaling_factor": 1.5, "num_experts_per_tok": 3, "first_k_dense_replace": 1,
    "norm_topk_prob": True, "rope_scaling": None, "use_qk_norm": True, "attention_bias": True,
    "partial_rotary_factor": 0.5, "tie_word_embeddings": False,
}
NEXT = {
    "head_dim": 32, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 32,
    "linear_value_head_dim": 24, "linear_conv_kernel_dim": 4, "num_hidden_layers": 4, "full_attention_interval": 4,
    "partial_rotary_factor": 0.25, "tie_word_embeddings": False,
}
NEXT_MOE = {**NEXT, **MOE, "shared_expert_intermediate_size": 48}
ROPE_3_5 = {"rope_parameters": {"rope_type": "default", "rope_theta": 100000.0, "partial_rotary_factor": 0.25}}
MINISTRAL = {
    "head_dim": 32, "tie_word_embeddings": False,
    "rope_parameters": {
        "rope_theta": 10000.0, "type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "mscale": 1.0,
        "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.3,
    },
}
LFM = {
    "norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3, "block_dim": 64, "block_multiple_of": 32,
    "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True, "full_attn_idxs": [1],
}

DEEPSEEK = {
    "num_key_value_heads": 4, "moe_intermediate_size": 32, "n_shared_experts": 2, "n_routed_experts": 8,
    "routed_scaling_factor": 1.5, "kv_lora_rank": 32, "q_lora_rank": None, "qk_rope_head_dim": 16, "v_head_dim": 24,
    "qk_nope_head_dim": 32, "topk_method": "greedy", "n_group": 1, "topk_group": 1, "num_experts_per_tok": 3,
    "first_k_dense_replace": 1, "tie_word_embeddings": False,
    "rope_scaling": {**YARN, "type": "yarn", "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707},
}
GRANITE_HYBRID = {
    **GRANITE, "layer_types": ["mamba", "attention", "mamba"], "num_local_experts": 8, "num_experts_per_tok": 3,
    "shared_intermediate_size": 48, "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_proj_bias": False,
    "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_n_groups": 1, "mamba_conv_bias": True,
    "position_embedding_type": "nope",
}
GEMMA4 = {
    "rms_norm_eps": 1e-6, "num_hidden_layers": 5, "head_dim": 32, "global_head_dim": 64, "sliding_window": 16,
    "sliding_window_pattern": 2, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 32,
    "vocab_size_per_layer_input": VOCABULARY, "rope_parameters": None,
}
GEMMA4_MOE = {
    **GEMMA4, "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0, "attention_k_eq_v": True,
    "num_global_key_value_heads": 1, "enable_moe_block": True, "num_experts": 8, "top_k_experts": 3,
    "moe_intermediate_size": 32, "layer_types": [*SLIDING, "sliding_attention", "full_attention"],
    "rope_parameters": {
        "full_attention": {"rope_theta": 50000.0, "rope_type": "proportional", "partial_rotary_factor": 0.5},
        "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
    },
}

# Name, model_type, fields beside those of BASE, quantization (None, bits, "mixed", the name of a format, or "original" for
# experts in mxfp4 under the names of OpenAI's checkpoints).
MODELS = [
    ("llama", "llama", {}, None),
    ("llama, untied, mixed bits", "llama", {"tie_word_embeddings": False}, "mixed"),
    ("llama, biases, adjacent pairs", "llama", {"attention_bias": True, "mlp_bias": True, "rope_traditional": True}, None),
    ("llama, llama3 rope", "llama", {"rope_scaling": LLAMA3}, 4),
    ("llama, linear rope", "llama", {"rope_scaling": {"type": "linear", "factor": 2.0}}, None),
    ("llama, yarn rope", "llama", {"rope_scaling": YARN}, 8),
    ("llama, heads of 24", "llama", {"head_dim": 24, "num_key_value_heads": 1}, None),
    ("mistral", "mistral", {"head_dim": 32}, 3),
    ("qwen2", "qwen2", {}, 4),
    ("qwen2, untied", "qwen2", {"tie_word_embeddings": False}, 6),
    ("qwen3", "qwen3", {"head_dim": 32}, None),
    ("qwen3, untied, mixed bits", "qwen3", {"head_dim": 32, "tie_word_embeddings": False}, "mixed"),
    ("qwen3_moe", "qwen3_moe", MOE, None),
    ("qwen3_moe, 4 bits", "qwen3_moe", {**MOE, "norm_topk_prob": False, "tie_word_embeddings": False}, 4),
    ("qwen3_moe, dense layers, mixed bits", "qwen3_moe", {**MOE, "decoder_sparse_step": 2, "mlp_only_layers": [0]}, "mixed"),
    ("gemma2", "gemma2", GEMMA, None),
    ("gemma2, 4 bits", "gemma2", GEMMA, 4),
    ("gemma3_text", "gemma3_text", {**GEMMA, "sliding_window": 16, "sliding_window_pattern": 3}, None),
    ("gemma3_text, 8 bits", "gemma3_text", {**GEMMA, "sliding_window": 16, "sliding_window_pattern": 2}, 8),
    ("granite", "granite", GRANITE, None),
    ("granite, biases, untied", "granite", {**GRANITE, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}, 4),
    ("granitemoe", "granitemoe", {**GRANITE, "num_local_experts": 8, "num_experts_per_tok": 3}, 4),
    ("mellum", "mellum", MELLUM, None),
    ("mellum, 4 bits", "mellum", {**MELLUM, "tie_word_embeddings": False}, 4),
    ("ministral3", "ministral3", MINISTRAL, None),
    ("ministral3, windows, 4 bits", "ministral3", {**MINISTRAL, "layer_types": SLIDING, "sliding_window": 16}, 4),
    ("mistral3", "mistral3", {"text_config": {**BASE, **MINISTRAL, "model_type": "ministral3"}}, None),
    ("mistral3 of llama, 4 bits", "mistral3", {"text_config": {**BASE, "model_type": "llama", "head_dim": 32}}, 4),
    ("phi3", "phi3", {}, None),
    ("phi3, part rotated, 4 bits", "phi3", {"partial_rotary_factor": 0.5, "tie_word_embeddings": True}, 4),
    ("phi3, longrope", "phi3", {"rope_scaling": {"type": "longrope", "long_factor": [1.0 + 0.25 * i for i in range(8)], "short_factor": [1.0] * 8}, "original_max_position_embeddings": 64}, None),
    ("starcoder2", "starcoder2", {"norm_epsilon": 1e-5}, None),
    ("starcoder2, 4 bits", "starcoder2", {"norm_epsilon": 1e-5, "tie_word_embeddings": False}, 4),
    ("smollm3", "smollm3", {"no_rope_layer_interval": 2}, None),
    ("smollm3, 4 bits", "smollm3", {"no_rope_layers": [1, 0, 1]}, 4),
    ("olmo2", "olmo2", {}, None),
    ("olmo2, 4 bits", "olmo2", {"tie_word_embeddings": False}, 4),
    ("seed_oss", "seed_oss", {"head_dim": 32, "attention_bias": True}, None),
    ("seed_oss, 4 bits", "seed_oss", {"head_dim": 32, "attention_bias": True, "tie_word_embeddings": False}, 4),
    ("glm4", "glm4", {"head_dim": 32, "attention_bias": True, "partial_rotary_factor": 0.5, "tie_word_embeddings": False}, None),
    ("qwen3_next", "qwen3_next", NEXT_MOE, None),
    ("qwen3_next, 4 bits", "qwen3_next", {**NEXT_MOE, "full_attention_interval": 2}, 4),
    ("qwen3_5", "qwen3_5", {**NEXT, **ROPE_3_5}, None),
    ("qwen3_5, tied, mixed bits", "qwen3_5", {**NEXT, **ROPE_3_5, "tie_word_embeddings": True, "full_attention_interval": 3}, "mixed"),
    ("qwen3_5_moe", "qwen3_5_moe", {**NEXT_MOE, **ROPE_3_5, "norm_topk_prob": True}, 4),
    ("lfm2", "lfm2", LFM, None),
    ("lfm2, biases, 4 bits", "lfm2", {**LFM, "conv_bias": True, "block_auto_adjust_ff_dim": False, "full_attn_idxs": [0, 2]}, 4),
    ("gpt_oss", "gpt_oss", GPT_OSS, None),
    ("gpt_oss, 4 bits", "gpt_oss", GPT_OSS, 4),
    ("gpt_oss, mxfp4", "gpt_oss", GPT_OSS, "mxfp4"),
    ("glm4_moe", "glm4_moe", GLM_MOE, None),
    ("glm4_moe, 4 bits", "glm4_moe", {**GLM_MOE, "use_qk_norm": False, "n_shared_experts": 2}, 4),
    ("glm4_moe, groups", "glm4_moe", {**GLM_MOE, "n_group": 4, "topk_group": 2, "n_routed_experts": 16}, None),
    ("gemma3", "gemma3", {"vocab_size": VOCABULARY, "text_config": {**BASE, **GEMMA, "model_type": "gemma3_text", "sliding_window": 16, "sliding_window_pattern": 3}}, 4),
    ("gemma4_text", "gemma4_text", GEMMA4, None),
    ("gemma4_text, experts", "gemma4_text", GEMMA4_MOE, None),
    ("gemma4_text, experts, 4 bits", "gemma4_text", {**GEMMA4_MOE, "num_kv_shared_layers": 2}, 4),
    ("gemma4", "gemma4", {"vocab_size": VOCABULARY, "text_config": {**BASE, **GEMMA4, "model_type": "gemma4_text"}}, "mixed"),
    ("granitemoehybrid", "granitemoehybrid", GRANITE_HYBRID, None),
    ("granitemoehybrid, groups, 4 bits", "granitemoehybrid", {**GRANITE_HYBRID, "mamba_n_groups": 2, "mamba_proj_bias": True, "position_embedding_type": "rope"}, 4),
    ("granitemoehybrid, dense", "granitemoehybrid", {**GRANITE_HYBRID, "num_local_experts": 0, "tie_word_embeddings": False, "mamba_conv_bias": False}, None),
    ("deepseek_v2", "deepseek_v2", DEEPSEEK, None),
    ("deepseek_v2, groups", "deepseek_v2", {**DEEPSEEK, "q_lora_rank": 48, "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "rope_scaling": {**DEEPSEEK["rope_scaling"], "mscale": 1.0}}, None),
    ("deepseek_v2, 4 bits", "deepseek_v2", {**DEEPSEEK, "q_lora_rank": 32, "attention_bias": True}, 4),
    ("llama, nvfp4", "llama", {"tie_word_embeddings": False}, "nvfp4"),
    ("qwen3_moe, mxfp8", "qwen3_moe", MOE, "mxfp8"),
    ("gpt_oss, original", "gpt_oss", GPT_OSS, "original"),
    ("glm4, 4 bits", "glm4", {"head_dim": 32, "attention_bias": False, "partial_rotary_factor": 0.5, "tie_word_embeddings": False}, 4),
]

# The same with what mlx_lm's adapter_config.json says of a fine-tuning.
LORA = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": {"rank": 4, "scale": 2.0, "dropout": 0.0}}
ADAPTED = [
    ("llama, lora, mixed bits", "llama", {"attention_bias": True}, "mixed", LORA),
    ("llama, dora, 4 bits", "llama", {}, 4, {**LORA, "fine_tune_type": "dora", "num_layers": 3}),
    ("phi3, lora", "phi3", {}, None, LORA),
    ("qwen3_moe, lora, 4 bits", "qwen3_moe", {**MOE, "mlp_only_layers": [2]}, 4, LORA),
    ("qwen2, full", "qwen2", {}, None, {"fine_tune_type": "full", "num_layers": 1}),
]


def without_global_scale(gather_qmm):
    """mlx_lm 0.32.2 passes an argument that mlx 0.32.2 does not have yet; it is None but for nvfp4."""

    def call(*args, global_scale=None, **named):
        assert global_scale is None
        return gather_qmm(*args, **named)

    return call


mx.gather_qmm = without_global_scale(mx.gather_qmm)

# Modules that mlx_lm does not quantize are too small for a group.
GROUP = 32


def numbers(name, shape):
    """Numbers in [-1, 1) that follow from the name and the index."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    n = math.prod(shape)
    x = (np.uint64(seed) + np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B9)).astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)).reshape(shape)


def rule(name, shape, model_type):
    """The factor for a weight's numbers, and what is added to them."""
    if name.endswith("A_log"):
        return 1.0, 0.5
    if "conv1d" in name or name.endswith("conv.conv.weight"):
        return 0.6, 0.0
    if "norm" in name and name.endswith(".weight"):
        return 0.2, 0.0 if model_type in ("gemma2", "gemma3_text", "gemma3") else 1.0
    if name.endswith("scale") or name.endswith("layer_scalar"):
        return 0.2, 1.0
    if name.endswith("bias") or "sinks" in name:
        return 0.2, 0.0
    if "embed_tokens" in name or "lm_head" in name:
        return 1.0, 0.0
    return 2.5 / math.sqrt(shape[-1]), 0.0


def bits_of(quantization, i):
    return {"mixed": [4, 8, 5, 6][i % 4], "mxfp4": 8, "original": 8}.get(quantization, quantization)


def settings_of(bits):
    """What MLX calls a format."""
    modes = {"mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}
    if bits not in modes:
        return {"group_size": GROUP, "bits": bits}
    group_size, n_bits = modes[bits]
    return {"group_size": group_size, "bits": n_bits, "mode": bits}


def build(model_type, more, quantization):
    """The model, its config.json, and how its weights are made."""
    config = {**BASE, "model_type": model_type, **more}
    if "text_config" in more:
        config = {"model_type": model_type, **more}
    if "norm_epsilon" in more or "norm_eps" in more:
        del config["rms_norm_eps"]
    classes = _get_classes(config)
    model = classes[0](classes[1].from_dict(config))
    recipe, weights = [], []
    for name, weight in tree_flatten(model.parameters()):
        factor, offset = rule(name, weight.shape, model_type)
        recipe.append([name, list(weight.shape), factor, offset])
        values = numbers(name, weight.shape) * np.float32(factor) + np.float32(offset)
        weights.append((name, mx.array(values)))
    model.update(tree_unflatten(weights))
    quantized = {}
    if quantization is not None:

        def choose(path, module):
            if not hasattr(module, "to_quantized") or module.weight.shape[-1] % GROUP:
                return False
            bits = bits_of(quantization, len(quantized))
            if quantization in ("mxfp4", "original") and ".experts." in path:
                bits = "mxfp4"
            quantized[path] = bits
            return settings_of(bits)

        nn.quantize(model, class_predicate=choose)
        default = bits_of(quantization, 0)
        config["quantization"] = settings_of(default)
        for path, bits in quantized.items():
            if bits != default:
                config["quantization"][path] = settings_of(bits)
    mx.eval(model.parameters())
    return model, config, recipe, quantized


def under_original_names(model):
    """The weights as OpenAI's checkpoints have them, which mlx_lm turns into those of the model."""
    weights = dict(tree_flatten(model.parameters()))
    original = {name: it for name, it in weights.items() if ".experts." not in name}
    for name in [it for it in weights if it.endswith(".experts.down_proj.weight")]:
        experts = name.removesuffix("down_proj.weight")
        down, joined = f"{experts}down_proj", f"{experts}gate_up_proj"
        for part, ending in (("weight", "_blocks"), ("scales", "_scales"), ("bias", "_bias")):
            gate, up = (weights[f"{experts}{it}.{part}"] for it in ("gate_proj", "up_proj"))
            pair = mx.stack([gate, up], axis=2)
            joint = pair.reshape(gate.shape[0], -1, *gate.shape[2:])
            for module, it in ((down, weights[f"{down}.{part}"]), (joined, joint)):
                if part == "weight":
                    it = it.view(mx.uint8).reshape(*it.shape[:-1], -1, 16)
                original[module + ending] = it
    restored = model.sanitize(dict(original))
    assert restored.keys() == weights.keys()
    assert all(mx.array_equal(weights[name], it) for name, it in restored.items())
    return original


def adapt(model, settings):
    """Fine-tunes the model with weights that follow from their names, and returns these and how they are made."""
    kind = settings["fine_tune_type"]
    if kind == "full":
        names = [f"model.layers.2.{it}" for it in ("mlp.up_proj.weight", "self_attn.q_proj.bias")]
    else:
        linear_to_lora_layers(model, settings["num_layers"], settings["lora_parameters"], use_dora=kind == "dora")
        endings = (".lora_a", ".lora_b", ".m")
        names = [name for name, _ in tree_flatten(model.parameters()) if name.endswith(endings)]
    recipe, weights = [], []
    for name, old in tree_flatten(model.parameters()):
        if name in names:
            factor, offset = (0.5, 1.5) if name.endswith(".m") else (0.4, 0.0)
            recipe.append([name, list(old.shape), factor, offset])
            # Seeded by another name than the weight that it takes the place of.
            weights.append((name, mx.array(numbers(f"adapter.{name}", old.shape) * np.float32(factor) + np.float32(offset))))
    model.update(tree_unflatten(weights))
    return dict(weights), recipe


def shortened(recipe, quantized):
    """The recipe with one row for the same weight of several layers: name, layers, shape, factor, offset, bits."""
    rows = {}
    for name, shape, factor, offset in recipe:
        bits = quantized.get(name.removesuffix(".weight"))
        layer = re.search(r"\.(\d+)\.", name)
        pattern = name if layer is None else f"{name[:layer.start()]}.*.{name[layer.end():]}"
        layers = rows.setdefault((pattern, tuple(shape), factor, offset, bits), [])
        if layer is not None:
            layers.append(int(layer[1]))
    return [[pattern, layers, *more] for (pattern, *more), layers in rows.items()]


def expect(model):
    logits = np.array(model(mx.array([PROMPT]))[0].astype(mx.float32))
    cache = make_prompt_cache(model)
    last = model(mx.array([PROMPT]), cache=cache)[0, -1]
    tokens, gaps = [], []
    while True:
        top = mx.sort(last)[-2:]
        tokens.append(int(mx.argmax(last).item()))
        gaps.append(round(float((top[1] - top[0]).item()), 6))
        if len(tokens) == N_GREEDY:
            return logits, tokens, gaps
        last = model(mx.array([[tokens[-1]]]), cache=cache)[0, -1]


def rows():
    return [(*it, None) for it in MODELS] + ADAPTED


def main(arguments):
    if arguments == ["--stored"]:
        lines = []
        for name, model_type, more, quantization, settings in rows():
            if quantization in ("mxfp4", "original"):
                # With keys in float16, as in the tests, experts that are about as likely change places; and the tests cannot
                # make original names.
                continue
            model, config, recipe, quantized = build(model_type, more, quantization)
            row = {"name": name, "config": config, "weights": shortened(recipe, quantized)}
            if settings is not None:
                row["adapter"] = {"config": settings, "weights": shortened(adapt(model, settings)[1], {})}
            logits, tokens, gaps = expect(model)
            row |= {
                "tokens": tokens, "gaps": [round(gap, 3) for gap in gaps],
                "scale": round(float(np.abs(logits).max()), 4),
                "logits": [[round(float(x), 4) for x in it[:N_STORED]] for it in logits[np.array(STORED_POSITIONS)]],
            }
            lines.append(json.dumps(row, separators=(",", ":")))
        shared = json.dumps({"prompt": PROMPT, "positions": STORED_POSITIONS, "group_size": GROUP})
        models = ",\n".join(lines)
        print(f'{shared[:-1]}, "models": [\n{models}\n]}}')
        return
    folder, wanted = Path(arguments[0]), arguments[1:]
    for name, model_type, more, quantization, settings in rows():
        if wanted and not any(name == it or name.split(", ")[0] == it for it in wanted):
            continue
        model, config, _, _ = build(model_type, more, quantization)
        target = folder / name.replace(", ", "-").replace(" ", "_")
        target.mkdir(parents=True, exist_ok=True)
        weights = under_original_names(model) if quantization == "original" else tree_flatten(model.parameters())
        mx.save_safetensors(str(target / "model.safetensors"), dict(weights))
        (target / "config.json").write_text(json.dumps(config))
        if settings is not None:
            adapter = target / "adapter"
            adapter.mkdir(exist_ok=True)
            mx.save_safetensors(str(adapter / "adapters.safetensors"), adapt(model, settings)[0])
            (adapter / "adapter_config.json").write_text(json.dumps(settings))
        logits, tokens, gaps = expect(model)
        expected = {"name": name, "prompt": PROMPT, "tokens": tokens, "gaps": gaps, "logits": logits.tolist()}
        (target / "expected.json").write_text(json.dumps(expected))
        print(name, file=sys.stderr)


main(sys.argv[1:])
