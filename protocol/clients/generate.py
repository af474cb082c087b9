#!/usr/bin/env python3
"""Writes the types of the client libraries from `protocol/schema.json`.

    generate.py            writes the files
    generate.py --check    fails if one of them is not what would be written

What a client sends is typed exactly. What the worker sends may grow: its enumerations take values that are not known
yet, and unknown members of its objects are ignored. Requires only Python 3.9.
"""

import json
import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = "The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit."
WIDTH = 118
# The parameter that the methods of the clients take first, and those that they set themselves.
FIRST = {"CompleteParams": "prefix", "NextEditParams": "prefix", "ChatParams": "messages"}
OWN = {"stream"}


def camel(text):
    """`zeta-2.1` as a name of a type: `Zeta21`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text))


class Schema:
    """The schema's definitions by shape: enumerations, objects, unions and plain types."""

    def __init__(self):
        self.definitions = json.loads((HERE.parent / "schema.json").read_text(encoding="utf-8"))["$defs"]
        sent = [name for name in self.definitions if self.is_sent_by_client(name)]
        self.sent = self.reachable(sent)
        self.received = self.reachable(name for name in self.definitions if name not in self.sent)

    @staticmethod
    def is_sent_by_client(name):
        return name.endswith("Params") and name not in ("DeltaParams", "ProgressParams", "StatusParams")

    def reachable(self, roots):
        found, waiting = set(), list(roots)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += re.findall(r'"#/\$defs/(\w+)"', json.dumps(self.definitions[name]))
        return found

    def is_open(self, name):
        """Whether values may arrive that are not in the schema."""
        return name in self.received

    def enumeration(self, name):
        """The values of an enumeration, each with its description; `None` for another type."""
        it = self.definitions[name]
        values = []
        for entry in it.get("oneOf", [it]):
            if entry.get("type") != "string" or not ("const" in entry or "enum" in entry):
                return None
            values += [(value, entry.get("description")) for value in entry.get("enum", [entry.get("const")])]
        return values

    def variants(self, name):
        """The variants of a union of objects, by the value of the member that tells them apart, whose name is first."""
        variants = self.definitions[name].get("oneOf", [])
        if not variants or any(it.get("type") != "object" for it in variants):
            return None, []
        constants = [{key for key, it in variant["properties"].items() if "const" in it} for variant in variants]
        tag = set.intersection(*constants).pop()
        return tag, [(it["properties"][tag]["const"], it) for it in variants]

    def is_object(self, name):
        it = self.definitions[name]
        return it.get("type") == "object" and "oneOf" not in it

    def takes_extra(self, name):
        """Whether an object is the whole of what a client sends, where it may add members of its own."""
        return "patternProperties" in self.definitions[name]


def shape(it):
    """A schema as `(kind, argument, nullable)`."""
    if "$ref" in it:
        return "ref", it["$ref"].rsplit("/", 1)[-1], False
    if "allOf" in it:
        return shape(it["allOf"][0])
    if "anyOf" in it:
        rest = [entry for entry in it["anyOf"] if entry.get("type") != "null"]
        if len(rest) == 1:
            kind, argument, _ = shape(rest[0])
            return kind, argument, True
        return "union", rest, len(rest) < len(it["anyOf"])
    types = it.get("type", [])
    types = [types] if isinstance(types, str) else types
    nullable, types = "null" in types, [one for one in types if one != "null"]
    if not types:
        return "any", None, False
    if len(types) > 1:
        return "union", [{"type": one} for one in types], nullable
    if types[0] == "array":
        return "list", it["items"], nullable
    if types[0] == "object":
        values = it.get("patternProperties")
        return "map", next(iter(values.values())) if values else {}, nullable
    return types[0], it.get("format"), nullable


def comment(text, indent, first, rest, last=""):
    """A comment of one or several lines, or nothing."""
    if not text:
        return []
    lines = [line for paragraph in text.split("\n") for line in
             textwrap.wrap(paragraph, WIDTH - len(indent) - len(rest), break_long_words=False) or [""]]
    lines = [indent + (first if i == 0 else rest) + line for i, line in enumerate(lines)]
    lines[-1] += last
    return [line.rstrip() for line in lines]


# ---- Python


def python_type(it):
    kind, argument, nullable = shape(it)
    if kind == "list":
        text = f"Sequence[{python_type(argument)}]"
    elif kind == "map":
        text = f"Mapping[str, {python_type(argument)}]"
    elif kind == "union":
        text = f"Union[{', '.join(python_type(one) for one in argument)}]"
    elif kind == "ref":
        text = argument
    else:
        text = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "any": "Any"}[kind]
    return f"Optional[{text}]" if nullable else text


def python_class(name, base, it, required, leave_out=()):
    lines = ["", "", f"class {name}({base}):"]
    body = comment(it.get("description", "").replace("\\", "\\\\"), "    ", '"""', "", '"""')
    for member, about in it.get("properties", {}).items():
        if member in leave_out:
            continue
        text = f'Literal["{about["const"]}"]' if "const" in about else python_type(about)
        body += comment(about.get("description"), "    ", "# ", "# ")
        body.append(f"    {member}: {text if member in required else f'NotRequired[{text}]'}")
    return lines + (body or ["    pass"])


def python(schema):
    out = [f'"""{HEADER}', "", "A result is the dict that the worker sent. The worker may add members, and values of enumerations.",
           '"""', "", "from __future__ import annotations", "",
           "from typing import TYPE_CHECKING, Any, Literal, Mapping, Optional, Sequence, TypedDict, Union", "",
           "if TYPE_CHECKING:", "    from typing_extensions import NotRequired  # For type checkers: they bring it along.", ""]
    classes, unions = [], []
    for name, it in schema.definitions.items():
        values = schema.enumeration(name)
        tag, variants = schema.variants(name)
        if values:
            literal = f"Literal[{', '.join(json.dumps(value) for value, _ in values)}]"
            out += comment(it.get("description"), "", "# ", "# ")
            out.append(f"{name} = {f'Union[{literal}, str]' if schema.is_open(name) else literal}")
            if len(out[-1]) > WIDTH:
                inside = ",\n".join(f"        {json.dumps(value)}" for value, _ in values)
                literal = f"Literal[\n{inside},\n    ]"
                out[-1] = f"{name} = Union[\n    {literal},\n    str,\n]" if schema.is_open(name) else f"{name} = {literal}"
        elif variants:
            names = [camel(value) + re.findall("[A-Z][a-z]+", name)[-1] for value, _ in variants]
            for variant_name, (_, variant) in zip(names, variants):
                classes += python_class(variant_name, "TypedDict", variant, variant["required"])
            unions += ["", *comment(it.get("description"), "", "# ", "# "), f"{name} = Union[", *(f"    {one}," for one in names), "]"]
        elif schema.is_object(name) and name in FIRST:
            rest = name.replace("Params", "Options")
            without = {FIRST[name], *OWN}
            about = {"properties": it["properties"], "description": f"The parameters of `{name}` that may be left out."}
            classes += python_class(rest, "TypedDict", about, set(), without)
            both = {key: it["properties"][key] for key in it["properties"] if key in without}
            classes += python_class(name, rest, {**it, "properties": both}, it["required"])
        elif schema.is_object(name):
            classes += python_class(name, "TypedDict", it, it.get("required", []))
        else:
            unions += ["", *comment(it.get("description"), "", "# ", "# "), f"{name} = {python_type(it)}"]
    return {"python/src/runabout/protocol.py": "\n".join(out + classes + unions) + "\n"}


# ---- TypeScript


def typescript_type(it):
    kind, argument, nullable = shape(it)
    if kind == "list":
        item = typescript_type(argument)
        text = f"({item})[]" if "|" in item else f"{item}[]"
    elif kind == "map":
        text = f"Record<string, {typescript_type(argument)}>"
    elif kind == "union":
        text = " | ".join(typescript_type(one) for one in argument)
    elif kind == "ref":
        text = argument
    else:
        text = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "any": "unknown"}[kind]
    return f"{text} | null" if nullable else text


def typescript_comment(text, indent):
    lines = comment(text, indent, "/** ", " * ", " */")
    if len(lines) > 1:
        lines[0] = f"{indent}/**\n{indent} * {lines[0].strip()[4:]}"
        lines[-1] = f"{lines[-1][:-3]}\n{indent} */"
    return lines


def typescript_interface(name, it, required):
    lines = ["", *typescript_comment(it.get("description"), ""), f"export interface {name} {{"]
    for member, about in it.get("properties", {}).items():
        text = json.dumps(about["const"]) if "const" in about else typescript_type(about)
        lines += typescript_comment(about.get("description"), "  ")
        lines.append(f"  {member}{'' if member in required else '?'}: {text};")
    return [*lines, "}"]


def typescript(schema):
    out = [f"// {HEADER}", "//", "// The worker may add members to what it sends, and values to enumerations."]
    for name, it in schema.definitions.items():
        values = schema.enumeration(name)
        tag, variants = schema.variants(name)
        if values:
            out += ["", *typescript_comment(it.get("description"), ""), f"export type {name} ="]
            for value, about in values:
                out += [*typescript_comment(about, "  "), f"  | {json.dumps(value)}"]
            if schema.is_open(name):
                out.append("  | (string & {})")
            out[-1] += ";"
        elif variants:
            names = [camel(value) + re.findall("[A-Z][a-z]+", name)[-1] for value, _ in variants]
            for variant_name, (_, variant) in zip(names, variants):
                out += typescript_interface(variant_name, variant, variant["required"])
            out += ["", *typescript_comment(it.get("description"), ""), f"export type {name} ="]
            out += [f"  | {one}" for one in names]
            out[-1] += ";"
        elif schema.is_object(name):
            out += typescript_interface(name, it, it.get("required", []))
        else:
            out += ["", *typescript_comment(it.get("description"), ""), f"export type {name} = {typescript_type(it)};"]
    return {"typescript/src/protocol.ts": "\n".join(out) + "\n"}


# ---- Rust


def rust_type(it):
    kind, argument, nullable = shape(it)
    if kind == "list":
        text = f"Vec<{rust_type(argument)}>"
    elif kind == "map":
        value = rust_type(argument)
        text = "Map<String, Value>" if value == "Value" else f"BTreeMap<String, {value}>"
    elif kind == "ref":
        text = argument
    elif kind in ("integer", "number"):
        text = {"uint32": "u32", "uint64": "u64", "float": "f32", "double": "f64"}[argument]
    else:
        text = {"string": "String", "boolean": "bool", "any": "Value", "union": "Value"}[kind]
    return f"Option<{text}>" if nullable else text


def rust_field(member, about, is_required, public, indent):
    text = rust_type(about)
    lines = comment(about.get("description"), indent, "/// ", "/// ")
    if not is_required:
        if text.startswith("Vec<"):
            lines.append(f'{indent}#[serde(default, skip_serializing_if = "Vec::is_empty")]')
        else:
            text = text if text.startswith("Option<") else f"Option<{text}>"
            lines.append(f'{indent}#[serde(default, skip_serializing_if = "Option::is_none")]')
    name = f"r#{member}" if member in ("type", "ref") else member
    return [*lines, f"{indent}{public}{name}: {text},"]


def rust_is_default(schema, it):
    """Whether an object can be written without naming each of its members."""
    for member, about in it.get("properties", {}).items():
        kind, argument, nullable = shape(about)
        if member in it.get("required", []) and kind == "ref" and not nullable:
            if not (schema.is_object(argument) and rust_is_default(schema, schema.definitions[argument])):
                return argument == "RequestId"
    return True


def rust_definition(schema, name, it):
    values = schema.enumeration(name)
    tag, variants = schema.variants(name)
    is_open = schema.is_open(name)
    lines = ["", *comment(it.get("description"), "", "/// ", "/// ")]
    serde = "Serialize, Deserialize"
    if values:
        lines += [f"#[derive(Clone, Debug, PartialEq, Eq, {serde})]", f"pub enum {name} {{"]
        for value, about in values:
            lines += comment(about, "    ", "/// ", "/// ")
            lines += [f'    #[serde(rename = "{value}")]', f"    {camel(value)},"]
        if is_open:
            lines += ["    /// A value that was not known when this library was written.", "    #[serde(untagged)]", "    Other(String),"]
        return [*lines, "}"]
    if variants:
        lines += [f"#[derive(Clone, Debug, PartialEq, {serde})]", f'#[serde(tag = "{tag}")]', f"pub enum {name} {{"]
        for value, variant in variants:
            lines += comment(variant.get("description"), "    ", "/// ", "/// ")
            lines.append(f'    #[serde(rename = "{value}")]')
            fields = [line for member, about in variant["properties"].items() if member != tag
                      for line in rust_field(member, about, member in variant["required"], "", "        ")]
            lines += [f"    {camel(value)} {{", *fields, "    },"] if fields else [f"    {camel(value)},"]
        if is_open:
            lines += ["    /// One that was not known when this library was written.", "    #[serde(untagged)]", "    Other(Value),"]
        return [*lines, "}"]
    if schema.is_object(name):
        default = "Default, " if rust_is_default(schema, it) else ""
        lines += [f"#[derive(Clone, Debug, {default}PartialEq, {serde})]", f"pub struct {name} {{"]
        for member, about in it.get("properties", {}).items():
            lines += rust_field(member, about, member in it.get("required", []), "pub ", "    ")
        if schema.takes_extra(name):
            lines += ["    /// Parameters that were not known when this library was written.", "    #[serde(flatten)]",
                      "    pub extra: Map<String, Value>,"]
        return [*lines, "}"]
    if "anyOf" in it:
        names = {"string": "Text", "list": "Parts", "map": "Object"}
        lines += [f"#[derive(Clone, Debug, PartialEq, {serde})]", "#[serde(untagged)]", f"pub enum {name} {{"]
        for entry in it["anyOf"]:
            kind, argument, _ = shape(entry)
            inside = rust_type(entry)
            lines += comment(entry.get("description"), "    ", "/// ", "/// ")
            lines.append(f"    {names.get(kind) or argument.replace('Params', '')}({inside}),")
        return [*lines, "}"]
    return [*lines, f"pub type {name} = {rust_type(it)};"]


def rust_uses(schema, module, text, modules):
    uses = ["use serde::{Deserialize, Serialize};"]
    names = [name for name in ("Map", "Value") if re.search(rf"\b{name}\b", text)]
    if names:
        uses.append(f"use serde_json::{{{', '.join(names)}}};" if len(names) > 1 else f"use serde_json::{names[0]};")
    if "BTreeMap" in text:
        uses = ["use std::collections::BTreeMap;", "", *uses]
    code, local = re.sub("//.*", "", text), []
    for other, its_names in sorted(modules.items()):
        # A name before `(` or `{` is a variant of the same name.
        used = sorted(name for name in its_names if re.search(rf"(?<!enum )(?<!struct )\b{name}\b(?! *[({{])", code))
        if other != module and used:
            line = f"use super::{other}::{used[0] if len(used) == 1 else '{' + ', '.join(used) + '}'};"
            if len(line) > 110:
                inside = textwrap.wrap(", ".join(used) + ",", 110, initial_indent="    ", subsequent_indent="    ")
                line = "\n".join([f"use super::{other}::{{", *inside, "};"])
            local.append(line)
    return "\n".join(uses + ([""] + local if local else []))


def rust(schema):
    """The types in four modules, each of which uses only those before it."""
    conversation = schema.reachable(["Message", "Tool"])
    results = schema.reachable(name for name in schema.definitions if re.search("(Complete|Chat|Edit|Warm|Tokenize|Cancel)Result", name))
    modules = {
        "conversation": ("What a conversation consists of.", conversation),
        "params": ("What a client sends.", schema.sent - conversation),
        "results": ("The results of what a client sends.", results - schema.sent),
    }
    rest = set(schema.definitions).difference(*(names for _, names in modules.values()))
    modules["reports"] = ("What the worker tells of itself: states, progress, text as it is generated, errors.", rest)
    files = {}
    for module, (about, names) in modules.items():
        text = "\n".join(line for name in schema.definitions if name in names
                         for line in rust_definition(schema, name, schema.definitions[name]))
        uses = rust_uses(schema, module, text, {other: its for other, (_, its) in modules.items()})
        head = [f"//! {about}", "//!", *comment(HEADER, "", "//! ", "//! "), "", uses]
        files[f"rust/src/protocol/{module}.rs"] = "\n".join(head) + "\n" + text + "\n"
    return files


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    schema = Schema()
    stale = []
    for path, text in {**python(schema), **typescript(schema), **rust(schema)}.items():
        file = HERE / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"not as protocol/schema.json has it: {', '.join(stale)}\nhint: run `protocol/clients/generate.py`")
    for path in stale:
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
