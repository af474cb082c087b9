"""Has the worker write a text for every schema at temperature 1, and validates it with `jsonschema`.

A schema may be refused if the error names one of its keywords; those of pydantic and zod only if they are listed here.
A text that says that it is incomplete need not be valid. Every other text must be. Prints a row for each schema of
pydantic and zod, and the sums of the test suite.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema

# What cannot be enforced, by library and type.
REFUSED = {
    "pydantic": {"set[int]": "uniqueItems"},
    "zod": {},
}
PROMPT = "Make up an example that is valid by this JSON Schema. Answer with the JSON alone, and keep it short.\n"


class Worker:
    def __init__(self) -> None:
        command = [os.environ["RUNABOUT"], "serve", "--offline", "--model", os.environ["RUNABOUT_TEST_MODEL"]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.n_sent = 0

    def send(self, schema: object, seed: int) -> int:
        self.n_sent += 1
        params = {
            "messages": [{"role": "user", "content": PROMPT + json.dumps(schema)}],
            "response_format": {"type": "json_schema", "schema": schema},
            "temperature": 1, "seed": seed, "max_tokens": 160, "stream": False,
        }
        message = {"jsonrpc": "2.0", "id": self.n_sent, "method": "chat", "params": params}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return self.n_sent

    def answers(self, requests: list[tuple[object, int]]) -> list[dict]:
        """The answers, in order; eight requests at a time, which the worker computes together."""
        answers: dict[int, dict] = {}
        ids: list[int] = []
        waiting = list(requests)
        while len(answers) < len(requests):
            while waiting and len(ids) - len(answers) < 8:
                ids.append(self.send(*waiting.pop(0)))
            message = json.loads(self.process.stdout.readline())
            if "method" not in message:
                answers[message["id"]] = message
        return [answers[it] for it in ids]


def keywords(schema: object) -> set[str]:
    """All names in a schema, keywords and others."""
    if isinstance(schema, dict):
        return set(schema).union(*map(keywords, schema.values()))
    return set().union(*map(keywords, schema)) if isinstance(schema, list) else set()


def verdict(schema: object, answer: dict) -> str:
    """`valid`, `incomplete`, or what the error names. Raises if the text is not what it says it is."""
    if "error" in answer:
        error = answer["error"]
        assert error["data"].get("field") == "response_format", error
        named = [it for it in keywords(schema) if it in error["message"]]
        # Some are refused for their values, such as an unknown type.
        assert named or error["code"] == -32602 or "oneOf" in error["message"], (error, schema)
        return "refused: " + error["message"].removeprefix("the format asks for what cannot be enforced: ")
    result = answer["result"]
    if "incomplete" in result:
        return "incomplete"
    value = json.loads(result["message"]["content"])
    jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)(schema).validate(value)
    return "valid"


def check_types(worker: Worker) -> None:
    for library, refused in REFUSED.items():
        rows = [json.loads(line) for line in Path(f"{library}.jsonl").read_text().splitlines()]
        answers = worker.answers([(row["schema"], seed) for seed, row in enumerate(rows)])
        counts: Counter[str] = Counter()
        for row, answer in zip(rows, answers):
            seen = verdict(row["schema"], answer)
            counts[seen.split(":")[0]] += 1
            print(f"{library}: {row['name']}: {seen}")
            keyword = refused.get(row["name"])
            assert (keyword is not None) == seen.startswith("refused"), (row, seen)
            assert keyword is None or f"`{keyword}`" in seen, (row, seen)
        print(f"{library}: {dict(counts)}")


def check_suite(worker: Worker, n_wanted: int) -> None:
    schemas = []
    for file in sorted(Path("suite/json/tests/draft2020-12").glob("*.json")):
        schemas += [case["schema"] for case in json.loads(file.read_text())]
    # What refers to other documents cannot be known here.
    schemas = [it for it in schemas if isinstance(it, dict) and "http" not in json.dumps(it).replace(it.get("$schema", ""), "")]
    counts: Counter[str] = Counter()
    seed = 0
    while counts["valid"] < n_wanted:
        answers = worker.answers([(it, seed) for it in schemas])
        supported = []
        for schema, answer in zip(schemas, answers):
            seen = verdict(schema, answer).split(":")[0]
            counts[seen] += 1
            supported += [schema] if seen != "refused" else []
        if seed == 0:
            print(f"test suite: {len(supported)} of {len(schemas)} schemas are supported")
        schemas = supported[: n_wanted - counts["valid"]] if counts["valid"] < n_wanted else []
        seed += 1
    print(f"test suite: {dict(counts)}")


if __name__ == "__main__":
    worker = Worker()
    check_types(worker)
    check_suite(worker, int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    worker.process.stdin.close()
    assert worker.process.wait() == 0
