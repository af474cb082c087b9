#!/usr/bin/env bash
# What meets: a qwen2 config.json that names no `rope_theta`, read by transformers 5.24.0 and by mlx-lm 0.32.2.
# Guess: both take the base that Qwen2 was published with, since a default is part of what a model_type means.
# Seen: transformers takes 10,000, mlx_lm 1,000,000: the same folder has other positions, and so other text, in each.
#   For llama both take 10,000.
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

for kind in ["llama", "qwen2"]:
    config = {"model_type": kind, "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64,
              "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 64}
    folder = Path(sys.argv[1]) / kind
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    in_transformers = AutoConfig.from_pretrained(folder).rope_parameters["rope_theta"]
    in_mlx_lm = importlib.import_module(f"mlx_lm.models.{kind}").ModelArgs.from_dict(config).rope_theta
    print(kind, float(in_transformers), float(in_mlx_lm))
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
llama 10000.0 10000.0
qwen2 10000.0 1000000.0
EXPECTED
