"""Compares our prompts with transformers', for each template over all conversations.

    compare.py FOLDER PROGRAM [PART OF A NAME]

A template is written for one form of messages: arguments of calls as an object or as JSON text, missing content as none
or as an empty text, parts of a content as a list or joined. Our prompt must be what transformers makes of one of these
forms, and a conversation must be refused if transformers fails on all of them.

Where the form of a template's calls is known, what it writes for a turn that calls must be read as these calls.
"""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The <b>weather</b> & more: é日",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "A city's name", "enum": ["Paris", "Rome"]},
                    "days": {"type": "integer", "default": 3},
                    "units": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Of temperature"},
                    "places": {"type": "array", "items": {"type": "string"}, "description": "Others"},
                    "options": {
                        "type": "object",
                        "properties": {"hourly": {"type": "boolean", "description": "Each hour"}},
                        "description": "How",
                    },
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}},
    },
]


def call(name, arguments, number=1):
    return {"id": f"call0000{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


WEATHER = {"city": 'Pa"ris\n<é>', "days": 2, "options": {"hourly": True, "limits": [1.5, None]}}
USER = {"role": "user", "content": "  Weather?\n & time "}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": '{"t": 20, "sky": "<clear>"}'}
CONVERSATIONS = {
    "question": [USER],
    "system": [
        {"role": "system", "content": " You are terse. "},
        {"role": "user", "content": "Hi 🦀"},
        {"role": "assistant", "content": " Yes. "},
        {"role": "user", "content": '<b>&amp;"q"</b>'},
    ],
    "parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be terse."}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b\n"}]},
    ],
    "call": [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call("get_weather", WEATHER)]},
        RESULT,
        {"role": "assistant", "content": "20 degrees."},
        {"role": "user", "content": "Thanks"},
    ],
    "call to answer": [
        USER,
        {"role": "assistant", "content": "I look.", "tool_calls": [call("get_weather", {"city": "Rome"})]},
        RESULT,
    ],
    "two calls": [
        USER,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [call("get_weather", {"city": "Paris", "days": 1}), call("now", {}, 2)],
        },
        RESULT,
        {"role": "tool", "name": "now", "tool_call_id": "call00002", "content": "noon"},
    ],
    "reasoning": [
        USER,
        {"role": "assistant", "content": "It is.", "reasoning_content": "\nhm, so\n"},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because.", "reasoning_content": "well"},
    ],
    "reasoning and call": [
        USER,
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I need a tool.",
            "tool_calls": [call("get_weather", {"city": "Paris"})],
        },
        RESULT,
    ],
    "tags in content": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"},
        {"role": "user", "content": "c"},
    ],
    "assistant first": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}],
}
# The tokens that end a turn are no text of the model.
END_OF_TURN = re.compile(r"(\s*(</s>|<\|eot_id\|>|<\|eom_id\|>|<\|end\|>))+\s*$")
# Texts and numbers, which no family's form may mix up.
TO_READ = [["get_weather", {"city": 'Pa"ris\n<é>', "days": 2}], ["get_weather", {"city": "2"}], ["now", {}]]
KWARGS = [{}, {"enable_thinking": False}, {"enable_thinking": True, "reasoning_effort": "low"}]


def cases():
    for name, messages in CONVERSATIONS.items():
        for with_tools, kwargs, is_open in itertools.product((False, True), KWARGS, (False, True)):
            # What follows the last message is of no interest with each of the variables.
            if not is_open and kwargs:
                continue
            yield name, messages, TOOLS if with_tools else None, kwargs, is_open


def forms(messages):
    """The messages in each form."""
    for as_text, is_empty, is_joined in itertools.product((False, True), repeat=3):
        shaped = json.loads(json.dumps(messages))
        for message in shaped:
            if "reasoning_content" in message:
                message["thinking"] = message["reasoning_content"]
            if message["content"] is None and is_empty:
                message["content"] = ""
            if isinstance(message["content"], list) and is_joined:
                message["content"] = "".join(part["text"] for part in message["content"])
            for it in message.get("tool_calls", []):
                if as_text:
                    it["function"]["arguments"] = json.dumps(it["function"]["arguments"], ensure_ascii=False)
        yield shaped


def expected(template, messages, tools, kwargs, is_open):
    """What transformers renders, in each form that the template takes."""
    rendered = set()
    for shaped in forms(messages):
        try:
            texts, _ = render_jinja_template(
                [shaped],
                tools=tools,
                chat_template=template,
                add_generation_prompt=is_open,
                **{**SPECIAL_TOKENS, **kwargs},
            )
            rendered.add(texts[0])
        except Exception:  # Templates fail in every way that Python code can.
            continue
    return rendered


def ask(program, cases):
    asked = "".join(json.dumps({"messages": [], "add_generation_prompt": False, **case}) + "\n" for case in cases)
    answers = subprocess.run([program], input=asked, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in answers.splitlines()]


def misread(program, template):
    """The turns that were not read as they were written, with what was read."""
    written = []
    for name, arguments in TO_READ:
        turn = {"role": "assistant", "content": None, "tool_calls": [call(name, arguments)]}
        before = expected(template, [USER], TOOLS, {}, True)
        for text in sorted(expected(template, [USER, turn], TOOLS, {}, False)):
            start = next((it for it in before if text.startswith(it)), None)
            # Some forms are not those that the template is written for.
            if start is not None and name in text[len(start) :]:
                written.append((name, arguments, END_OF_TURN.sub("", text[len(start) :])))
    if not written:
        return None
    cases = [{"template": template, "tools": TOOLS, "special_tokens": SPECIAL_TOKENS, "text": it[2]} for it in written]
    answers = ask(program, cases)
    if not all(answer.get("has_calls") for answer in answers):
        return None
    wrong = []
    for name, arguments in TO_READ:
        read = [(it[2], answer) for it, answer in zip(written, answers) if it[:2] == (name, arguments)]
        if read and not any(answer["calls"] == [[name, arguments]] for _, answer in read):
            wrong.append(((name, arguments), read))
    return wrong


def main(folder, program, part=""):
    templates = sorted(path for path in Path(folder).glob("*.jinja") if part in path.name)
    n_equal, n_refused, n_read, wrong = 0, 0, 0, []
    for path in templates:
        template = path.read_text(encoding="utf-8")
        all_cases = list(cases())
        answers = ask(
            program,
            [
                {
                    "template": template,
                    "messages": messages,
                    "tools": tools,
                    "kwargs": kwargs,
                    "add_generation_prompt": is_open,
                    "special_tokens": SPECIAL_TOKENS,
                }
                for _, messages, tools, kwargs, is_open in all_cases
            ],
        )
        n_wrong, n_refused_before = 0, n_refused
        for (name, messages, tools, kwargs, is_open), ours in zip(all_cases, answers):
            theirs = expected(template, messages, tools, kwargs, is_open)
            if ours.get("rendered") in theirs:
                n_equal += 1
            elif not theirs and "refused" in ours:
                n_refused += 1
            else:
                n_wrong += 1
                wrong.append((path.name, name, bool(tools), kwargs, is_open, ours, theirs))
        turns = misread(program, template)
        calls = "no calls, or in an unknown form" if turns is None else "calls are read"
        if turns:
            wrong.append((path.name, "reading calls", True, {}, False, turns, set()))
            calls = "calls are misread"
        n_read += turns == []
        print(
            f"{path.name}: {len(all_cases) - n_wrong} of {len(all_cases)} as transformers, "
            f"{n_refused - n_refused_before} of them refused; {calls}",
            flush=True,
        )
    for name, conversation, has_tools, kwargs, is_open, ours, theirs in wrong[:20]:
        print(f"\n{name}, {conversation}, tools: {has_tools}, {kwargs}, open: {is_open}\n  ours: {ours}")
        for text in theirs:
            print(f"  transformers: {text!r}")
    print(
        f"{len(templates)} templates: {n_equal} prompts are equal, {n_refused} are refused by both; "
        f"the calls of {n_read} are read; {len(wrong)} are wrong"
    )
    return 1 if wrong or not templates else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
