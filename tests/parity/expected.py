"""Makes the expected tokens that `tests/parity.rs` compares with, from mlx_lm.

    pip install mlx-lm==0.32.2 "mlx[cpu]==0.32.2"
    python tests/parity/expected.py MODEL_FOLDER N_PROMPTS > tests/parity/NAME.json

The folder is the one that `runabout models pull` made. Decoding is greedy. Beside each token stands how far the top
two logits were apart: where that is next to nothing, two right programs may differ.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
import mlx_lm
from mlx_lm.generate import generate_step

N_TOKENS = 32


def main(folder: str, n_prompts: int) -> None:
    model, tokenizer = mlx_lm.load(folder)
    cases = json.loads((Path(__file__).parent / "prompts.json").read_text())
    if n_prompts < len(cases):
        # Spread over the list, so that code, prose and chat are all there.
        cases = [cases[i * len(cases) // n_prompts] for i in range(n_prompts - 1)] + [cases[-1]]
    results = []
    for case in cases:
        if "messages" in case:
            prompt = tokenizer.apply_chat_template(case["messages"], add_generation_prompt=True)
        else:
            prompt = tokenizer.encode(case["prompt"])
        tokens, gaps = [], []
        for token, logprobs in generate_step(mx.array(prompt), model, max_tokens=N_TOKENS):
            if token in tokenizer.eos_token_ids:
                break
            top = mx.sort(logprobs)[-2:]
            tokens.append(int(token))
            gaps.append(round((top[1] - top[0]).item(), 6))
        results.append({**case, "prompt_tokens": list(map(int, prompt)), "tokens": tokens, "gaps": gaps})
        print(case["name"], repr(tokenizer.decode(tokens)), file=sys.stderr)
    lines = ",\n".join(json.dumps(it, ensure_ascii=False) for it in results)
    print(f"[\n{lines}\n]")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
