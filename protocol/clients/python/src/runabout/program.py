"""Finds the program `runabout`."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Mapping, Optional, Union

from .errors import ProgramNotFound

VARIABLE = "RUNABOUT"


def find_program(program: Optional[Union[str, "os.PathLike[str]"]] = None) -> str:
    """The path of the program: `program` if it is given, else that of the environment variable `RUNABOUT`, else the one
    that came with this package, else the first `runabout` on the `PATH`."""
    wanted = os.fspath(program) if program is not None else os.environ.get(VARIABLE) or None
    if wanted is not None:
        found = shutil.which(os.path.expanduser(wanted))
        if found is None:
            source = "" if program is not None else f", which the environment variable {VARIABLE} names"
            raise ProgramNotFound(f"there is no program `{wanted}`{source}")
        return os.path.abspath(found)
    own = Path(__file__).parent / "bin" / "runabout"
    # Where a wheel with the program installs it, though the environment need not be active.
    script = Path(sysconfig.get_path("scripts")) / "runabout"
    found = shutil.which(own) or shutil.which(script) or shutil.which("runabout")
    if found is None:
        raise ProgramNotFound(
            "there is no program `runabout`\n"
            f"hint: put it on the PATH, or its path into the environment variable {VARIABLE}"
        )
    return os.path.abspath(found)


def command(program: str, model: Optional[str], options: Mapping[str, object]) -> list[str]:
    """The command line of a worker. An option `kv_bits` is `--kv-bits`; `True` is a flag, `False` and `None` are left
    out."""
    words = [program, "serve"]
    if model is not None:
        words.append(f"--model={model}")
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words.append(f"{flag}={value}")
    return words
