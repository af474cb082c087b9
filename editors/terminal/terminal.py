"""Runs a program in a pseudo-terminal and keeps the screen that it draws, for tests of editors."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import pyte

# Only ends a test that hangs; nothing is measured by it.
PATIENCE_S = float(os.environ.get("RUNABOUT_PATIENCE_S", "240"))


class Screen(pyte.Screen):
    """pyte's screen, without its errors at sequences that set the keyboard of xterm."""

    def select_graphic_rendition(self, *attributes, private=False):
        if not private:
            super().select_graphic_rendition(*attributes)


class Terminal:
    """One program in a terminal of `columns` by `lines` characters."""

    def __init__(self, command, environment, columns=100, lines=30, folder=None):
        self.screen = Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if folder:
                os.chdir(folder)
            os.execvpe(command[0], command, {**environment, "TERM": "xterm-256color"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def read(self, seconds=0.05):
        """Takes in what the program has written; False if it has ended."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.stream.feed(data)
        return True

    def settle(self):
        """Takes in everything that the program writes until it is silent for a moment."""
        while True:
            ready, _, _ = select.select([self.fd], [], [], 0.3)
            if not ready or not self.read(0):
                return

    def send(self, keys):
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def type(self, text):
        """Types a text as a person does, one key after the other."""
        for char in text:
            self.send(char)
            self.read(0.02)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, what, condition):
        """Waits until `condition`, a text on the screen or a function of the terminal, holds."""
        if isinstance(condition, str):
            wanted = condition
            condition = lambda terminal: wanted in terminal.text()
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if condition(self):
                return
            if not self.read():
                break
        if not condition(self):
            raise AssertionError(f"{what}: the screen never showed it. It shows:\n{self.text()}")

    def ghost(self, colour):
        """The text on the screen that has this colour: one string for each line that has any, without spaces at its end."""
        found = []
        for row in range(self.screen.lines):
            cells = self.screen.buffer[row]
            part = "".join(cells[column].data for column in range(self.screen.columns) if cells[column].fg == colour)
            if part.strip():
                found.append(part.rstrip())
        return found

    def close(self):
        """Ends the program, however it feels about that."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self.fd)
        os.waitpid(self.pid, 0)
