"""mlx_lm, driven by JSON lines: `{op, text, n_tokens}` in, `{n_tokens, seconds}` out.

Its own `generate_step` does the work, so what is timed is what its users get. On a CPU a context takes minutes
to fill; therefore `decode` fills one of each length once, keeps it for all rounds and trims off what was added.

Arguments: the model's folder, and the data type for what is not quantized, if it is not the file's.
"""

import json
import sys
from time import perf_counter

import mlx.core as mx
import mlx_lm
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache, trim_prompt_cache


def answer(**fields):
    print(json.dumps(fields), flush=True)


def drawn(tokens, cache, n_tokens):
    """The moment at which each of `n_tokens` was there."""
    steps = generate_step(mx.array(tokens), model, max_tokens=n_tokens, prompt_cache=cache)
    return [perf_counter() for _ in steps]


def prefill(tokens):
    start = perf_counter()
    [end] = drawn(tokens, make_prompt_cache(model), 1)
    return len(tokens), len(tokens), end - start


def decode(tokens, n_tokens):
    n_context = len(tokens)
    if n_context not in contexts:
        cache = make_prompt_cache(model)
        drawn(tokens, cache, 1)
        contexts[n_context] = cache, tokens[-1:]
    cache, last = contexts[n_context]
    trim_prompt_cache(cache, cache[0].offset - (n_context - 1))
    times = drawn(last, cache, n_tokens + 1)
    return n_context, n_tokens, times[-1] - times[0]


mx.set_default_device(mx.cpu)
contexts = {}
start = perf_counter()
model, tokenizer = mlx_lm.load(sys.argv[1])
if len(sys.argv) > 2:
    model.set_dtype(getattr(mx, sys.argv[2]))
mx.eval(model.parameters())
answer(version=f"mlx_lm {mlx_lm.__version__}, mlx {mx.__version__}", load_seconds=perf_counter() - start)

for line in sys.stdin:
    command = json.loads(line)
    tokens = tokenizer.encode(command["text"], add_special_tokens=False)
    if command["op"] == "prefill":
        n_prompt_tokens, n_tokens, seconds = prefill(tokens)
    else:
        n_prompt_tokens, n_tokens, seconds = decode(tokens, command["n_tokens"])
    answer(n_prompt_tokens=n_prompt_tokens, n_tokens=n_tokens, seconds=seconds)
