#!/usr/bin/env bash
# What meets: pyte 0.8.2, a terminal in memory, and what editors write to xterm when they start: the two settings and the
#   question about the keyboard's mode (CSI > 4 ; 2 m, CSI > 4 ; 0 m, CSI ? 4 m) and the question for the terminal's version
#   (CSI > c).
# Guess: a terminal ignores sequences that it does not know.
# Seen: pyte drops the `>` and goes on: the first underlines all text that follows until something resets it, and the last is
#   answered as the other question (CSI c) would be, which an editor may take for keys. The question about the mode raises
#   TypeError, as does that for an extended position (CSI ? 6 n).
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pyte==0.8.2"
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
import pyte

for sequence in ["", "> 4 ; 2 m", "> 4 ; 0 m", "? 4 m", "? 6 n", "> c", "c"]:
    screen = pyte.Screen(20, 2)
    answers = []
    screen.write_process_input = answers.append
    try:
        pyte.Stream(screen).feed("\x1b[" + sequence.replace(" ", "") + "x" if sequence else "x")
        seen = f"the text is {screen.display[0].strip()!r}, underlined: {screen.buffer[0][0].underscore}, answered: {answers}"
    except TypeError:
        seen = "TypeError"
    print(f"CSI {sequence}: {seen}" if sequence else f"nothing: {seen}")
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
nothing: the text is 'x', underlined: False, answered: []
CSI > 4 ; 2 m: the text is 'x', underlined: True, answered: []
CSI > 4 ; 0 m: the text is 'x', underlined: False, answered: []
CSI ? 4 m: TypeError
CSI ? 6 n: TypeError
CSI > c: the text is 'x', underlined: False, answered: ['\x1b[?6c']
CSI c: the text is 'x', underlined: False, answered: ['\x1b[?6c']
EXPECTED
