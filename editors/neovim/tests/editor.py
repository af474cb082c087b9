"""A real Neovim in a terminal, for the tests: keys go in as a person's would, and the screen is what a person would see.

Its API, over a socket, is used to look at what a screen does not show, never to type.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pynvim

from terminal import Terminal

PLUGIN = pathlib.Path(__file__).resolve().parent.parent
WORKER = os.environ["RUNABOUT"]
NEOVIM = os.environ.get("RUNABOUT_NEOVIM") or os.path.join(sys.prefix, "bin", "nvim")

# How long Neovim may take to have done what the last keys ask for.
KEYS_S = 10

# The colour of ghost text, chosen so that nothing else on the screen has it.
GHOST = "12ab34"
# The same for what the next edit adds and what it removes.
ADDED = "23bc45"
REMOVED = "34cd56"

INIT = """
vim.opt.runtimepath:prepend({plugin!r})
vim.opt.swapfile = false
vim.opt.shortmess:append("I")
vim.opt.termguicolors = true
vim.opt.ruler = false
vim.opt.showmode = false
vim.opt.expandtab = true
vim.opt.shiftwidth = 4
-- What is typed is all that is typed.
vim.opt.autoindent = false
vim.cmd("filetype indent off")
vim.api.nvim_set_hl(0, "RunaboutGhost", {{ fg = "#{ghost}" }})
vim.api.nvim_set_hl(0, "RunaboutAdded", {{ fg = "#{added}" }})
vim.api.nvim_set_hl(0, "RunaboutRemoved", {{ fg = "#{removed}" }})
-- Everything that is said to the person, for the tests to count.
_G.said = {{}}
local notify = vim.notify
vim.notify = function(text, level, ...)
  table.insert(_G.said, text)
  return notify(text, level, ...)
end
{before}
require("runabout").setup({options})
{after}
"""


def options_of(model, settings="{}", more=""):
    """The plugin's options for the worker under test."""
    return f'{{ command = {WORKER!r}, model = "{model}", arguments = {{ "--offline" }}, settings = {settings}, {more} }}'


def attach(socket):
    """A client of Neovim's API; None while nobody listens yet."""
    try:
        return pynvim.attach("socket", path=socket)
    except OSError:
        return None


class Editor:
    """One Neovim with the plugin, editing a file of its own."""

    def __init__(self, text="", name="trial.py", options=None, before="", after="", columns=100, rows=30, env=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="runabout-neovim-"))
        self.path = self.folder / "project" / name
        self.path.parent.mkdir()
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        socket = str(self.folder / "socket")
        init = self.folder / "init.lua"
        init.write_text(INIT.format(plugin=str(PLUGIN), ghost=GHOST, added=ADDED, removed=REMOVED, before=before, after=after,
                                    options=options or options_of("smollm2-135m")))
        self.environment = dict(os.environ, COLORTERM="truecolor", LC_ALL="C.UTF-8")
        # Not DATA: the models are there.
        for kind in ("CONFIG", "STATE", "RUNTIME"):
            folder = self.folder / kind.lower()
            folder.mkdir(mode=0o700)
            self.environment[f"XDG_{kind}_{'DIR' if kind == 'RUNTIME' else 'HOME'}"] = str(folder)
        self.environment.update(env or {})
        self.terminal = Terminal(
            [NEOVIM, "--clean", "-n", "-i", "NONE", "-u", str(init), "--listen", socket, str(self.path)],
            self.environment, columns, rows, folder=self.path.parent)
        self.nvim = self.wait(lambda: attach(socket), "Neovim to start")
        self.wait(lambda: self.lua("return vim.v.vim_did_enter") == 1, "Neovim to start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends Neovim, and with it the worker."""
        try:
            self.nvim.command("qall!", async_=True)
            self.terminal.process.wait(10)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            pass
        self.terminal.close()
        self.nvim.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def type(self, keys, pause=0.0):
        """Types text; names such as `<Tab>` stand for keys."""
        self.terminal.type(keys, pause)

    def lua(self, code, *arguments):
        # Within a command of several keys Neovim waits for the next one, and so it does after a message of more than a
        # line, which should not be. Meanwhile it would not answer.
        self.terminal.wait("the end of a command", lambda _: not self.nvim.api.get_mode()["blocking"], KEYS_S)
        return self.nvim.exec_lua(code, *arguments)

    def lines(self):
        return self.nvim.current.buffer[:]

    def cursor(self):
        return tuple(self.nvim.current.window.cursor)

    def rows(self):
        """The screen as lines of text."""
        return self.terminal.rows()

    def ghost(self):
        """The ghost text on the screen: the cells that have its colour, row by row."""
        return "\n".join(self.terminal.ghost(GHOST, blank=True))

    def added(self):
        """What the next edit would add, as the screen shows it."""
        return "\n".join(self.terminal.ghost(ADDED))

    def removed(self):
        """What the next edit would remove."""
        return "\n".join(self.terminal.ghost(REMOVED))

    def said(self):
        """Everything that the person was told."""
        return self.lua("return _G.said")

    def wait(self, condition, what):
        """Waits until a condition holds, and returns its value."""
        try:
            return self.terminal.wait(what, lambda _: condition())
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.log()])) from None

    def log(self):
        try:
            return self.lua("return require('runabout.log').lines")
        except Exception:  # The editor itself may be what failed.
            return []

    def counted(self, name):
        """One of the worker's counts, as `:Runabout stats` shows it."""
        self.command("Runabout stats")
        row = self.wait(lambda: re.search(rf"│{name} +([0-9.]+)", "\n".join(self.rows())), f"the count of {name}")
        # Moving the cursor closes the window.
        self.type("l")
        self.settle(0.2)
        return float(row[1])

    def wait_ready(self):
        self.wait(lambda: self.lua("return require('runabout.state').current.state") == "ready", "the model")

    def wait_ghost(self):
        return self.wait(self.ghost, "ghost text")

    def wait_no_ghost(self):
        self.wait(lambda: not self.ghost(), "the ghost text to go")

    def settle(self, quiet=0.5):
        """Waits until nothing has been drawn for a while."""
        self.terminal.settle(quiet)

    def worker_pid(self):
        """The process of the worker, which is the only one that the editor has started."""
        children = self.lua("return vim.api.nvim_get_proc_children(vim.fn.getpid())")
        return children[0] if children else None

    def command(self, line):
        """Types an Ex command in normal mode, as a person would."""
        self.type("<Esc>:" + line + "<CR>")
