"""The plugin in Vim, as a person sees it: Vim runs in a terminal, with a real worker and a small model."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from recorder import Recorder
from terminal import Terminal

RUNABOUT = os.environ["RUNABOUT"]
PLUGIN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODEL = "smollm2-135m"

# The colour of suggestions, 244 of 256.
GREY = "808080"
# What the next edit adds and what it removes, 208 and 203 of 256.
ADDED = "ff8700"
REMOVED = "ff5f5f"

TAB = "\t"
ESCAPE = "\x1b"
WORD = "\x1b[1;5C"
LINE = "\x1b[1;5F"
NEXT = "\x1b[1;5B"
PREVIOUS = "\x1b[1;5A"
DISMISS = "\x1d"
NEXT_EDIT = "\x1b[19~"

FUNCTIONS = """def add(a, b):
    return a + b


def sub(a, b):
    return a - b


def mul(a, b):
"""


SHAPES = """def area(width, height):
    return width * height


print(area(2, 3))
"""

NOTES = "".join(f"# Note {number}.\n" for number in range(1, 41))
VOLUME = NOTES + """def area(width, height):
    return width * height


def volume(width, height, depth):
"""

# Functions of many lines.
LONG = "".join(f"""def mean_of_{name}({name}):
    total = 0
    count = 0
    for value in {name}:
        total += value
        count += 1
    if count == 0:
        return None
    return total / count


""" for name in ("prices", "weights", "lengths"))

# The most likely text, so that each run gets the same answer.
GREEDY = "{'chat': {'temperature': 0}}"
# A question that the model answers with a code block.
QUESTION = "Correct this function. Answer with only the code."


class Plugin(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="runabout-vim-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def vim(self, text, name="file.py", settings="{}", program=RUNABOUT, environment=None, newline=""):
        """Opens a file with this text, in a Vim that has nothing but the plugin."""
        self.file = os.path.join(self.folder, name)
        with open(self.file, "w", encoding="utf-8", newline=newline) as file:
            file.write(text)
        vimrc = os.path.join(self.folder, "vimrc")
        with open(vimrc, "w", encoding="utf-8") as file:
            file.write(f"""set nocompatible nomore noswapfile encoding=utf-8 laststatus=2 backspace=indent,eol,start
set statusline=%t\\ %{{runabout#Statusline()}}
set packpath={self.folder}
filetype plugin on
highlight RunaboutAdded ctermfg=208
highlight RunaboutRemoved ctermfg=203
let g:runabout = extend({{'model': '{MODEL}', 'arguments': ['--offline'], 'minConfidence': 0}}, {settings})
let g:runabout.program = '{program}'
""")
        pack = os.path.join(self.folder, "pack/runabout/start")
        os.makedirs(pack, exist_ok=True)
        if not os.path.exists(os.path.join(pack, "vim")):
            # A copy, because the plugin would find a program that was built in its repository.
            shutil.copytree(PLUGIN, os.path.join(pack, "vim"))
        terminal = Terminal(
            ["vim", "-N", "-u", vimrc, "-i", "NONE", self.file], {**os.environ, "LANG": "C.UTF-8", **(environment or {})}
        )
        self.addCleanup(terminal.close)
        self.terminal = terminal
        terminal.wait("the status line", os.path.basename(self.file) + " runabout:")
        terminal.settle()
        return terminal

    def ghost(self):
        """Waits for a suggestion and returns its lines, of which more may come for a while."""
        self.terminal.wait("ghost text", lambda terminal: terminal.ghost(GREY))
        self.terminal.settle(0.6)
        return self.terminal.ghost(GREY)

    def written(self):
        """Leaves Insert mode, writes the file, and returns what is in it."""
        self.command("write")
        with open(self.file, encoding="utf-8", newline="") as file:
            return file.read()

    def command(self, command):
        self.terminal.send(ESCAPE)
        self.terminal.settle()
        self.terminal.send(f":{command}\r")
        self.terminal.settle()

    def messages(self):
        """The plugin's messages in `:messages`."""
        found = os.path.join(self.folder, "messages")
        self.command(f"redir! > {found} | silent messages | redir END")
        with open(found, encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if line.startswith("runabout:")]

    def worker(self):
        """The process id of the worker."""
        found = []

        def running(_):
            result = subprocess.run(["pgrep", "-P", str(self.terminal.process.pid), "-f", "lsp --model"], capture_output=True, text=True, check=False)
            found[:] = result.stdout.split()
            return bool(found)

        self.terminal.wait("a worker process", running)
        return int(found[0])

    # Suggestions

    def test_a_suggestion_is_shown_and_accepted_as_it_was_shown(self):
        self.vim(FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        shown = "\n".join(self.ghost())
        self.terminal.send(TAB)
        self.terminal.settle()
        self.assertEqual(self.written(), f"{FUNCTIONS}    ret{shown}\n")

    def test_an_accepted_suggestion_is_undone_with_what_was_typed_before_it(self):
        self.vim(FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.ghost()
        self.terminal.send(TAB)
        self.terminal.settle()
        self.terminal.send(ESCAPE + "u")
        self.assertEqual(self.written(), FUNCTIONS)

    def test_a_word_is_accepted_and_the_rest_stays(self):
        self.vim(FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        shown = self.ghost()[0]
        self.terminal.send(WORD)
        self.terminal.settle()
        rest = self.ghost()[0]
        word = re.match(r"\s*(\w+|[^\w\s]+)", shown).group(0)
        self.assertEqual(rest.strip(), shown[len(word) :].strip())
        self.assertEqual(self.written(), f"{FUNCTIONS}    ret{word}\n")

    def test_a_line_is_accepted_and_the_next_one_stays(self):
        self.vim(FUNCTIONS.replace("def mul(a, b):\n", ""))
        self.terminal.send("Go")
        self.terminal.type("def mul")
        lines = self.ghost()
        self.assertGreater(len(lines), 1, "the suggestion has only one line")
        self.terminal.send(LINE)
        self.terminal.settle()
        self.assertEqual(self.ghost()[0].strip(), lines[1].strip())
        self.assertEqual(self.written(), FUNCTIONS.replace("def mul(a, b):\n", "") + "def mul" + lines[0] + "\n")

    def test_word_by_word_and_line_by_line_a_suggestion_is_accepted_as_it_was_shown(self):
        text = LONG.rstrip("\n") + "\n"
        for key in (WORD, LINE):
            with self.subTest(key=key):
                self.vim(text, settings="{'enabled': 0}")
                self.terminal.send("Go\n\ndef mean_of_ages(ages):" + NEXT)
                shown = "\n".join(self.ghost())
                self.assertIn("\n", shown)
                while self.terminal.ghost(GREY):
                    self.terminal.send(key)
                    self.terminal.settle(0.1)
                # The first line end is not drawn; blank rows are not read from the screen.
                written = self.written().removeprefix(text + "\n\ndef mean_of_ages(ages):")
                self.assertEqual([it for it in written.split("\n") if it], [it for it in shown.split("\n") if it])

    def test_a_suggestion_of_several_lines_appears_line_by_line(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(LONG, program=recorder.path)
        # All at once, so that there is one request.
        self.terminal.send("Godef mean_of_ages(ages):")
        shown = "\n".join(self.ghost())
        first, *others = recorder.sent("textDocument/didShowCompletion")
        self.assertEqual(others, [], "parts of one suggestion count as one")
        text = first["item"]["insertText"]
        self.assertTrue(shown.startswith(text.lstrip("\n")), (shown, text))
        self.assertLess(len(text), len(shown))

    def test_the_window_is_scrolled_to_show_a_suggestion_at_its_bottom(self):
        text = "x = 1\n" * 60 + FUNCTIONS.replace("def mul(a, b):\n", "")
        self.vim(text)
        self.terminal.send("Go")
        self.terminal.type("def mul")
        self.assertGreater(len(self.ghost()), 1, "the suggestion has only one line")
        self.assertIn("def mul" + self.terminal.ghost(GREY)[0], self.terminal.text())

    def test_no_suggestion_is_shown_beside_the_popup_menu(self):
        self.vim("retry = 1\n\n\n" + FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.ghost()
        self.terminal.send("\x0e")
        self.terminal.wait("the text from the menu", "    retry")
        self.terminal.settle()
        self.assertEqual(self.terminal.ghost(GREY), [])
        self.terminal.send(" ")
        self.ghost()
        self.assertEqual(self.messages(), [])

    def test_a_suggestion_stays_while_what_is_typed_agrees_with_it(self):
        self.vim(FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        shown = self.ghost()[0]
        self.terminal.type(shown[0])
        self.assertTrue(self.terminal.ghost(GREY), "it was gone for a moment")
        self.assertEqual(self.ghost()[0], shown[1:])

    def test_a_suggestion_goes_when_something_else_is_typed(self):
        self.vim(FUNCTIONS, settings="{'enabled': 0}")
        self.terminal.send("Go    ret" + NEXT)
        self.ghost()
        self.terminal.type("#")
        self.terminal.settle()
        self.assertEqual(self.terminal.ghost(GREY), [])

    def test_alternatives_are_shown_in_turn(self):
        self.vim("# Names of colours\ncolours = [\n", settings="{'alternatives': 4}")
        self.terminal.send("Go")
        self.terminal.type("    ")
        self.terminal.send(NEXT)
        self.terminal.wait("a number of alternatives", lambda terminal: re.search(r"runabout: \d/[2-4]", terminal.text()))
        place = re.search(r"runabout: (\d)/(\d)", self.terminal.text())
        first = self.ghost()
        self.terminal.send(NEXT)
        self.terminal.wait("another place", lambda terminal: f"runabout: {place.group(0)[10:]}" not in terminal.text())
        self.assertNotEqual(self.ghost(), first)
        self.terminal.send(PREVIOUS)
        self.terminal.wait("the place before", place.group(0))
        self.assertEqual(self.ghost(), first)

    def test_a_dismissed_suggestion_is_gone_and_reported(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(FUNCTIONS, program=recorder.path)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.ghost()
        self.terminal.send(DISMISS)
        self.terminal.settle()
        self.assertEqual(self.terminal.ghost(GREY), [])
        commands = [params["command"] for params in recorder.sent("workspace/executeCommand")]
        self.assertIn("runabout.reject", commands)

    def test_what_is_shown_and_accepted_is_reported(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(FUNCTIONS, program=recorder.path)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        shown = self.ghost()[0]
        self.terminal.send(WORD)
        self.terminal.settle()
        self.ghost()
        self.terminal.send(TAB)
        self.terminal.settle()
        item = recorder.sent("textDocument/didShowCompletion")[0]["item"]
        partial = recorder.sent("textDocument/didPartiallyAcceptCompletion")[0]
        self.assertTrue(any(shown.startswith(it["item"]["insertText"]) or it["item"]["insertText"].startswith(shown)
                            for it in recorder.sent("textDocument/didShowCompletion")), item)
        word = re.match(r"\s*(\w+|[^\w\s]+)", shown).group(0)
        accepted = partial["item"]["insertText"][: partial["acceptedLength"]]
        self.assertTrue(accepted.endswith(word.strip()), (accepted, word))
        commands = [params["command"] for params in recorder.sent("workspace/executeCommand")]
        self.assertIn("runabout.accept", commands)

    def test_suggestions_can_be_switched_off_and_asked_for(self):
        self.vim(FUNCTIONS)
        self.command("Runabout disable")
        self.terminal.wait("the state", "runabout: ")
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.terminal.wait("that it is off", "runabout: off")
        self.assertEqual(self.terminal.ghost(GREY), [])
        self.terminal.send(NEXT)
        self.ghost()

    def test_why_says_why_nothing_was_suggested(self):
        self.vim(FUNCTIONS, settings="{'languages': {'python': 0}}")
        self.terminal.send("Go")
        self.terminal.type("zq ")
        self.terminal.wait("the model", "runabout: ready")
        self.terminal.type("x")
        self.terminal.settle()
        self.command("Runabout why")
        self.terminal.wait("a reason", lambda terminal: re.search("switched off|disabled", terminal.text()))

    def test_a_key_that_accepts_does_what_it_did_before_where_nothing_is_shown(self):
        self.vim("a b\n", settings="{'enabled': 0}")
        self.terminal.send("0i")
        self.terminal.settle()
        self.terminal.send(TAB + WORD + "x" + LINE + "y")
        self.terminal.settle()
        self.assertEqual(self.written(), "    a xby\n")

    # The next edit. The default model was not made for edits, so what it predicts is always an insertion at the last edit.
    # What models made for edits answer is handed to the plugin as the worker would hand it over.

    def begin_line(self):
        """Begins a line at the end of a file, and waits for the model, of which ghost text tells."""
        self.vim(VOLUME, settings="{'model': 'qwen2.5-coder-0.5b'}")
        self.terminal.send("Go")
        self.terminal.type("    return ")
        self.ghost()

    def next_edit(self):
        """Begins a line at the end of a file, goes to the top of it, and asks."""
        self.begin_line()
        self.terminal.send(ESCAPE)
        self.terminal.settle()
        self.terminal.send("gg0" + NEXT_EDIT)
        self.terminal.wait("the place of the edit", lambda terminal: "↓ next edit in line 46" in terminal.rows()[0])

    def edits(self, *edits):
        """Hands over edits as the worker would: `(line, character, end line, end character, text)`."""
        listed = ", ".join(f"{{'range': {{'start': {{'line': {it[0]}, 'character': {it[1]}}}, 'end': {{'line': {it[2]}, "
                           f"'character': {it[3]}}}}}, 'newText': \"{it[4]}\"}}" for it in edits)
        script = os.path.join(self.folder, "offer.vim")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"call runabout#nextedit#Offer([{listed}])\n")
        self.command(f"source {script}")

    def test_the_next_edit_is_shown_where_it_is_gone_to_applied_and_undone(self):
        self.next_edit()
        self.assertEqual(self.terminal.ghost(ADDED), [])
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("what is added", lambda terminal: terminal.ghost(ADDED))
        self.terminal.settle()
        self.assertNotIn("next edit in line", self.terminal.text())
        added = "\n".join(self.terminal.ghost(ADDED))
        self.assertEqual(self.written(), VOLUME + "    return \n", "it was applied too early")
        self.assertEqual("\n".join(self.terminal.ghost(ADDED)), added, "it did not stay while the file was written")
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("it to go", lambda terminal: not terminal.ghost(ADDED))
        self.assertEqual(self.written(), VOLUME + "    return " + added + "\n")
        self.terminal.send("u")
        self.assertEqual(self.written(), VOLUME + "    return \n")
        self.assertEqual(self.messages(), [])

    def test_the_next_edit_is_applied_in_insert_mode_by_the_key_that_accepts(self):
        self.begin_line()
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("what is added", lambda terminal: terminal.ghost(ADDED))
        self.terminal.settle()
        self.assertEqual(self.terminal.ghost(GREY), [], "a suggestion stands beside it")
        added = "\n".join(self.terminal.ghost(ADDED))
        self.terminal.send(TAB)
        self.terminal.wait("it to go", lambda terminal: not terminal.ghost(ADDED))
        self.terminal.send("#")
        self.terminal.settle()
        self.assertEqual(self.written(), VOLUME + "    return " + added + "#\n")
        # What was typed behind it, then the edit.
        self.terminal.send("uu")
        self.assertEqual(self.written(), VOLUME + "    return \n")

    def test_the_next_edit_is_dismissed_and_goes_when_the_text_changes(self):
        self.next_edit()
        self.terminal.send(DISMISS)
        self.terminal.wait("it to go", lambda terminal: "next edit in line" not in terminal.text())
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("it once more", "next edit in line")
        self.terminal.send("x")
        self.terminal.wait("it to go", lambda terminal: "next edit in line" not in terminal.text())
        self.assertEqual(self.messages(), [])
        # The key is what it was.
        self.terminal.send(DISMISS)
        self.terminal.wait("that there is no tag", "E4")

    def test_a_next_edit_for_another_text_is_neither_shown_nor_applied(self):
        self.next_edit()
        # Without the events that would have removed it.
        self.command("set eventignore=all | call setline(1, 'changed')")
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the refusal", "has changed since")
        self.command("set eventignore=")
        # The change follows the question at once.
        self.terminal.send(NEXT_EDIT + "x")
        self.terminal.wait("the change", lambda terminal: terminal.rows()[0] == "hanged")
        self.terminal.settle(2)
        self.assertNotIn("next edit in line", self.terminal.text())
        self.assertEqual(self.written(), VOLUME.replace("# Note 1.\n", "hanged\n") + "    return \n")

    def test_the_next_edit_comes_by_itself_where_that_is_wanted(self):
        self.vim(VOLUME, settings="{'model': 'qwen2.5-coder-0.5b', 'nextEdit': 'automatic'}")
        self.terminal.send("Go")
        self.terminal.wait("the model", "runabout: ready")
        self.terminal.send("    return " + ESCAPE)
        self.terminal.wait("what is added", lambda terminal: terminal.ghost(ADDED))

    def test_a_model_that_cannot_predict_edits_is_named(self):
        self.vim(FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.ghost()
        self.terminal.send(ESCAPE)
        self.terminal.settle()
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the words", "The model cannot predict edits")

    def test_next_edits_can_be_switched_off(self):
        self.vim(FUNCTIONS, settings="{'nextEdit': 'off'}")
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the words", "switched off by the setting nextEdit")

    def test_the_format_of_next_edits_is_the_workers_setting(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(FUNCTIONS, settings="{'nextEdit': 'manual', 'nextEditFormat': 'sweep'}", program=recorder.path)
        self.terminal.send("Go")
        self.terminal.wait("the model", "runabout: ready")
        self.assertEqual(recorder.sent("initialize")[0]["initializationOptions"]["settings"]["nextEdit"], "sweep")

    def test_edits_of_several_places_are_drawn_and_applied_together(self):
        self.vim(SHAPES.replace("print", "print('é😀') or print"), settings="{'enabled': 0}")
        self.edits((0, 9, 0, 14, "w"), (1, 11, 1, 16, "w"), (4, 27, 4, 28, "20"))
        self.assertEqual(self.terminal.ghost(REMOVED), ["width", "width", "2"])
        self.assertEqual(self.terminal.ghost(ADDED), ["w", "w", "20"])
        self.assertEqual(self.terminal.rows()[0], "def area(widthw, height):")
        self.terminal.send(NEXT_EDIT)
        after = SHAPES.replace("print", "print('é😀') or print").replace("width", "w").replace("area(2", "area(20")
        self.assertEqual(self.written(), after)
        self.terminal.send("u")
        self.assertEqual(self.written(), SHAPES.replace("print", "print('é😀') or print"))

    def test_whole_lines_of_the_next_edit_are_drawn_where_they_would_be(self):
        self.vim(SHAPES.replace("\n", "\r\n"), settings="{'enabled': 0}")
        self.edits((1, 0, 1, 0, r"    # Both in metres.\r\n\r\n"), (3, 0, 4, 0, ""), (5, 0, 5, 0, r"print()\r\n"))
        self.assertEqual(self.terminal.rows()[:8], [
            "def area(width, height):", "    # Both in metres.", "", "    return width * height", "", "",
            "print(area(2, 3))", "print()"])
        # The first change is in the line below the cursor's.
        self.terminal.send(NEXT_EDIT)
        self.terminal.settle()
        self.terminal.send(NEXT_EDIT)
        after = SHAPES.replace("    return", "    # Both in metres.\n\n    return").replace("\n\n\nprint", "\n\nprint") + "print()\n"
        self.assertEqual(self.written(), after.replace("\n", "\r\n"))

    def test_the_last_lines_are_removed_without_an_empty_line_left(self):
        self.vim(SHAPES, settings="{'enabled': 0}")
        self.edits((1, 0, 5, 0, ""))
        self.terminal.send(NEXT_EDIT)
        self.assertEqual(self.written(), "def area(width, height):\n")
        self.edits((0, 0, 1, 0, r"\n"))
        self.terminal.send(NEXT_EDIT)
        self.assertEqual(self.written(), "\n")

    # Files

    def test_a_file_with_crlf_keeps_its_line_ends(self):
        text = FUNCTIONS.replace("def mul(a, b):\n", "").replace("\n", "\r\n")
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(text, program=recorder.path)
        self.terminal.send("Go")
        self.terminal.type("def mul")
        shown = self.ghost()
        self.assertGreater(len(shown), 1, "the suggestion has only one line")
        self.terminal.send(TAB)
        self.terminal.settle()
        written = self.written()
        self.assertEqual(written, text + "def mul" + "\r\n".join(shown) + "\r\n")
        self.terminal.send("Go")
        self.terminal.settle()
        self.assertEqual(recorder.document(), written + "\r\n")

    def test_characters_outside_ascii_before_the_cursor_do_not_shift_the_position(self):
        line = 'naïve = check("😀 é", "naïve 😀")\n'
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(line * 4, program=recorder.path)
        self.terminal.send("Go")
        self.terminal.type('naïve = check("😀 é", "na')
        self.ghost()
        self.terminal.send(TAB)
        self.terminal.settle()
        written = self.written()
        self.assertTrue(written.startswith(line * 5), written)
        self.assertEqual(recorder.document(), written)
        asked = recorder.sent("textDocument/inlineCompletion")
        self.assertIn(len('naïve = check("😀 é", "na'.encode()), [it["position"]["character"] for it in asked])

    def test_the_worker_has_the_text_of_the_buffer_after_any_edits(self):
        recorder = Recorder(self.folder, RUNABOUT)
        lines = [f"line {number} é 😀\n" for number in range(30)]
        self.vim("".join(lines), program=recorder.path, settings="{'enabled': 0}")
        self.terminal.send("ix" + ESCAPE)
        self.terminal.wait("the worker", "runabout: off")
        chance = random.Random(1)
        edits = ["dd", "p", "P", "J", "yyp", "x", "u", "\x12", "ox y\r z" + ESCAPE, "O" + ESCAPE, "3dd", "gg", "G", "5j", "2k",
                 "ddp", ">>", "~", ":s/i/é😀/g\r", ":2,4m$\r", ":g/7/d\r", ":1,3join\r", "Aend" + ESCAPE, "cwé" + ESCAPE,
                 ":sort\r", ":%s/^l/L/\r", ":2,5d|put\r", ":normal! gg3Ix\r"]
        for _ in range(60):
            for _ in range(chance.randint(1, 4)):
                self.terminal.send(chance.choice(edits))
                time.sleep(0.01)
            # Entering Insert mode sends what has changed.
            self.terminal.send("a" + ESCAPE)
            self.terminal.settle()
            written = self.written()
            self.terminal.wait("the same text", lambda _: recorder.document() == written)

    def test_a_buffer_that_becomes_empty_or_is_read_again_is_in_step(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(FUNCTIONS, program=recorder.path, settings="{'enabled': 0}")
        self.terminal.send("ix" + ESCAPE)
        self.terminal.wait("the worker", "runabout: off")
        self.terminal.send("ggdGix" + ESCAPE)
        self.terminal.wait("one line", lambda _: recorder.document() == "x\n")
        self.command("edit!")
        self.terminal.send("iy" + ESCAPE)
        self.terminal.wait("the file's text", lambda _: recorder.document() == "y" + FUNCTIONS)

    def test_the_worker_hears_that_a_file_was_written(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.vim(FUNCTIONS, program=recorder.path, settings="{'enabled': 0}")
        self.terminal.send("ix" + ESCAPE)
        self.terminal.wait("the worker", "runabout: off")
        self.terminal.send("ggdd")
        written = self.written()
        self.terminal.wait("the message", lambda _: recorder.sent("textDocument/didSave"))
        self.assertEqual(recorder.document(), written)

    # The chat

    def answer(self):
        """The answer on the screen, which is in a window on the right."""
        rows = self.terminal.rows()
        for y, row in enumerate(rows):
            if (column := row.find("## Runabout")) >= 0:
                return "\n".join(row[column:].rstrip("~") for row in rows[y + 1 : -2]).strip()
        return ""

    def ask(self, lines):
        """Asks about some lines, and returns the code of the answer when the chat has it."""
        seen = set()

        def answered(_):
            answer = self.answer()
            seen.add(answer)
            return answer.count("```") > 1

        self.terminal.send(f":{lines}Runabout chat {QUESTION}\r")
        self.terminal.wait("a code block", answered)
        self.assertGreater(len(seen), 3, "the answer was not streamed")
        # What may follow the code is not needed.
        self.command("Runabout stop")
        path = os.path.join(self.folder, "chat")
        self.command(f"call writefile(getbufline('runabout://chat', 1, '$'), '{path}')")
        with open(path, encoding="utf-8") as file:
            return re.findall(r"```\w*\n(.*?\n)```", file.read().rpartition("## Runabout\n")[2], re.DOTALL)[-1]

    def test_an_answer_is_streamed_and_its_code_replaces_the_selection(self):
        text = "def add(a, b):\n    return a - b\n\nprint(add(1, 2))\n"
        self.vim(text, settings=GREEDY)
        code = self.ask("1,2")
        self.command("Runabout apply")
        self.terminal.wait("the replacement", "in place of 2")
        self.assertEqual(self.written(), code + "\nprint(add(1, 2))\n")
        self.terminal.send("u")
        self.assertEqual(self.written(), text)

    def test_nothing_is_replaced_if_the_selection_has_changed(self):
        self.vim("def add(a, b):\n    return a - b\n", settings=GREEDY)
        self.ask("1,2")
        self.terminal.send("ggx")
        self.command("Runabout apply")
        self.terminal.wait("the reason", "nothing was replaced")
        self.assertEqual(self.written(), "ef add(a, b):\n    return a - b\n")

    def test_an_answer_that_is_stopped_stays(self):
        self.vim(FUNCTIONS, settings=GREEDY)
        self.terminal.send(":Runabout chat Write a long story about a boat.\r")
        self.terminal.wait("some text", lambda _: len(self.answer().split()) > 10)
        before = self.answer()
        # Without waiting for a quiet screen, as the other commands do.
        self.terminal.send(":Runabout stop\r")
        self.terminal.wait("the note", "*You stopped it.*")
        self.assertTrue(self.answer().startswith(before), self.answer())

    # The worker's process

    def test_a_worker_that_is_killed_comes_back_with_one_message(self):
        self.vim(FUNCTIONS)
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.ghost()
        first = self.worker()
        self.terminal.send(NEXT + "u")
        os.kill(first, signal.SIGKILL)
        self.terminal.type("rn")
        self.terminal.wait("that the editor is usable", "    return")
        self.terminal.wait("that it is started again", "runabout: restarting")
        self.terminal.wait("that it is back", "runabout: ready")
        self.assertNotEqual(self.worker(), first)
        self.terminal.type(" a")
        self.ghost()
        self.assertEqual(self.messages(), ["runabout: the worker ended unexpectedly and is started again"])

    def test_an_absent_program_is_reported_once_and_vim_is_usable(self):
        self.vim(FUNCTIONS, program="/nowhere/runabout")
        self.terminal.send("Go")
        self.terminal.wait("the state", "runabout: not found")
        self.terminal.type("    return")
        self.terminal.send(ESCAPE + "ax")
        self.terminal.settle()
        self.assertTrue(self.written().endswith("    returnx\n"), self.written())
        self.assertEqual(len(self.messages()), 1)
        self.assertIn("/nowhere/runabout", self.messages()[0])

    def test_it_says_how_to_get_a_program_that_is_in_none_of_the_places(self):
        path = os.path.join(self.folder, "bin")
        os.mkdir(path)
        for name in ("vim", "sh", "git"):
            os.symlink(shutil.which(name), os.path.join(path, name))
        self.vim(FUNCTIONS, program="", environment={"HOME": self.folder, "PATH": path})
        self.terminal.send("Go")
        self.terminal.wait("how to get it", "cargo build --release")

    def test_the_program_is_found_where_cargo_puts_it(self):
        os.makedirs(os.path.join(self.folder, ".cargo/bin"))
        home = os.environ["HOME"]
        with open(os.path.join(self.folder, ".cargo/bin/runabout"), "w") as file:
            file.write(f'#!/bin/sh\nHOME={home} exec {RUNABOUT} "$@"\n')
        os.chmod(file.name, 0o755)
        self.vim(FUNCTIONS, program="", environment={"HOME": self.folder, "PATH": "/usr/bin:/bin"})
        self.terminal.send("Go")
        self.terminal.type("    ret")
        self.ghost()

    def test_a_wrong_option_is_reported_with_the_words_of_the_program(self):
        self.vim(FUNCTIONS, settings="{'arguments': ['--no-such-option']}")
        self.terminal.send("Go")
        self.terminal.wait("the state", "runabout: failed")
        messages = self.messages()
        self.assertEqual(len(messages), 1, messages)
        self.assertIn("--no-such-option", messages[0])

    def test_a_model_that_is_not_there_is_reported(self):
        self.vim(FUNCTIONS, settings="{'model': '/nowhere/model'}")
        self.terminal.send("Go")
        self.terminal.wait("the state", "runabout: no model")
        self.terminal.type("x")
        self.assertTrue(self.written().endswith("x\n"))
        self.assertEqual(len(self.messages()), 1)
        self.command("Runabout why")
        self.terminal.wait("which model", "/nowhere/model")

    def test_help_is_there(self):
        self.vim(FUNCTIONS)
        self.command(f"helptags {self.folder}/pack/runabout/start/vim/doc")
        for topic in ("runabout", ":Runabout", "g:runabout", "runabout-keys", "runabout#Statusline()", "runabout-install"):
            self.command(f"help {topic}")
            self.assertNotIn("E149", self.terminal.text())
        self.assertIn("runabout", self.terminal.text())


if __name__ == "__main__":
    if not shutil.which("vim"):
        sys.exit("Vim is not installed: the tests of editors/vim need the program `vim`, version 9.0.1378 or later")
    version = subprocess.run(
        ["vim", "-Nes", "-u", "NONE", "-c", "verbose echo has('patch-9.0.1378') has('channel') has('textprop')", "-c", "qa!"],
        capture_output=True, text=True, check=False)
    if "1 1 1" not in version.stdout + version.stderr:
        sys.exit("this Vim is too old or too small: the plugin needs 9.0.1378 or later with +channel and +textprop")
    unittest.main(verbosity=2)
