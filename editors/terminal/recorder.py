"""Records what an editor sends to the worker, and computes the documents that the worker has from it."""

import json
import os
import re
import shlex
import stat


class Recorder:
    """A program that is the worker `runabout`, but keeps a copy of its input."""

    def __init__(self, folder, runabout):
        self.path = os.path.join(folder, "recorded-runabout")
        self.log = os.path.join(folder, "recorded")
        open(self.log, "w").close()
        with open(self.path, "w") as file:
            file.write(f'#!/bin/sh\ntee {shlex.quote(self.log)} | {shlex.quote(runabout)} "$@"\n')
        os.chmod(self.path, os.stat(self.path).st_mode | stat.S_IXUSR)

    def messages(self):
        """All messages so far, without one that is not complete yet."""
        with open(self.log, "rb") as file:
            data = file.read()
        while match := re.match(rb"(?:[^\r\n]+\r\n)*?Content-Length: (\d+)\r\n(?:[^\r\n]+\r\n)*\r\n", data):
            length = int(match.group(1))
            body = data[match.end() : match.end() + length]
            if len(body) < length:
                return
            yield json.loads(body)
            data = data[match.end() + length :]

    def sent(self, method):
        """The params of all messages of a method."""
        return [message.get("params") for message in self.messages() if message.get("method") == method]

    def document(self, encoding="utf-8"):
        """The text of the file that was opened, as the worker has it."""
        return (self.documents(encoding) or [None])[-1]

    def documents(self, encoding="utf-8"):
        """All the texts that the worker has had, one after each message about a document."""
        texts = []
        text = None
        for message in self.messages():
            params = message.get("params")
            uri = params.get("textDocument", {}).get("uri", "") if isinstance(params, dict) else ""
            if not uri.startswith("file:"):
                # Editors also open buffers that are no files.
                continue
            if message.get("method") == "textDocument/didOpen":
                text = params["textDocument"]["text"]
            elif message.get("method") == "textDocument/didChange":
                for change in params["contentChanges"]:
                    text = changed(text, change, encoding)
            else:
                continue
            texts.append(text)
        return texts


def changed(text, change, encoding):
    """The text after one change of `textDocument/didChange`."""
    if "range" not in change:
        return change["text"]
    starts = [0] + [match.end() for match in re.finditer("\r\n|\n|\r", text)]
    begin, end = (offset(text, starts, change["range"][side], encoding) for side in ("start", "end"))
    return text[:begin] + change["text"] + text[end:]


def offset(text, starts, position, encoding):
    """The index of a position; it fails for one that is not in the text."""
    start = starts[position["line"]]
    end = starts[position["line"] + 1] if position["line"] + 1 < len(starts) else len(text)
    width = 2 if encoding == "utf-16" else 1
    data = text[start:end].encode("utf-16-le" if encoding == "utf-16" else encoding)
    if position["character"] * width > len(data):
        raise AssertionError(f"there is no character {position['character']} in line {position['line']}")
    before = data[: position["character"] * width].decode("utf-16-le" if encoding == "utf-16" else encoding)
    return start + len(before)
