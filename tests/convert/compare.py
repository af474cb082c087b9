"""Compares RUNABOUT's conversions with mlx_lm's; see `test`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.convert import convert
from mlx_lm.utils import _get_classes, load, load_config

DENSE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 9,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "torch_dtype": "bfloat16",
    "_name_or_path": "somewhere",
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 128,
    "norm_topk_prob": True,
    "head_dim": 64,
}
GRANITE = {
    "logits_scaling": 1.0,
    "attention_multiplier": 0.1,
    "embedding_multiplier": 1.0,
    "residual_multiplier": 1.0,
    "attention_bias": False,
    "mlp_bias": False,
}
MODELS = {
    "llama": {"model_type": "llama", "tie_word_embeddings": False},
    "tied": {"model_type": "llama", "tie_word_embeddings": True, "torch_dtype": "float16"},
    "qwen3": {"model_type": "qwen3", "head_dim": 64, "tie_word_embeddings": False, "torch_dtype": None},
    "granite": {"model_type": "granite", "tie_word_embeddings": False} | GRANITE,
    "qwen3_moe": {"model_type": "qwen3_moe", "tie_word_embeddings": False} | EXPERTS,
}
# The options of both programs.
FORMS = {
    "plain": ([], {}),
    "float32": (["--dtype", "float32"], {"dtype": "float32"}),
    "mxfp4": (["--mode", "mxfp4"], {"quantize": True, "q_mode": "mxfp4"}),
    "nvfp4": (["--mode", "nvfp4"], {"quantize": True, "q_mode": "nvfp4"}),
    "mxfp8": (["--mode", "mxfp8"], {"quantize": True, "q_mode": "mxfp8"}),
}
for bits in (2, 3, 4, 5, 6, 8):
    for group in (32, 64, 128):
        ours = ["--bits", str(bits), "--group-size", str(group)]
        FORMS[f"{bits} bits, {group}"] = (ours, {"quantize": True, "q_bits": bits, "q_group_size": group})
for recipe in ("mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"):
    ours = ["--recipe", recipe, "--group-size", "64"]
    FORMS[recipe] = (ours, {"quantize": True, "q_group_size": 64, "quant_predicate": recipe})
# What is compared for all models but the first, which has all forms.
FEW = ["plain", "4 bits, 64", "nvfp4", "mixed_4_6"]


def runabout(*args):
    return subprocess.run([os.environ["RUNABOUT"], "models", *args], check=True, capture_output=True, text=True).stdout


def write_model(folder, config, tokenizer):
    """Random weights under the names that the original checkpoints have."""
    config = {it: value for it, value in (DENSE | config).items() if value is not None}
    folder.mkdir()
    for path in tokenizer.iterdir():
        if "token" in path.name or path.name.startswith("chat_template"):
            shutil.copy(path, folder)
    tokens = json.loads((folder / "tokenizer.json").read_text())
    config["vocab_size"] = len(tokens["model"]["vocab"]) + len(tokens["added_tokens"])
    (folder / "config.json").write_text(json.dumps(config))
    model_class, args_class = _get_classes(load_config(folder))
    mx.random.seed(len(config))
    weights = {}
    for name, weight in tree_flatten(model_class(args_class.from_dict(config)).parameters()):
        weight = (mx.random.normal(weight.shape) * 0.05).astype(mx.bfloat16)
        if "switch_mlp" in name:
            before, after = name.split("switch_mlp")
            weights |= {f"{before}experts.{idx}{after}": it for idx, it in enumerate(weight)}
        else:
            weights[name] = weight
    if config["model_type"] == "llama":
        weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = mx.ones((32,))
    mx.save_safetensors(str(folder / "model.safetensors"), weights)


def tensors(folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    found = {}
    for shard in set(index["weight_map"].values()):
        found |= mx.load(str(folder / shard))
    assert set(found) == set(index["weight_map"])
    return found, index["metadata"]


def compare(ours, theirs):
    (a, about_a), (b, about_b) = tensors(ours), tensors(theirs)
    assert set(a) == set(b), set(a) ^ set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        as_bytes = [it.view(mx.uint8) for it in (a[name], b[name])]
        assert mx.array_equal(*as_bytes), f"{name} differs"
    assert about_a["total_size"] == about_b["total_size"], (about_a, about_b)
    read = lambda folder: json.loads((folder / "config.json").read_text())  # noqa: E731
    # mlx_lm adds the end tokens of generation_config.json.
    differing = {it for it in read(ours).keys() | read(theirs).keys() if read(ours).get(it) != read(theirs).get(it)}
    assert differing <= {"eos_token_id"}, {it: (read(ours).get(it), read(theirs).get(it)) for it in differing}
    return len(a)


def main():
    tokenizer = Path(runabout("path", os.environ["RUNABOUT_TEST_MODEL"]).strip())
    models = sys.argv[1:] or list(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in models:
            config = MODELS[name]
            source = folder / name
            write_model(source, config, tokenizer)
            n_forms = n_tensors = 0
            for form, (options, arguments) in FORMS.items():
                if name != next(iter(MODELS)) and form not in FEW:
                    continue
                ours, theirs = folder / "ours", folder / "theirs"
                runabout("convert", str(source), "--output", str(ours), *options)
                sys.stdout = open(os.devnull, "w")
                convert(str(source), str(theirs), **arguments)
                sys.stdout = sys.__stdout__
                try:
                    n_tensors += compare(ours, theirs)
                except AssertionError as err:
                    raise AssertionError(f"{name}, {form}: {err}") from err
                model, _ = load(str(ours))
                # MLX on a CPU has not all products with experts.
                if "num_experts" not in config:
                    logits = model(mx.array([[1, 2, 3]]))
                    assert mx.all(mx.isfinite(logits)).item(), (name, form)
                n_forms += 1
                shutil.rmtree(ours)
                shutil.rmtree(theirs)
            print(f"ok  {name}: {n_tensors} tensors in {n_forms} forms are equal", flush=True)


main()
