"""How long ghost text takes from a key to the screen, over 200 keys of a scripted edit; printed, never asserted.

The script writes a state machine and a function that loads it, a character every 0.15 s. Where ghost text shows what
comes next, its line is accepted with a key, as a person would, and the script continues behind it. A key is measured from
the moment it is written to the terminal until ghost text stands at the new place of the cursor; where there is none after
a second, none is counted.
"""

import os
import statistics
import time

from editor import GHOST, Editor, options_of

KEYS_TYPED = 200
PAUSE = 0.15
PATIENCE = 1.0
# Accepting fewer characters than this is no easier than typing them.
WORTH_A_KEY = 4

FILE = '''\
"""Traffic lights as a state machine, configured by a file."""

import json
from dataclasses import dataclass, field


@dataclass
class State:
    """A state with the events that leave it."""

    name: str
    transitions: dict[str, str] = field(default_factory=dict)


'''

EDIT = '''\
class StateMachine:
    """Follows events from state to state."""

    def __init__(self, states, initial):
        self.states = {state.name: state for state in states}
        self.current = initial
        self.history = [initial]

    def fire(self, event):
        """Leaves the current state by an event, and returns the new one."""
        state = self.states[self.current]
        if event not in state.transitions:
            raise ValueError(f"no transition for {event} in {self.current}")
        self.current = state.transitions[event]
        self.history.append(self.current)
        return self.current

    def can(self, event):
        """Whether an event leaves the current state."""
        return event in self.states[self.current].transitions

    def reset(self):
        """Returns to the first state."""
        self.current = self.history[0]
        self.history = [self.current]


def load(path):
    """Reads a state machine from a JSON file."""
    with open(path) as file:
        data = json.load(file)
    states = []
    for name, transitions in data["states"].items():
        states.append(State(name, transitions))
    return StateMachine(states, data["initial"])


def save(machine, path):
    """Writes a state machine to a JSON file."""
    data = {
        "initial": machine.history[0],
        "states": {state.name: state.transitions for state in machine.states.values()},
    }
    with open(path, "w") as file:
        json.dump(data, file, indent=2)
'''

COUNT = """
_G.reasons = {}
require("runabout.state").on("completion", function(it)
  local reason = it.reason or it.outcome
  _G.reasons[reason] = (_G.reasons[reason] or 0) + 1
end)
"""

# All tokens that the model has computed: also those ahead, at pauses, and for requests that a newer one replaced.
COMPUTED = """
local client = vim.lsp.get_clients({ name = "runabout" })[1]
return client:request_sync("status", vim.empty_dict(), 10000).result.computed_tokens
"""


def at_cursor(editor, place):
    """A condition: the cursor is at another place than before, and ghost text begins there."""
    def condition():
        screen = editor.terminal.screen
        now = (screen.cursor.y, screen.cursor.x)
        return now != place and screen.buffer[now[0]][now[1]].fg == GHOST
    return condition


def ghost_line(editor):
    """The ghost text from the cursor to the end of the line."""
    with editor.terminal.drawn:
        screen = editor.terminal.screen
        row = screen.buffer[screen.cursor.y]
        cells = []
        for x in range(screen.cursor.x, screen.columns):
            if row[x].fg != GHOST:
                break
            cells.append(row[x].data)
        return "".join(cells).rstrip()


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def measure(model):
    """Types the edit; returns the figures."""
    options = options_of(model)
    with Editor(FILE, name="lights.py", options=options, columns=120, rows=40,
                after=COUNT) as editor:
        editor.wait_ready()
        editor.command("normal! Go")
        editor.type("i")
        editor.settle()
        before = editor.lua(COMPUTED)
        times, without, accepted, accepts, position, typed = [], 0, 0, 0, 0, 0
        while typed < KEYS_TYPED and position < len(EDIT):
            line = ghost_line(editor)
            if len(line) >= WORTH_A_KEY and EDIT[position:].startswith(line + "\n"):
                editor.type("<M-C-Right>")
                position += len(line)
                accepted += len(line)
                accepts += 1
                time.sleep(PAUSE)
                continue
            with editor.terminal.drawn:
                place = (editor.terminal.screen.cursor.y, editor.terminal.screen.cursor.x)
            key = EDIT[position]
            start = time.monotonic()
            seconds = editor.terminal.send_and_watch("\r" if key == "\n" else key, at_cursor(editor, place), PATIENCE)
            position += 1
            typed += 1
            if seconds is None:
                without += 1
            else:
                times.append(seconds * 1000)
            time.sleep(max(0.0, PAUSE - (time.monotonic() - start)))
        editor.settle()
        lines = editor.lines()
        written = "\n".join(lines)[len(FILE):]
        return {
            "times": times, "without": without, "accepted": accepted, "accepts": accepts, "typed": typed,
            "as_scripted": EDIT.startswith(written.strip("\n")[:position - 1].strip("\n")),
            "tokens": editor.lua(COMPUTED) - before,
            "reasons": editor.lua("return _G.reasons"),
        }


def report(model="qwen2.5-coder-0.5b"):
    """Measures and prints."""
    load = os.getloadavg()[0]
    figures = measure(model)
    times = figures["times"]
    print(f"\n{model}, {figures['typed']} keys typed, load of the machine before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    if times:
        print(f"key to ghost text: p50 {statistics.median(times):.0f} ms, p95 {percentile(times, 0.95):.0f} ms, "
              f"longest {max(times):.0f} ms")
    print(f"keys with ghost text within a second: {len(times)} of {figures['typed']}")
    print(f"accepted: {figures['accepted']} characters in {figures['accepts']} lines")
    if figures["accepted"]:
        print(f"tokens computed: {figures['tokens']}, "
              f"{figures['tokens'] / figures['accepted']:.1f} for each accepted character")
    print("answers: " + ", ".join(f"{count} {reason}" for reason, count in sorted(figures["reasons"].items())))
    if not figures["as_scripted"]:
        print("warning: the file does not hold what the script typed")
