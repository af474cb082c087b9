#!/usr/bin/env bash
# What meets: mlx-lm 0.32.2 and a gpt_oss config.json that leaves `layer_types` to its default.
# Guess: every layer that is built and loaded takes part, whatever their number.
# Seen: the default is pairs of a layer with a window and a full one, for half of the layers rounded down; the layers are
#   zipped with it, so with an odd number of them the last one is loaded and never run, without a word. With `layer_types`
#   given, it is run.
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "mlx-lm==0.32.2" "mlx[cpu]==0.32.2"
"$folder/venv/bin/python" - > "$folder/seen" 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.gpt_oss import Model, ModelArgs

KINDS = ["sliding_attention", "full_attention"]


def layers_that_matter(n_layers, layer_types):
    """The numbers of the layers without whose weights the logits are other ones."""
    mx.random.seed(0)
    model = Model(ModelArgs(
        num_hidden_layers=n_layers, num_local_experts=2, num_experts_per_tok=1, vocab_size=64, hidden_size=64,
        intermediate_size=64, head_dim=16, num_attention_heads=4, num_key_value_heads=2, sliding_window=8,
        layer_types=layer_types))
    random = [(name, mx.random.normal(it.shape) * 0.1) for name, it in tree_flatten(model.parameters())]
    tokens = mx.arange(12)[None]
    model.load_weights(random)
    whole = model(tokens)
    found = []
    for layer in range(n_layers):
        without = [(name, it * 0 if f".layers.{layer}." in name else it) for name, it in random]
        model.load_weights(without)
        if mx.abs(model(tokens) - whole).max().item() > 0:
            found.append(layer)
    return found


for n_layers in [2, 3, 4, 5]:
    print(n_layers, "layers, run by default:", layers_that_matter(n_layers, None),
          "with layer_types:", layers_that_matter(n_layers, [KINDS[it % 2] for it in range(n_layers)]))
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
2 layers, run by default: [0, 1] with layer_types: [0, 1]
3 layers, run by default: [0, 1] with layer_types: [0, 1, 2]
4 layers, run by default: [0, 1, 2, 3] with layer_types: [0, 1, 2, 3]
5 layers, run by default: [0, 1, 2, 3] with layer_types: [0, 1, 2, 3, 4]
EXPECTED
