#!/usr/bin/env bash
# What meets: transformers 5.24.0 saving a model folder, mlx-lm 0.32.2 (which installs that transformers) loading it.
# Guess: a config.json that transformers has loaded and saved again means the same to mlx_lm as before.
# Seen: transformers moves `rope_theta` and the scaling into `rope_parameters` and leaves nothing at the top; mlx_lm's llama
#   and qwen2 read only the top, so a model of base 100,000 with Llama 3 scaling runs with base 10,000 (llama) or
#   1,000,000 (qwen2) and no scaling, without a word.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "transformers==5.24.0" "mlx-lm==0.32.2" "mlx[cpu]==0.32.2"
"$folder/venv/bin/python" - "$folder" > "$folder/seen" 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import importlib
import json
import sys
from pathlib import Path

from transformers import AutoConfig

scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 8192}
for kind in ["llama", "qwen2"]:
    before, after = Path(sys.argv[1]) / f"{kind}-before", Path(sys.argv[1]) / f"{kind}-after"
    before.mkdir()
    config = {"model_type": kind, "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64,
              "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 64,
              "rope_theta": 100000.0, "rope_scaling": scaling}
    (before / "config.json").write_text(json.dumps(config))
    AutoConfig.from_pretrained(before).save_pretrained(after)
    saved = json.loads((after / "config.json").read_text())
    model_args = importlib.import_module(f"mlx_lm.models.{kind}").ModelArgs
    for config in [config, saved]:
        args = model_args.from_dict(config)
        print(kind, "rope_theta" in config, config.get("rope_parameters", {}).get("rope_theta"),
              "mlx_lm:", args.rope_theta, args.rope_scaling and args.rope_scaling["rope_type"])
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
llama True None mlx_lm: 100000.0 llama3
llama False 100000.0 mlx_lm: 10000 None
qwen2 True None mlx_lm: 100000.0 llama3
qwen2 False 100000.0 mlx_lm: 1000000 None
EXPECTED
