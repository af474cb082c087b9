#!/usr/bin/env bash
# What meets: `rope_parameters` keyed by the kind of layer, as transformers 5.24.0 itself writes it for gemma3, in the
#   config.json of a llama model, whose layers are all of one kind.
# Guess: the base in it is used, or the key that llama has no use for is refused.
# Seen: neither: the base is 10,000, whatever stands there, and nothing is raised; for gemma3 the same form is read.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "transformers==5.24.0"
"$folder/venv/bin/python" - "$folder" > "$folder/seen" 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import json
import sys
from pathlib import Path

from transformers import AutoConfig

by_kind = {"full_attention": {"rope_type": "default", "rope_theta": 500000.0},
           "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0}}
for kind in ["gemma3_text", "llama"]:
    folder = Path(sys.argv[1]) / kind
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "rope_parameters": by_kind}))
    read = AutoConfig.from_pretrained(folder).rope_parameters
    print(kind, "read:", read["full_attention"]["rope_theta"], "used at the top:", read.get("rope_theta"))
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
gemma3_text read: 500000.0 used at the top: None
llama read: 500000.0 used at the top: 10000.0
EXPECTED
