"""Runs a program in a pseudo-terminal and keeps the screen that it draws, for tests of editors.

A thread takes in what the program writes as soon as it is there, so the screen is what a person would see at that
moment. Keys go in as a keyboard would send them.
"""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time

import pyte

# Only ends a test that hangs; nothing is measured by it.
PATIENCE_S = float(os.environ.get("RUNABOUT_PATIENCE_S", "240"))

# What xterm sends for keys that are no characters.
KEYS = {
    "<Esc>": "\x1b",
    "<CR>": "\r",
    "<Tab>": "\t",
    "<BS>": "\x7f",
    "<C-]>": "\x1d",
    "<C-n>": "\x0e",
    "<C-o>": "\x0f",
    "<C-e>": "\x05",
    "<M-n>": "\x1bn",
    "<M-]>": "\x1b]",
    "<M-[>": "\x1b[91;3u",
    "<M-Right>": "\x1b[1;3C",
    "<M-C-Right>": "\x1b[1;7C",
    "<Left>": "\x1b[D",
    "<Down>": "\x1b[B",
}


class Screen(pyte.Screen):
    """pyte's screen, made deaf to sequences of xterm that pyte takes for others."""

    def select_graphic_rendition(self, *attributes, private=False, **_):
        # One with a question mark asks for modes of the keyboard.
        if not private:
            super().select_graphic_rendition(*attributes)

    def report_device_status(self, mode, **_):
        super().report_device_status(mode)

    def report_device_attributes(self, *_, **__):
        # pyte cannot tell the two questions about the terminal apart, and editors take the wrong answer for keys.
        pass


class Terminal:
    """One program in a terminal of `columns` by `lines` characters."""

    def __init__(self, command, environment, columns=100, lines=30, folder=None):
        self.screen = Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        # Guards the screen, and is notified of whatever is drawn.
        self.drawn = threading.Condition()
        self.drawn_at = time.monotonic()
        self.ended = False
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.write_process_input = self.send
        self.process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, cwd=folder, start_new_session=True,
            env={**environment, "TERM": "xterm-256color"},
            # Emacs opens the terminal that controls it by name.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(follower)
        self.reader = threading.Thread(target=self._take_in, daemon=True)
        self.reader.start()

    def _take_in(self):
        try:
            while data := self._read():
                with self.drawn:
                    self.stream.feed(data)
                    self.drawn_at = time.monotonic()
                    self.drawn.notify_all()
        finally:
            # After an error too, or a test would wait for what is never drawn.
            with self.drawn:
                self.ended = True
                self.drawn.notify_all()

    def _read(self):
        try:
            return os.read(self.leader, 65536)
        except OSError:
            # So Linux says that no process has the terminal any more.
            return b""

    def send(self, text):
        """Sends a text at once, as it is."""
        os.write(self.leader, text.encode())

    def type(self, keys, pause_s=0.02):
        """Types a text as a person does, one key after the other. Names such as `<Tab>` stand for keys."""
        while keys:
            name = next((name for name in KEYS if keys.startswith(name)), keys[0])
            keys = keys[len(name):]
            self.send(KEYS.get(name, name))
            # A key right behind an escape would be read as one with Alt.
            pause = max(pause_s, 0.1 if name == "<Esc>" else 0)
            if pause:
                time.sleep(pause)

    def send_and_watch(self, keys, condition, patience_s):
        """Sends keys, and returns after how many seconds the screen met a condition, or None if it did not."""
        with self.drawn:
            start = time.monotonic()
            self.send(keys)
            return self.drawn_at - start if self.drawn.wait_for(condition, patience_s) else None

    def rows(self):
        """The screen as lines of text."""
        with self.drawn:
            return [row.rstrip() for row in self.screen.display]

    def text(self):
        return "\n".join(self.rows())

    def ghost(self, colour, blank=False):
        """The text on the screen that has this colour, row by row, without spaces at its end.

        Blank rows count only if `blank`: some editors erase what is behind a text in the text's colour.
        """
        found = []
        with self.drawn:
            for y in range(self.screen.lines):
                cells = self.screen.buffer[y]
                text = "".join(cells[x].data for x in range(self.screen.columns) if cells[x].fg == colour)
                if text.strip() or (text and blank):
                    found.append(text.rstrip())
        return found

    def wait(self, what, condition, patience_s=PATIENCE_S):
        """Waits until `condition`, a text on the screen or a function of the terminal, holds; returns its value."""
        if isinstance(condition, str):
            wanted = condition
            condition = lambda terminal: wanted in terminal.text()
        end = time.monotonic() + patience_s
        while True:
            ended = self.ended
            value = condition(self)
            if value:
                return value
            if ended or time.monotonic() > end:
                why = "the program ended, and there never was" if ended else "waited in vain for"
                raise AssertionError(f"{why} {what}; the screen:\n{self.text()}")
            with self.drawn:
                # Conditions may also look at files and processes.
                self.drawn.wait(0.02)

    def settle(self, quiet_s=0.3):
        """Waits until nothing has been drawn for a moment."""
        start = time.monotonic()
        with self.drawn:
            while not self.ended and (rest_s := max(start, self.drawn_at) + quiet_s - time.monotonic()) > 0:
                self.drawn.wait(rest_s)

    def close(self):
        """Ends the program, however it feels about that."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.reader.join(10)
        os.close(self.leader)
