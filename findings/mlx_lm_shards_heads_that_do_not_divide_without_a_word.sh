#!/usr/bin/env bash
# What meets: mlx-lm 0.32.2's `shard` of a llama and MLX 0.32.2's ring with two ranks on this machine.
# Guess: a model whose heads cannot be shared out evenly is refused, as one whose feed-forward network cannot is.
# Seen: rows are halved whatever a head is. With three heads of 16, each rank then has one head of 24: the model runs, and its
#   logits are other ones. With three key-value heads shared by nine, it is halved too, and fails in the first step with a
#   message about shapes. Only an odd feed-forward network is refused, and an even number of heads is right.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "mlx-lm==0.32.2" "mlx[cpu]==0.32.2"
cat > "$folder/rank.py" <<'PYTHON'
import mlx.core as mx
from mlx_lm.models.llama import Model, ModelArgs

mx.set_default_device(mx.cpu)
group = mx.distributed.init(strict=True, backend="ring")


def told(n_heads, n_kv_heads, hidden_size, intermediate_size=96):
    mx.random.seed(0)
    model = Model(ModelArgs(model_type="llama", hidden_size=hidden_size, num_hidden_layers=1,
                            intermediate_size=intermediate_size, num_attention_heads=n_heads,
                            num_key_value_heads=n_kv_heads, rms_norm_eps=1e-6, vocab_size=64))
    tokens = mx.array([[1, 2, 3, 4, 5]])
    alone = model(tokens)
    mx.eval(alone)
    try:
        model.shard(group)
    except ValueError:
        return "refused"
    try:
        together = model(tokens)
        mx.eval(together)
    except ValueError:
        return "fails in the first step"
    error = (mx.abs(together - alone).max() / mx.abs(alone).max()).item()
    return "right" if error < 1e-5 else "other logits" if error > 1e-2 else "nearly right"


for name, sizes in {
    "4 heads, 2 of keys": (4, 2, 64),
    "3 heads": (3, 3, 48),
    "9 heads, 3 of keys": (9, 3, 72),
    "95 inner numbers": (4, 2, 64, 95),
}.items():
    seen = told(*sizes)
    if group.rank() == 0:
        print(f"{name}: {seen}", flush=True)
PYTHON
python3 - > "$folder/hosts.json" <<'PYTHON'
import json
import socket

sockets = [socket.socket() for _ in range(2)]
for it in sockets:
    it.bind(("127.0.0.1", 0))
print(json.dumps([[f"127.0.0.1:{it.getsockname()[1]}"] for it in sockets]))
PYTHON
export MLX_HOSTFILE="$folder/hosts.json"
MLX_RANK=1 timeout 300 "$folder/venv/bin/python" "$folder/rank.py" &
MLX_RANK=0 timeout 300 "$folder/venv/bin/python" "$folder/rank.py" > "$folder/seen"
wait
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
4 heads, 2 of keys: right
3 heads: other logits
9 heads, 3 of keys: fails in the first step
95 inner numbers: refused
EXPECTED
