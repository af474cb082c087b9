#!/usr/bin/env bash
# What meets: Emacs 28.2 in a terminal, the cursor at the place of an overlay, and that overlay's `after-string` whose first
#   character has the property `cursor`.
# Guess: the cursor is drawn on that character, so before the text of the overlay, whatever the character is.
# Seen: if the character is a line break, the cursor is drawn behind the overlay's text, as if there were no property; on a
#   space before the line break the property works.
# Fails if one of these changes. Emacs must be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pyte==0.8.2"
cat > "$folder/screen.py" <<'PYTHON'
"""Shows an overlay behind `head` in a real Emacs, and prints where the cursor is on the screen."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios

import pyte

DONE = "shown"


class Screen(pyte.Screen):
    def report_device_attributes(self, *_, **__):
        # Emacs would take pyte's answer for keys.
        pass


def cursor(text):
    show = f'''(progn (switch-to-buffer "trial") (insert "head") (let ((text {text}))
        (put-text-property 0 1 'cursor t text)
        (overlay-put (make-overlay (point) (point) nil t t) 'after-string text))
        (run-with-timer 0.5 nil #'message "{DONE}"))'''
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 40, 0, 0))
    emacs = subprocess.Popen(
        ["emacs", "-nw", "-Q", "--eval", "(setq inhibit-startup-screen t)", "--eval", show],
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True, env={**os.environ, "TERM": "xterm"},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(follower)
    screen = Screen(40, 12)
    stream = pyte.ByteStream(screen)
    while not any(DONE in row for row in screen.display):
        stream.feed(os.read(leader, 65536))
    # The cursor goes back to its place after the message was drawn.
    while select.select([leader], [], [], 0.5)[0]:
        stream.feed(os.read(leader, 65536))
    emacs.kill()
    top = next(y for y, row in enumerate(screen.display) if row.startswith("head"))
    return screen.cursor.y - top, screen.cursor.x


for name, text in [("a letter", '(copy-sequence "a\\nb")'), ("a line break", '(copy-sequence "\\na")'),
                   ("a space before a line break", '(copy-sequence " \\na")')]:
    line, column = cursor(text)
    print(f"{name}: line {line}, column {column}")
PYTHON
"$folder/venv/bin/python" "$folder/screen.py" | tee "$folder/lines"
diff "$folder/lines" - <<'EXPECTED'
a letter: line 0, column 4
a line break: line 1, column 1
a space before a line break: line 0, column 4
EXPECTED
