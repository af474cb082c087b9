"""mlx_lm with several texts at once, driven by JSON lines: `{prompts, n_tokens}` in, `{n_drawn, seconds}` out.

Its own `batch_generate` does the work and counts the time that it generates, so what is told is what its users get.

Arguments: the model's folder.
"""

import json
import sys

import mlx.core as mx
import mlx_lm
from mlx_lm import batch_generate


def answer(**fields):
    print(json.dumps(fields), flush=True)


mx.set_default_device(mx.cpu)
model, tokenizer = mlx_lm.load(sys.argv[1])
mx.eval(model.parameters())
answer(version=f"mlx_lm {mlx_lm.__version__}, mlx {mx.__version__}")

for line in sys.stdin:
    command = json.loads(line)
    prompts = [tokenizer.encode(it, add_special_tokens=False) for it in command["prompts"]]
    stats = batch_generate(model, tokenizer, prompts, max_tokens=command["n_tokens"]).stats
    answer(n_drawn=stats.generation_tokens, seconds=stats.decode_time)
