"""What the server must do for a client, whichever of the two Python clients it is."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile

import jsonschema

SOURCE = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n"
TOOLS = ["complete_code", "generate", "edit_files", "map_files", "review_diff", "write_tests", "status"]


@contextlib.contextmanager
def project():
    """A project with one file, which the server may use."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        pathlib.Path(folder, "calc.py").write_text(SOURCE)
        yield folder


def command(folder):
    """The server's command and arguments."""
    args = ["mcp", "--offline", "--model", os.environ["RUNABOUT_TEST_MODEL"], "--root", folder]
    return os.environ["RUNABOUT"], args


def text(result):
    """All text blocks of a result."""
    return "\n".join(it.text for it in result.content)


def check_tools(listed):
    """`listed` are the tools as plain JSON."""
    assert [it["name"] for it in listed] == TOOLS, listed
    for tool in listed:
        for schema in ("inputSchema", "outputSchema"):
            jsonschema.Draft202012Validator.check_schema(tool[schema])
    print("ok: the tools are listed with valid schemas")
    return {it["name"]: it for it in listed}


def check_output(tool, output):
    """The output conforms to the tool's schema, says an independent validator."""
    jsonschema.Draft202012Validator(tool["outputSchema"]).validate(output)


def check_progress(reports):
    """`reports` are the numbers and messages of a call in which the model had to be loaded."""
    numbers = [it[0] for it in reports]
    assert numbers, "no progress was reported"
    assert all(a < b for a, b in zip(numbers, numbers[1:])), numbers
    assert all(it[1] for it in reports), reports
    print("ok: progress grows and says what is done")


def check_diff(folder, output):
    """Every diff of `edit_files` can be applied, and the files have not been changed."""
    assert not output["applied"]
    assert pathlib.Path(folder, "calc.py").read_text() == SOURCE
    for file in output["files"]:
        assert file["path"] == "calc.py", file
        if file["outcome"] == "changed":
            subprocess.run(["git", "apply", "--check", "-"], input=file["diff"].encode(), cwd=folder, check=True)
        else:
            assert file["outcome"] == "unchanged" or file["error"]["message"], file
    print("ok: files are read and not changed, and what comes back is a diff or a reason")


def as_json(model):
    """A model of pydantic as it was on the wire."""
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
