"""Compares `runabout generate` with `mlx_lm.generate`; see `test`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlx.core as mx

RULE = "=" * 10
FIGURES = re.compile(
    r"Prompt: (\d+) tokens, \d+\.\d{3} tokens-per-sec\n"
    r"Generation: (\d+) tokens, \d+\.\d{3} tokens-per-sec\n"
    r"Peak memory: \d+\.\d{3} GB\n"
)
CODE = "def fibonacci(n):\n    "
# By what they try: the options of both programs, and what is on stdin. mlx_lm takes a backslash with an `n` or a `t` in a
# prompt for a line break or a tab; runabout leaves it, so none is here.
CASES = {
    "a message": (["--prompt", "What is a monad?"], None),
    "several lines and quotes": (["--prompt", "Explain this:\n\n```python\nprint(\"a\", 'b')\n```"], None),
    "other scripts": (["--prompt", "Übersetze ins Englische: „Größe“ 漢字 🙂"], None),
    "white space at both ends": (["--prompt", "  Name three colours.  "], None),
    "a system prompt": (["--system-prompt", "You answer in one word.", "--prompt", "The capital of France?"], None),
    "an answer that is begun": (["--prefill-response", "The three colours are", "--prompt", "Name three colours."], None),
    "both": (["--system-prompt", "Be brief.", "--prefill-response", "Sure: ", "--prompt", "Count to five."], None),
    "from stdin": (["--prompt", "-"], "Write a haiku about rust."),
    "code without a template": (["--ignore-chat-template", "--prompt", CODE], None),
    "text without a template": (["--ignore-chat-template", "--prompt", "Once upon a time"], None),
    "an end token more": (["--ignore-chat-template", "--prompt", "one two three four", "--extra-eos-token", "\u0120six", "\u0120five"], None),
    "penalized by nothing, one token": (["--prompt", "Say yes.", "--max-tokens", "1"], None),
    "a variable of the template": (["--prompt", "Hi!", "--chat-template-config", '{"enable_thinking": false}'], None),
}
# How many tokens are asked for: fewer of the larger model, which mlx_lm computes slowly here.
MODELS = {"smollm2-135m": 40, "qwen2.5-coder-0.5b": 24}
N_ROUNDS = 3
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "RUNABOUT_LOG": "error"}


def runabout(*args):
    return subprocess.run([os.environ["RUNABOUT"], *args], check=True, capture_output=True, text=True).stdout


def with_float32(source, folder):
    """The same model with scales, biases and norms in float32: in half precision, mlx_lm adds up too coarsely on a CPU."""
    shutil.copytree(source, folder)
    for path in folder.glob("*.safetensors"):
        weights = mx.load(str(path))
        halves = (mx.float16, mx.bfloat16)
        weights = {name: it.astype(mx.float32) if it.dtype in halves else it for name, it in weights.items()}
        path.unlink()
        mx.save_safetensors(str(path), weights, metadata={"format": "mlx"})


def run(command, stdin):
    """What a program prints, its seconds and its largest size in MB."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        given.write(stdin or "")
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=err, env=ENVIRONMENT)
        _, status, used = os.wait4(process.pid, 0)
        elapsed = time.monotonic() - started
        for file in (out, err):
            file.seek(0)
        assert status == 0, f"{command}: {status}\n{err.read()}"
        return out.read(), elapsed, used.ru_maxrss / 1024


def ours(folder, args, stdin):
    return run([os.environ["RUNABOUT"], "generate", "--model", str(folder), *args], stdin)


def theirs(folder, args, stdin):
    return run([sys.executable, "-m", "mlx_lm", "generate", "--model", str(folder), "--temp", "0", *args], stdin)


def parts(printed, has_rule_above):
    """The text and the numbers of tokens."""
    if printed == f"{RULE}\n\n{RULE}\nNo text generated for this prompt\n":
        # mlx_lm has no figures for a text that ends at once.
        return "", None
    above, found, below = printed.rpartition(f"{RULE}\n")
    counts = FIGURES.fullmatch(below)
    assert found and counts, printed
    if has_rule_above:
        _, found, above = above.partition(f"{RULE}\n")
        assert found, printed
    assert above.endswith("\n"), printed
    return above[:-1], tuple(map(int, counts.groups()))


def same(name, case, args, a, b):
    (text_a, counts_a), (text_b, counts_b) = a, b
    if text_a != text_b and text_a == f" {text_b}":
        # mlx_lm drops the first space of a text.
        text_a = text_b
    assert text_a == text_b, f"{name}, {case}: {args}\n{text_a!r}\n{text_b!r}"
    assert counts_b is None or counts_a == counts_b, f"{name}, {case}: {args}\n{counts_a}\n{counts_b}"


def main():
    for name in sys.argv[1:] or list(MODELS):
        with tempfile.TemporaryDirectory() as folder:
            # Where packed weights are kept.
            ENVIRONMENT["RUNABOUT_HOME"] = str(Path(folder) / "home")
            folder = Path(folder) / name
            with_float32(Path(runabout("models", "path", name).strip()), folder)
            for case, (args, stdin) in CASES.items():
                limit = [] if "--max-tokens" in args else ["--max-tokens", str(MODELS[name])]
                a = parts(ours(folder, args + limit, stdin)[0], False)
                b = parts(theirs(folder, args + limit, stdin)[0], True)
                same(name, case, args, a, b)
                print(f"ok  {name}: {case}, {a[1][0]} and {a[1][1]} tokens", flush=True)
            args = ["--prompt", "What is a monad?", "--max-tokens", "1"]
            # In turns, so that both have the same machine.
            rounds = [[it(folder, args, None)[1:] for it in (ours, theirs)] for _ in range(N_ROUNDS)]
            for what, idx, unit in (("to the first token and back", 0, "s"), ("largest size", 1, "MB")):
                medians = [sorted(it[who][idx] for it in rounds)[N_ROUNDS // 2] for who in (0, 1)]
                print(f"    {name}: {what}: {medians[0]:.2f} {unit}, mlx_lm {medians[1]:.2f} {unit}", flush=True)


main()
