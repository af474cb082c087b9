#!/usr/bin/env bash
# What meets: mlx-lm 0.32.2, which asks for mlx>=0.32.2, and mlx 0.32.2, on a tiny random qwen3_moe that mlx_lm quantizes.
# Guess: a version of mlx that mlx_lm's own requirement allows can run its models.
# Seen: pip installs the two, the model in float32 runs, and the same model in 4 bits fails with a TypeError: the class that
#   mlx_lm has for quantized experts passes `global_scale` to `gather_qmm`, which mlx 0.32.2 does not have.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "mlx-lm==0.32.2" "mlx[cpu]==0.32.2"
"$folder/venv/bin/python" - > "$folder/seen" 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
from importlib.metadata import requires

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models import qwen3_moe

print(sorted({it.split(";")[0].strip() for it in requires("mlx-lm") if it.startswith("mlx>")}))
config = {"model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64,
          "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 64, "head_dim": 32,
          "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1,
          "mlp_only_layers": [], "norm_topk_prob": True, "max_position_embeddings": 64, "rope_theta": 10000.0,
          "tie_word_embeddings": True}
model = qwen3_moe.Model(qwen3_moe.ModelArgs.from_dict(config))
tokens = mx.array([[1, 2, 3]])
print("float32:", model(tokens).shape)
nn.quantize(model, group_size=32, bits=4)
try:
    mx.eval(model(tokens))
    print("4 bits: runs")
except TypeError as error:
    print("4 bits: TypeError,", "gather_qmm" in str(error) and "global_scale" in str(error))
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
['mlx>=0.32.2']
float32: (1, 3, 64)
4 bits: TypeError, True
EXPECTED
