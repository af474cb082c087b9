"""The package in Emacs, as a person sees it: Emacs runs in a terminal, with a real worker and a small model."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from recorder import Recorder
from terminal import Terminal

RUNABOUT = os.environ["RUNABOUT"]
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = ["runabout-settings", "runabout-worker", "runabout-document", "runabout-suggestion", "runabout-next-edit",
         "runabout-chat", "runabout"]
MODEL = "smollm2-135m"

# The colour of suggestions in these tests.
GREY = "808080"
# What the next edit adds and what it removes.
ADDED = "ff8700"
REMOVED = "ff5f5f"

TAB = "\t"
ESCAPE = "\x1b"
END = "\x1b>"
WORD = "\x1b[1;5C"
LINE = "\x1b[1;5F"
NEXT = "\x1b[1;5B"
PREVIOUS = "\x1b[1;5A"
QUIT = "\x07"
UNDO = "\x1f"
TOP = "\x1b<"
NEXT_EDIT = "\x03\\n"

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
GREEDY = "(setq runabout-chat-parameters '(:temperature 0))"
# A question that the model answers with a code block.
QUESTION = "Correct this function. Answer with only the code."


class Batch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="runabout-emacs-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def emacs(self, *arguments):
        return subprocess.run(
            ["emacs", "-Q", "--batch", "-L", PACKAGE, "-L", os.path.join(PACKAGE, "tests"), *arguments],
            capture_output=True, text=True, check=False, cwd=self.folder)

    def test_it_compiles_without_a_warning(self):
        for name in FILES:
            shutil.copy(os.path.join(PACKAGE, name + ".el"), self.folder)
        for name in FILES:
            result = self.emacs("-L", self.folder, "-f", "batch-byte-compile", name + ".el")
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_its_documentation_has_the_form_that_emacs_asks_for(self):
        for name in FILES:
            path = os.path.join(PACKAGE, name + ".el")
            result = self.emacs("--eval", f"(progn (require 'checkdoc) (checkdoc-file {lisp(path)}))")
            self.assertEqual(result.stdout + result.stderr, "")

    def test_the_worker_has_the_text_of_the_buffer_after_any_edits(self):
        for end in ("\n", "\r\n"):
            for seed in ("first", "second"):
                with self.subTest(end=end, seed=seed):
                    self.check_edits(end, seed)

    def check_edits(self, end, seed):
        path = os.path.join(self.folder, "file.txt")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write("".join(f"line {number} é 😀 {end}" for number in range(30)))
        notes = os.path.join(self.folder, f"notes-{seed}-{len(end)}")
        os.mkdir(notes)
        recorder = Recorder(self.folder, RUNABOUT)
        result = self.emacs("-l", "edits", "--eval", f"(random {lisp(seed)})",
                            "--eval", f"(edits-run {lisp(path)} {lisp(recorder.path)} {lisp(notes)})")
        self.assertEqual(result.returncode, 0, result.stderr)
        texts = recorder.documents()
        position = 0
        for number in range(150):
            with open(os.path.join(notes, str(number)), encoding="utf-8", newline="") as file:
                expected = file.read()
            # A round whose edits cancel out sends nothing, so each text is the last one or a later one.
            try:
                position = texts.index(expected, max(0, position))
            except ValueError:
                self.fail(f"after round {number} the worker never had this text:\n{expected}")
        self.assertEqual(texts[-1], expected)


class Package(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="runabout-emacs-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def emacs(self, text, name="file.py", settings="", program=RUNABOUT, environment=None):
        """Opens a file with this text, in an Emacs that has nothing but the package."""
        self.file = os.path.join(self.folder, name)
        with open(self.file, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        # A copy, because the package would find a program that was built in its repository.
        package = os.path.join(self.folder, "package")
        if not os.path.exists(package):
            shutil.copytree(PACKAGE, package)
        init = os.path.join(self.folder, "init.el")
        with open(init, "w", encoding="utf-8") as file:
            file.write(f"""
(add-to-list 'load-path {lisp(package)})
(require 'runabout)
(setq runabout-program {lisp(program)} runabout-model {lisp(MODEL)} runabout-arguments '("--offline")
      runabout-min-confidence 0 make-backup-files nil auto-save-default nil create-lockfiles nil
      python-indent-guess-indent-offset nil electric-indent-mode nil inhibit-startup-screen t
      confirm-kill-processes nil require-final-newline nil mode-require-final-newline nil)
(set-face-attribute 'runabout-ghost nil :inherit nil :foreground "#808080")
(set-face-attribute 'runabout-added nil :inherit nil :background 'unspecified :foreground "#ff8700")
(set-face-attribute 'runabout-removed nil :inherit nil :background 'unspecified :foreground "#ff5f5f")
(prefer-coding-system 'utf-8)
{settings}
(runabout-global-mode)
""")
        terminal = Terminal(
            ["emacs", "-nw", "-Q", "-l", init, self.file], {**os.environ, "LANG": "C.UTF-8", **(environment or {})})
        self.addCleanup(terminal.close)
        self.terminal = terminal
        terminal.wait("the mode", "Runabout")
        terminal.settle()
        return terminal

    def ghost(self):
        """Waits for a suggestion and returns its lines, of which more may come for a while."""
        self.terminal.wait("ghost text", lambda terminal: terminal.ghost(GREY))
        self.terminal.settle(0.6)
        return self.terminal.ghost(GREY)

    def written(self):
        """Writes the file, and returns what is in it."""
        self.terminal.send("\x18\x13")
        self.terminal.settle()
        with open(self.file, encoding="utf-8", newline="") as file:
            return file.read()

    def command(self, command):
        self.terminal.send(ESCAPE + "x")
        self.terminal.settle()
        self.terminal.send(command + "\r")
        self.terminal.settle()

    def evaluate(self, expression):
        """The value of a Lisp expression, printed."""
        path = os.path.join(self.folder, "value")
        self.terminal.send(ESCAPE + ":")
        self.terminal.settle()
        self.terminal.send(f'(with-temp-file {lisp(path)} (princ {expression} (current-buffer)))\r')
        self.terminal.settle()
        with open(path, encoding="utf-8") as file:
            return file.read()

    def messages(self):
        """The package's messages and warnings."""
        text = self.evaluate('(mapconcat (lambda (name) (if (get-buffer name) (with-current-buffer name (buffer-string)) ""))'
                             ' (list "*Messages*" "*Warnings*") (string 10))')
        return [line for line in text.splitlines() if re.search("^runabout:|jsonrpc|^Warning", line)]

    def worker(self):
        """The process id of the worker: Emacs may also run processes that compile Lisp."""
        found = []

        def running(_):
            result = subprocess.run(["pgrep", "-P", str(self.terminal.process.pid), "-f", "lsp --model"], capture_output=True, text=True, check=False)
            found[:] = result.stdout.split()
            return bool(found)

        self.terminal.wait("a worker process", running)
        return int(found[0])

    # Suggestions

    def test_a_suggestion_is_shown_and_accepted_as_it_was_shown(self):
        self.emacs(FUNCTIONS)
        self.terminal.send(END)
        self.terminal.type("    ret")
        shown = "\n".join(self.ghost())
        self.terminal.send(TAB)
        self.terminal.settle()
        self.assertEqual(self.written(), f"{FUNCTIONS}    ret{shown}")

    def test_the_cursor_is_drawn_before_the_suggestion(self):
        self.emacs(FUNCTIONS)
        self.terminal.send(END)
        self.terminal.type("    ret")
        self.ghost()
        self.assertEqual(self.terminal.screen.cursor.x, len("    ret"))

    def test_the_cursor_is_drawn_before_a_suggestion_that_begins_with_a_line_break(self):
        self.emacs(LONG)
        self.terminal.send(END)
        self.terminal.send("def mean_of_ages(ages):")
        self.ghost()
        cursor = self.terminal.screen.cursor
        self.assertEqual(cursor.x, len("def mean_of_ages(ages):"))
        self.assertEqual(self.terminal.rows()[cursor.y], "def mean_of_ages(ages):")

    def test_an_accepted_suggestion_is_undone_at_once(self):
        self.emacs(FUNCTIONS)
        self.terminal.send(END)
        self.terminal.type("    ret")
        self.ghost()
        self.terminal.send(TAB)
        self.terminal.settle()
        self.terminal.send(UNDO)
        self.terminal.settle()
        self.assertEqual(self.written(), FUNCTIONS + "    ret")

    def test_a_word_is_accepted_and_the_rest_stays(self):
        self.emacs(FUNCTIONS)
        self.terminal.send(END)
        self.terminal.type("    ret")
        shown = self.ghost()[0]
        self.terminal.send(WORD)
        self.terminal.settle()
        rest = self.ghost()[0]
        word = re.match(r"\s*(\w+|[^\w\s]+)", shown).group(0)
        self.assertEqual(rest.strip(), shown[len(word) :].strip())
        self.assertEqual(self.written(), f"{FUNCTIONS}    ret{word}")

    def test_a_line_is_accepted_and_the_next_one_stays(self):
        text = FUNCTIONS.replace("def mul(a, b):\n", "")
        self.emacs(text)
        self.terminal.send(END)
        self.terminal.type("def mul")
        lines = self.ghost()
        self.assertGreater(len(lines), 1, "the suggestion has only one line")
        self.terminal.send(LINE)
        self.terminal.settle()
        self.assertEqual(self.ghost()[0].strip(), lines[1].strip())
        self.assertEqual(self.written(), text + "def mul" + lines[0])

    def test_a_suggestion_of_several_lines_appears_line_by_line(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(LONG, program=recorder.path)
        self.terminal.send(END)
        self.terminal.send("def mean_of_ages(ages):")
        shown = "\n".join(self.ghost())
        *_, item = [params["item"] for params in recorder.sent("textDocument/didShowCompletion")]
        self.assertTrue(shown.startswith(item["insertText"].lstrip("\n")), (shown, item))
        self.assertLess(len(item["insertText"]), len(shown))

    def test_a_suggestion_stays_while_what_is_typed_agrees_with_it(self):
        self.emacs(FUNCTIONS)
        self.terminal.send(END)
        self.terminal.type("    ret")
        shown = self.ghost()[0]
        self.terminal.type(shown[0])
        self.assertEqual(self.ghost()[0], shown[1:])

    def test_a_suggestion_goes_when_something_else_is_typed_or_deleted(self):
        for key in ("#", "\x7f", "\x02"):
            with self.subTest(key=key):
                self.emacs(FUNCTIONS, settings="(setq runabout-automatic nil)")
                self.terminal.send(END)
                self.terminal.type("    ret")
                self.command("runabout-suggest")
                self.ghost()
                self.terminal.send(key)
                self.terminal.settle()
                self.assertEqual(self.terminal.ghost(GREY), [])

    def test_alternatives_are_shown_in_turn(self):
        self.emacs("# Names of colours\ncolours = [\n", settings="(setq runabout-alternatives 4)")
        self.terminal.send(END)
        self.terminal.type("    ")
        self.command("runabout-next")
        self.terminal.wait("a number of alternatives", lambda terminal: re.search(r"Runabout:\d/[2-4]", terminal.text()))
        place = re.search(r"Runabout:\d/\d", self.terminal.text()).group(0)
        first = self.ghost()
        self.terminal.send(NEXT)
        self.terminal.wait("another place", lambda terminal: place not in terminal.text())
        self.assertNotEqual(self.ghost(), first)
        self.terminal.send(PREVIOUS)
        self.terminal.wait("the place before", place)
        self.assertEqual(self.ghost(), first)

    def test_a_dismissed_suggestion_is_gone_and_reported(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(FUNCTIONS, program=recorder.path)
        self.terminal.send(END)
        self.terminal.type("    ret")
        self.ghost()
        self.terminal.send(QUIT)
        self.terminal.settle()
        self.assertEqual(self.terminal.ghost(GREY), [])
        commands = [params["command"] for params in recorder.sent("workspace/executeCommand")]
        self.assertIn("runabout.reject", commands)

    def test_what_is_shown_and_accepted_is_reported(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(FUNCTIONS, program=recorder.path)
        self.terminal.send(END)
        self.terminal.type("    ret")
        shown = self.ghost()[0]
        self.terminal.send(WORD)
        self.terminal.settle()
        self.ghost()
        self.terminal.send(TAB)
        self.terminal.settle()
        self.assertTrue(recorder.sent("textDocument/didShowCompletion"))
        partial = recorder.sent("textDocument/didPartiallyAcceptCompletion")[0]
        word = re.match(r"\s*(\w+|[^\w\s]+)", shown).group(0)
        accepted = partial["item"]["insertText"][: partial["acceptedLength"]]
        self.assertTrue(accepted.endswith(word.strip()), (accepted, word))
        commands = [params["command"] for params in recorder.sent("workspace/executeCommand")]
        self.assertIn("runabout.accept", commands)

    def test_suggestions_can_be_switched_off_and_asked_for(self):
        self.emacs(FUNCTIONS)
        self.command("runabout-toggle")
        self.terminal.send(END)
        self.terminal.type("    ret")
        self.terminal.wait("that it is off", "Runabout:off")
        self.assertEqual(self.terminal.ghost(GREY), [])
        self.command("runabout-suggest")
        self.ghost()

    def test_why_says_why_nothing_was_suggested(self):
        self.emacs(FUNCTIONS, settings="(setq runabout-languages (list (cons \"python\" nil)))")
        self.terminal.send(END)
        self.terminal.type("zq x")
        self.terminal.wait("that the model is ready", lambda terminal: "Runabout:" not in terminal.text())
        self.terminal.type("y")
        self.terminal.settle()
        self.command("runabout-why")
        self.terminal.wait("a reason", lambda terminal: re.search("switched off|disabled", terminal.text()))

    # The next edit. The default model was not made for edits, so what it predicts is always an insertion at the last edit.
    # What models made for edits answer is handed to the package as the worker would hand it over.

    def next_edit(self):
        """Begins a line at the end of a file, goes to the top of it, and asks."""
        self.emacs(VOLUME, settings='(setq runabout-model "qwen2.5-coder-0.5b")')
        self.terminal.send(END)
        self.terminal.type("    return ")
        # So the model is ready.
        self.ghost()
        self.terminal.send(TOP)
        self.terminal.settle()
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the place of the edit", "# Note 1. ↓ next edit in line 46")

    def edits(self, *edits):
        """Hands over edits as the worker would: `(line, character, end line, end character, text)`."""
        listed = " ".join(f"'(:range (:start (:line {it[0]} :character {it[1]}) :end (:line {it[2]} :character {it[3]})) "
                          f":newText {lisp(it[4]).replace(chr(13), chr(92) + 'r').replace(chr(10), chr(92) + 'n')})" for it in edits)
        script = os.path.join(self.folder, "offer.el")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f'(with-current-buffer "file.py" (runabout-next-edit-offer (vector {listed})))')
        self.evaluate(f"(load {lisp(script)} nil t)")

    def test_the_next_edit_is_shown_where_it_is_gone_to_applied_and_undone(self):
        self.next_edit()
        self.assertEqual(self.terminal.ghost(ADDED), [])
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("what is added", lambda terminal: terminal.ghost(ADDED))
        self.terminal.settle()
        self.assertNotIn("next edit in line", self.terminal.text())
        added = "\n".join(self.terminal.ghost(ADDED))
        self.assertEqual(self.written(), VOLUME + "    return ", "it was applied too early")
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("it to go", lambda terminal: not terminal.ghost(ADDED))
        self.assertEqual(self.written(), VOLUME + "    return " + added)
        self.terminal.send(UNDO)
        self.terminal.settle()
        self.assertEqual(self.written(), VOLUME + "    return ")
        self.assertEqual(self.messages(), [])

    def test_the_key_that_accepts_also_goes_to_the_next_edit_and_applies_it(self):
        self.next_edit()
        self.terminal.send(TAB)
        self.terminal.wait("what is added", lambda terminal: terminal.ghost(ADDED))
        self.terminal.settle()
        added = "\n".join(self.terminal.ghost(ADDED))
        self.terminal.send(TAB)
        self.terminal.wait("it to go", lambda terminal: not terminal.ghost(ADDED))
        self.terminal.type("#")
        self.assertEqual(self.written(), VOLUME + "    return " + added + "#")

    def test_the_next_edit_is_dismissed_and_goes_when_the_text_changes(self):
        self.next_edit()
        self.terminal.send(QUIT)
        self.terminal.wait("it to go", lambda terminal: "next edit in line" not in terminal.text())
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("it once more", "next edit in line")
        self.terminal.send("x")
        self.terminal.wait("it to go", lambda terminal: "next edit in line" not in terminal.text())
        self.assertEqual(self.messages(), [])

    def test_a_next_edit_for_another_text_is_neither_shown_nor_applied(self):
        self.next_edit()
        # By no command, so that nothing looks at it.
        self.evaluate('(run-with-timer 0.5 nil (lambda () (with-current-buffer "file.py" (goto-char 1) (insert "!"))))')
        self.terminal.wait("the change", "!# Note 1.")
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the refusal", "has changed since")
        # The change follows the question at once.
        self.terminal.send(NEXT_EDIT + "x")
        self.terminal.wait("the change", "!x# Note 1.")
        self.terminal.settle(2)
        self.assertNotIn("next edit in line", self.terminal.text())
        self.assertEqual(self.written(), "!x" + VOLUME + "    return ")

    def test_the_next_edit_comes_by_itself_where_that_is_wanted(self):
        # Nothing is sure enough to be suggested, and that goes for the next edit, too; what is asked for comes all the same.
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(VOLUME, program=recorder.path, settings='(setq runabout-model "qwen2.5-coder-0.5b" '
                   'runabout-next-edit (quote automatic) runabout-min-confidence 1.0)')
        self.terminal.send(END)
        self.terminal.type("    return ")
        self.terminal.wait("a request", lambda _: any(
            it["command"] == "runabout.nextEdit" for it in recorder.sent("workspace/executeCommand")))
        asked = recorder.sent("workspace/executeCommand")[-1]["arguments"][0]
        self.assertEqual(asked["context"], {"triggerKind": 2})
        self.assertEqual(asked["position"], {"line": 45, "character": 11})

    def test_a_model_that_cannot_predict_edits_is_named(self):
        self.emacs(FUNCTIONS)
        self.terminal.send("x")
        self.ghost()
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the words", "The model cannot predict edits")

    def test_next_edits_can_be_switched_off(self):
        self.emacs(FUNCTIONS, settings="(setq runabout-next-edit 'off)")
        self.terminal.send(NEXT_EDIT)
        self.terminal.wait("the words", "next edits are switched off")

    def test_edits_of_several_places_are_drawn_and_applied_together(self):
        text = SHAPES.replace("print", "print('é😀') or print")
        self.emacs(text, settings="(setq runabout-automatic nil)")
        self.edits((0, 9, 0, 14, "w"), (1, 11, 1, 16, "w"), (4, 27, 4, 28, "20"))
        self.assertEqual(self.terminal.ghost(REMOVED), ["width", "width", "2"])
        self.assertEqual(self.terminal.ghost(ADDED), ["w", "w", "20"])
        self.terminal.send(NEXT_EDIT)
        self.terminal.settle()
        self.assertEqual(self.written(), text.replace("width", "w").replace("area(2", "area(20"))
        self.terminal.send(UNDO)
        self.terminal.settle()
        self.assertEqual(self.written(), text)

    def test_whole_lines_of_the_next_edit_are_drawn_where_they_would_be(self):
        self.emacs(SHAPES.replace("\n", "\r\n"), settings="(setq runabout-automatic nil)")
        self.edits((1, 0, 1, 0, "    # Both in metres.\r\n\r\n"), (3, 0, 4, 0, ""), (5, 0, 5, 0, "print()\r\n"))
        top = self.terminal.rows().index("def area(width, height):")
        self.assertEqual(self.terminal.rows()[top : top + 8], [
            "def area(width, height):", "    # Both in metres.", "", "    return width * height", "", "",
            "print(area(2, 3))", "print()"])
        # The first change is in the line below the cursor's.
        self.terminal.send(NEXT_EDIT)
        self.terminal.settle()
        self.terminal.send(NEXT_EDIT)
        self.terminal.settle()
        after = SHAPES.replace("    return", "    # Both in metres.\n\n    return").replace("\n\n\nprint", "\n\nprint") + "print()\n"
        self.assertEqual(self.written(), after.replace("\n", "\r\n"))

    # Files

    def test_a_file_with_crlf_keeps_its_line_ends(self):
        text = FUNCTIONS.replace("def mul(a, b):\n", "").replace("\n", "\r\n")
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(text, program=recorder.path)
        self.terminal.send(END)
        self.terminal.type("def mul")
        shown = self.ghost()
        self.assertGreater(len(shown), 1, "the suggestion has only one line")
        self.terminal.send(TAB)
        self.terminal.settle()
        written = self.written()
        self.assertEqual(written, text + "def mul" + "\r\n".join(shown))
        self.assertEqual(recorder.document(), written)

    def test_characters_outside_ascii_before_the_cursor_do_not_shift_the_position(self):
        line = 'naïve = check("😀 é", "naïve 😀")\n'
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(line * 4, program=recorder.path)
        self.terminal.send(END)
        self.terminal.type('naïve = check("😀 é", "na')
        self.ghost()
        self.terminal.send(TAB)
        self.terminal.settle()
        written = self.written()
        self.assertTrue(written.startswith(line * 4 + line.rstrip()), written)
        self.assertEqual(recorder.document(), written)
        asked = recorder.sent("textDocument/inlineCompletion")
        self.assertIn(len('naïve = check("😀 é", "na'.encode()), [it["position"]["character"] for it in asked])

    def test_the_worker_hears_that_a_file_was_saved(self):
        recorder = Recorder(self.folder, RUNABOUT)
        self.emacs(FUNCTIONS, program=recorder.path, settings="(setq runabout-automatic nil)")
        self.terminal.type("x")
        self.terminal.wait("the worker", "Runabout:off")
        self.terminal.send("\x0b")
        written = self.written()
        self.terminal.wait("the message", lambda _: recorder.sent("textDocument/didSave"))
        self.assertEqual(recorder.document(), written)

    # The chat

    def ask(self):
        """Asks about the first two lines, and returns the code of the answer when the chat has it."""
        seen = set()

        def answered(terminal):
            answer = re.split(r"(?m)\|Runabout\s*$", terminal.text())[-1]
            seen.add(answer)
            return answer.count("```") > 1

        self.terminal.send(ESCAPE + "<\x00\x1b[B\x1b[B")
        self.terminal.settle()
        self.command("runabout-chat")
        self.terminal.send(QUESTION + "\r")
        self.terminal.wait("an answer", lambda terminal: re.search(r"(?m)\|Runabout\s*$", terminal.text()))
        self.terminal.wait("a code block", answered)
        self.assertGreater(len(seen), 3, "the answer was not streamed")
        # What may follow the code is not needed.
        self.command("runabout-chat-stop")
        chat = self.evaluate('(with-current-buffer "*runabout chat*" (buffer-substring-no-properties 1 (point-max)))')
        return re.findall(r"```\w*\n(.*?\n)```", chat.rpartition("\nRunabout\n")[2], re.DOTALL)[-1]

    def test_an_answer_is_streamed_and_its_code_replaces_the_region(self):
        text = "def add(a, b):\n    return a - b\n\nprint(add(1, 2))\n"
        self.emacs(text, settings=GREEDY)
        code = self.ask()
        self.command("runabout-chat-apply")
        self.terminal.wait("the replacement", "the region is replaced")
        self.assertEqual(self.written(), code + "\nprint(add(1, 2))\n")
        self.terminal.send(UNDO)
        self.assertEqual(self.written(), text)

    def test_nothing_is_replaced_if_the_region_has_changed(self):
        self.emacs("def add(a, b):\n    return a - b\n", settings=GREEDY)
        self.ask()
        self.terminal.send(ESCAPE + "<\x04")
        self.command("runabout-chat-apply")
        self.terminal.wait("the reason", "nothing was replaced")
        self.assertEqual(self.written(), "ef add(a, b):\n    return a - b\n")

    # The worker's process

    def test_a_worker_that_is_killed_comes_back_with_one_message(self):
        self.emacs(FUNCTIONS)
        self.terminal.send(END)
        self.terminal.type("    ret")
        self.ghost()
        first = self.worker()
        self.terminal.send(NEXT + "u")
        os.kill(first, signal.SIGKILL)
        self.terminal.type("rn")
        self.terminal.wait("that the editor is usable", "    return")
        self.terminal.wait("that it is started again", "Runabout:restarting")
        self.terminal.wait("that it is back", lambda terminal: "Runabout " in terminal.text())
        self.assertNotEqual(self.worker(), first)
        self.terminal.type(" a")
        self.ghost()
        self.assertEqual(self.messages(), ["runabout: the worker ended unexpectedly and is started again"])

    def test_an_absent_program_is_reported_once_and_emacs_is_usable(self):
        self.emacs(FUNCTIONS, program="/nowhere/runabout")
        self.terminal.send(END)
        self.terminal.type("    return")
        self.terminal.wait("the state", "Runabout:not found")
        self.terminal.type("x")
        self.terminal.settle()
        self.assertTrue(self.written().endswith("    returnx"), self.written())
        self.assertEqual(len(self.messages()), 1)
        self.assertIn("/nowhere/runabout", self.messages()[0])

    def test_it_says_how_to_get_a_program_that_is_in_none_of_the_places(self):
        self.emacs(FUNCTIONS, settings="(setq runabout-program nil exec-path nil)", environment={"HOME": self.folder})
        self.terminal.send(END)
        self.terminal.type("    ")
        # Emacs breaks lines with a backslash.
        self.terminal.wait("how to get it", lambda terminal: "cargo build --release" in terminal.text().replace("\\\n", ""))

    def test_the_program_is_found_where_cargo_puts_it(self):
        os.makedirs(os.path.join(self.folder, ".cargo/bin"))
        home = os.environ["HOME"]
        with open(os.path.join(self.folder, ".cargo/bin/runabout"), "w") as file:
            file.write(f'#!/bin/sh\nHOME={home} exec {RUNABOUT} "$@"\n')
        os.chmod(file.name, 0o755)
        self.emacs(FUNCTIONS, settings='(setq runabout-program nil exec-path (list "/usr/bin" "/bin"))',
                   environment={"HOME": self.folder})
        self.terminal.send(END)
        self.terminal.type("    ret")
        self.ghost()

    def test_a_model_that_is_not_there_is_reported(self):
        self.emacs(FUNCTIONS, settings='(setq runabout-model "/nowhere/model")')
        self.terminal.send(END)
        self.terminal.type("x")
        self.terminal.wait("the state", "Runabout:no model")
        self.terminal.type("y")
        self.assertTrue(self.written().endswith("xy"))
        self.assertEqual(len(self.messages()), 1)
        self.command("runabout-why")
        self.terminal.wait("which model", "/nowhere/model")

    def test_a_wrong_option_is_reported_with_the_words_of_the_program(self):
        self.emacs(FUNCTIONS, settings='(setq runabout-arguments (list "--no-such-option"))')
        self.terminal.send(END)
        self.terminal.type("x")
        self.terminal.wait("the state", "Runabout:failed")
        messages = self.messages()
        self.assertEqual(len(messages), 1, messages)
        self.assertIn("--no-such-option", messages[0])


def lisp(text):
    """A text as Lisp reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    if not shutil.which("emacs"):
        sys.exit("Emacs is not installed: the tests of editors/emacs need the program `emacs`, version 28.1 or later")
    version = subprocess.run(["emacs", "-Q", "--batch", "--eval", "(princ emacs-version)"],
                             capture_output=True, text=True, check=False).stdout
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < (28, 1):
        sys.exit(f"this Emacs is too old: the package needs 28.1 or later, and this is {version}")
    unittest.main(verbosity=2)
