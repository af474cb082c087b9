"""A real Neovim in a terminal, for the tests: keys go in as a person's would, and the screen is what a person would see.

Neovim runs in a pseudo-terminal whose output `pyte` draws. Its API, over a socket, is used to look at what a screen does
not show, never to type.
"""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time

import pynvim
import pyte

PLUGIN = pathlib.Path(__file__).resolve().parent.parent
WORKER = os.environ.get("RUNABOUT", "runabout")
NEOVIM = os.environ.get("RUNABOUT_NEOVIM", "nvim")

# How long anything may take before a test gives up; on a busy machine the first prompt of a model takes seconds.
PATIENCE = float(os.environ.get("RUNABOUT_PATIENCE", "120"))

KEYS = {
    "<Esc>": "\x1b",
    "<CR>": "\r",
    "<Tab>": "\t",
    "<BS>": "\x7f",
    "<C-]>": "\x1d",
    "<C-n>": "\x0e",
    "<C-e>": "\x05",
    "<M-]>": "\x1b]",
    "<M-[>": "\x1b[91;3u",
    "<M-Right>": "\x1b[1;3C",
    "<M-C-Right>": "\x1b[1;7C",
    "<Left>": "\x1b[D",
    "<Down>": "\x1b[B",
}

# The colour of ghost text, chosen so that nothing else on the screen has it.
GHOST = "12ab34"

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


class Screen(pyte.Screen):
    """A screen that does not mind what pyte does not know."""

    def select_graphic_rendition(self, *attributes, private=False, **_):
        # `CSI > 4 ; 2 m` sets a mode of the keyboard, not underlining.
        if not private:
            super().select_graphic_rendition(*attributes)

    def report_device_status(self, mode, **_):
        super().report_device_status(mode)


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
        init.write_text(INIT.format(plugin=str(PLUGIN), ghost=GHOST, before=before, after=after,
                                    options=options or options_of("smollm2-135m")))
        self.environment = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        # Not DATA: the models are there.
        for kind in ("CONFIG", "STATE", "RUNTIME"):
            folder = self.folder / kind.lower()
            folder.mkdir(mode=0o700)
            self.environment[f"XDG_{kind}_{'DIR' if kind == 'RUNTIME' else 'HOME'}"] = str(folder)
        self.environment.update(env or {})
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.lock = threading.Lock()
        # What `press_and_watch` waits for; looked at whenever something was drawn.
        self.awaited, self.seen, self.seen_at = None, threading.Event(), 0.0
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [shutil.which(NEOVIM) or NEOVIM, "--clean", "-n", "-i", "NONE", "-u", str(init), "--listen", socket,
             str(self.path)],
            stdin=follower, stdout=follower, stderr=follower, env=self.environment, cwd=self.path.parent,
            start_new_session=True)
        os.close(follower)
        self.leader = leader
        self.screen.write_process_input = lambda data: os.write(leader, data.encode())
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.nvim = self.wait(lambda: attach(socket), "Neovim to start")
        self.wait(lambda: self.lua("return vim.v.vim_did_enter") == 1, "Neovim to start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        while True:
            try:
                data = os.read(self.leader, 65536)
            except OSError:
                return
            if not data:
                return
            with self.lock:
                self.stream.feed(data)
                if self.awaited and self.awaited():
                    self.awaited = None
                    self.seen_at = time.monotonic()
                    self.seen.set()

    def press_and_watch(self, key, condition, patience):
        """Types one key and returns after how many seconds the screen met a condition, or None if it did not."""
        self.seen.clear()
        with self.lock:
            self.awaited = condition
        start = time.monotonic()
        os.write(self.leader, KEYS.get(key, key).encode())
        found = self.seen.wait(patience)
        with self.lock:
            self.awaited = None
        return self.seen_at - start if found else None

    def close(self):
        """Ends Neovim, and with it the worker."""
        try:
            self.nvim.command("qall!", async_=True)
            self.process.wait(10)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            pass
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.nvim.close()
        os.close(self.leader)
        shutil.rmtree(self.folder, ignore_errors=True)

    def type(self, keys, pause=0.0):
        """Types text; names such as `<Tab>` stand for keys."""
        while keys:
            name = next((name for name in KEYS if keys.startswith(name)), None)
            data = KEYS[name] if name else keys[0]
            keys = keys[len(name) if name else 1:]
            os.write(self.leader, data.encode())
            if pause or name == "<Esc>":
                # A key right behind an escape would be read as one with Alt.
                time.sleep(max(pause, 0.1 if name == "<Esc>" else 0))

    def lua(self, code, *arguments):
        # A message of more than a line makes Neovim wait for a key, and then it would not answer.
        if self.nvim.api.get_mode()["blocking"]:
            raise AssertionError("Neovim waits for a key:\n" + "\n".join(self.rows()))
        return self.nvim.exec_lua(code, *arguments)

    def lines(self):
        return self.nvim.current.buffer[:]

    def cursor(self):
        return tuple(self.nvim.current.window.cursor)

    def rows(self):
        """The screen as lines of text."""
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    def ghost(self):
        """The ghost text on the screen: the cells that have its colour, row by row."""
        rows = []
        with self.lock:
            for y in range(self.screen.lines):
                cells = self.screen.buffer[y]
                row = "".join(cells[x].data for x in range(self.screen.columns) if cells[x].fg == GHOST)
                if row:
                    rows.append(row.rstrip())
        return "\n".join(rows)

    def said(self):
        """Everything that the person was told."""
        return self.lua("return _G.said")

    def wait(self, condition, what, patience=PATIENCE):
        """Waits until a condition holds, and returns its value."""
        end = time.monotonic() + patience
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}; the screen:\n" + "\n".join(self.rows())
                                     + "\n" + "\n".join(self.log()))
            if self.process.poll() is not None:
                raise AssertionError("Neovim ended\n" + "\n".join(self.rows()))
            time.sleep(0.01)

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
        """Waits until the screen does not change for a while."""
        before, since = self.rows(), time.monotonic()
        while time.monotonic() - since < quiet:
            time.sleep(0.02)
            now = self.rows()
            if now != before:
                before, since = now, time.monotonic()

    def worker_pid(self):
        """The process of the worker, which is the only one that the editor has started."""
        children = self.lua("return vim.api.nvim_get_proc_children(vim.fn.getpid())")
        return children[0] if children else None

    def command(self, line):
        """Types an Ex command in normal mode, as a person would."""
        self.type("<Esc>:" + line + "<CR>")
