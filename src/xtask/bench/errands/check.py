"""Checks what became of an errand: reads a JSON object from stdin, and writes whether it is right, and else why not.

`errand` is one of set.json's, `original` the file before it, and `answer` the file after it, or the value or label.
Without an answer, the right one is made here, so that each check can be seen to accept it and to refuse the original.
"""

import ast
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tokenize

TIMEOUT_S = 10


class Wrong(Exception):
    """Why an answer is not right."""


def need(condition, why):
    if not condition:
        raise Wrong(why)


def is_python(errand):
    return errand["path"].endswith(".py")


# ---- Renames: the same code but for the names. Comments and strings may follow, or stay as they are.


def renamed(text, names):
    for old, new in names.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    return text


def python_tokens(text):
    skipped = (tokenize.NL, tokenize.COMMENT, tokenize.ENCODING)
    return [it for it in tokenize.generate_tokens(io.StringIO(text).readline) if it.type not in skipped]


def functions(text):
    """The functions of a file by name, with their lines."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, node)
    return found


def check_rename(errand, original, answer):
    names = errand["names"]
    if not is_python(errand):
        # Strings and comments are cut out; these files have no regular expressions.
        plain = lambda text: re.sub(r"/\*.*?\*/|//[^\n]*|'[^'\n]*'|\s+", " ", text, flags=re.S).strip()
        need(plain(answer) == plain(renamed(original, names)), "not the same code with the new names")
        return
    inside = [functions(original)[it] for it in errand.get("inside", [])]

    def expected(token):
        line = token.start[0]
        if inside and not any(it.lineno <= line <= it.end_lineno for it in inside):
            return token.string
        return names.get(token.string, token.string)

    want = [(it.type, expected(it)) for it in python_tokens(original)]
    try:
        got = [(it.type, it.string) for it in python_tokens(answer)]
    except (tokenize.TokenError, SyntaxError) as error:
        raise Wrong(f"no Python: {error}") from error
    string = tokenize.STRING
    loose = lambda tokens: [(kind, renamed(text, names) if kind == string else text) for kind, text in tokens]
    need(loose(got) == loose(want), "not the same code with the new names")
    need(comments(answer, names) == comments(original, names), "comments were changed")


def comments(text, names=None):
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            found.append(renamed(token.string, names or {}))
    return found


# ---- Docstrings: the same code without them.


def without_docstrings(tree, wanted):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in wanted and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def check_words(errand, name, text):
    words = re.findall(r"[A-Za-z]{2,}", text)
    need(len(words) >= 3, f"the comment of `{name}` has fewer than three words")
    need(any(it in text.lower() for it in errand["about"]), f"the comment of `{name}` does not say what it is about")


def check_docstring(errand, original, answer):
    wanted = errand["functions"]
    if not is_python(errand):
        [name] = wanted
        at = re.search(rf"^function {name}\(", answer, flags=re.M)
        need(at, f"`{name}` is missing")
        comment = re.search(r"/\*\*((?:(?!\*/).)*)\*/\s*\Z", answer[: at.start()], flags=re.S)
        need(comment, f"there is no JSDoc comment above `{name}`")
        squeezed = lambda text: re.sub(r"\s+", "", text)
        rest = answer[: comment.start()] + answer[at.start() :]
        need(squeezed(rest) == squeezed(original), "something else was changed")
        check_words(errand, name, comment[1])
        return
    tree = parsed(answer)
    for name in wanted:
        node = functions(answer).get(name)
        need(node, f"`{name}` is missing")
        docstring = ast.get_docstring(node)
        need(docstring, f"`{name}` has no docstring")
        check_words(errand, name, docstring)
    same = without_docstrings(tree, wanted) == without_docstrings(ast.parse(original), wanted)
    need(same, "something else was changed")
    need(comments(answer) == comments(original), "comments were changed")


def parsed(text):
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Wrong(f"no Python: {error}") from error


# ---- Type hints: the same code without them; each is one of those that are right.


def plain_type(text):
    text = re.sub(r"\s+|\"|'", "", text)
    text = re.sub(r"\b(typing|collections\.abc|t)\.", "", text)
    for name in ("List", "Tuple", "Dict", "Set"):
        text = re.sub(rf"\b{name}\b", name.lower(), text)
    optional = re.fullmatch(r"Optional\[(.*)\]", text)
    if optional:
        text = optional[1] + "|None"
    union = re.fullmatch(r"Union\[(.*),None\]", text)
    if union:
        text = union[1] + "|None"
    parts, depth = [""], 0
    for char in text:
        depth += {"[": 1, "]": -1}.get(char, 0)
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return "|".join(sorted(parts, key=lambda it: (it == "None", it)))


def parameters(node):
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def without_hints(tree, wanted):
    is_import = lambda it: isinstance(it, ast.ImportFrom) and it.module in ("typing", "collections.abc", "__future__")
    tree.body = [it for it in tree.body if not is_import(it)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            node.returns = None
            for parameter in parameters(node):
                parameter.annotation = None
    return ast.dump(tree)


def check_hints(errand, original, answer):
    tree = parsed(answer)
    for name, types in errand["types"].items():
        node = functions(answer).get(name)
        need(node, f"`{name}` is missing")
        hints = {it.arg: it.annotation for it in parameters(node)} | {"return": node.returns}
        for which, right in types.items():
            hint = hints.get(which)
            need(hint is not None, f"`{which}` of `{name}` has no type")
            got = plain_type(ast.unparse(hint))
            need(got in [plain_type(it) for it in right], f"`{which}` of `{name}` is `{got}`")
    same = without_hints(tree, errand["types"]) == without_hints(ast.parse(original), errand["types"])
    need(same, "something else was changed")
    need(comments(answer) == comments(original), "comments were changed")
    run_python(answer, ["True"])


# ---- Bugs: the tests pass, and the other functions are as they were.


def run_python(text, tests):
    script = text + "".join(f"\nassert {it}, {it!r}" for it in tests) + "\n"
    run(["python3", "-c", script])


def run(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Wrong("a test does not end") from error
    last = (done.stderr.strip().splitlines() or [""])[-1]
    need(done.returncode == 0, f"a test fails: {last}")


def check_bug(errand, original, answer):
    if not is_python(errand):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "it.cjs")
            file.write_text(answer)
            tests = " && ".join(f"({it})" for it in errand["tests"])
            run(["node", "-e", f"const it = require({json.dumps(str(file))}); if (!({tests})) throw new Error('wrong')"])
        return
    tree = parsed(answer)
    before = functions(original)
    after = functions(answer)
    for name, node in before.items():
        need(name in after, f"`{name}` is missing")
        if name != errand["function"]:
            need(ast.dump(node) == ast.dump(after[name]), f"`{name}` was changed")
    need(ast.get_docstring(tree) == ast.get_docstring(ast.parse(original)), "the module's docstring was changed")
    run_python(answer, errand["tests"])


# ---- Values and labels.


def check_extract(errand, _, answer):
    value = json.loads(answer)
    for key, want in errand["value"].items():
        need(isinstance(value, dict) and value.get(key) == want, f"`{key}` is not {want!r}")
    need(set(value) == set(errand["value"]), "there are other properties")


def check_log(errand, _, answer):
    need(answer == errand["label"], f"the label is not {errand['label']}")


# ---- The right answers, by machine.


def reference(errand, original):
    kind = errand["kind"]
    if kind == "rename" and "inside" in errand:
        lines = original.splitlines(keepends=True)
        for node in (functions(original)[it] for it in errand["inside"]):
            for at in range(node.lineno - 1, node.end_lineno):
                lines[at] = renamed(lines[at], errand["names"])
        return "".join(lines)
    if kind == "rename":
        return renamed(original, errand["names"])
    if kind == "docstring" and not is_python(errand):
        comment = f"/** Says something about {errand['about'][0]}. */\n"
        return re.sub(r"^(?=function )", comment, original, count=1, flags=re.M)
    if kind == "docstring":
        lines = original.splitlines(keepends=True)
        nodes = [functions(original)[it] for it in errand["functions"]]
        for node in sorted(nodes, key=lambda it: -it.lineno):
            first = node.body[0]
            indent = " " * first.col_offset
            lines.insert(node.lineno, f'{indent}"""Says something about {errand["about"][0]}."""\n')
        return "".join(lines)
    if kind == "hints":
        lines = original.splitlines(keepends=True)
        for name, types in errand["types"].items():
            line = functions(original)[name].lineno - 1
            for which, right in types.items():
                if which == "return":
                    lines[line] = re.sub(r"\)\s*:", f") -> {right[0]}:", lines[line], count=1)
                else:
                    lines[line] = re.sub(rf"(?<=[(,\s]){which}(?=\s*[,)=])", f"{which}: {right[0]}", lines[line])
        imports = "from collections.abc import Sequence\n" if "Sequence" in "".join(lines) else ""
        return "".join(lines) if not imports else imports + "".join(lines)
    if kind == "bug":
        return original.replace(errand["wrong"], errand["right"])
    return json.dumps(errand["value"]) if kind == "extract" else errand["label"]


CHECKS = {
    "rename": check_rename,
    "docstring": check_docstring,
    "hints": check_hints,
    "bug": check_bug,
    "extract": check_extract,
    "log": check_log,
}


def main():
    asked = json.load(sys.stdin)
    errand, original = asked["errand"], asked["original"]
    answer = asked.get("answer")
    if answer is None:
        answer = reference(errand, original)
    try:
        CHECKS[errand["kind"]](errand, original, answer)
        print(json.dumps({"right": True}))
    except Wrong as wrong:
        print(json.dumps({"right": False, "why": str(wrong)}))
    except Exception as error:
        print(json.dumps({"right": False, "why": f"{type(error).__name__}: {error}"}))


main()
