"""Ghost text on the screen of a real Neovim: shown, kept, accepted, replaced by an alternative, dismissed.

The model is a real one, so the tests do not say what it writes, but how what is inserted relates to what was shown.
The files repeat a pattern, so that any model has something to say.
"""

import unittest

from editor import Editor, options_of

PATTERN = """\
def add_one(value):
    result = value + 1
    return result


def add_two(value):
    result = value + 2
    return result


def add_three(value):
"""


def everything(more=""):
    """Options with which nothing is held back for lack of confidence."""
    return options_of("smollm2-135m", "{ minConfidence = 0 }", more)


class GhostText(unittest.TestCase):
    def editor(self, text=PATTERN, **more):
        editor = Editor(text, options=more.pop("options", everything()), **more)
        self.addCleanup(editor.close)
        editor.wait_ready()
        return editor

    def begin(self, editor, typed="    result"):
        """Opens a line at the end of the file, types, and returns the ghost text once it stands still."""
        editor.type("Go" if not typed.startswith("^") else "GA")
        editor.type(typed.lstrip("^"), pause=0.03)
        editor.wait_ghost()
        editor.settle()
        return editor.ghost()

    def test_tab_inserts_what_is_shown(self):
        editor = self.editor()
        before = len(editor.lines())
        ghost = self.begin(editor)
        shown = editor.rows()
        editor.type("<Tab>")
        editor.wait(lambda: ghost.split("\n")[0].strip() in "\n".join(editor.lines()[before:]), "the text")
        inserted = "\n".join(editor.lines()[before:])
        self.assertEqual(inserted, "    result" + self.unindented(ghost, shown))
        row, column = editor.cursor()
        self.assertEqual((row, column), (len(editor.lines()), len(editor.lines()[-1])))

    def unindented(self, ghost, rows):
        """The ghost text with its later lines as they stand on the screen, with their indentation."""
        lines = ghost.split("\n")
        return "\n".join(lines[:1] + [next(row for row in rows if row.strip() == line.strip()) for line in lines[1:]])

    def test_text_of_several_lines_stands_below_the_cursor(self):
        editor = self.editor()
        before = len(editor.lines())
        editor.type("Go    ", pause=0.03)
        ghost = editor.wait(lambda: "\n" in editor.ghost() and editor.ghost(), "ghost text of several lines")
        editor.settle()
        ghost = editor.ghost()
        rows = editor.rows()
        first = next(i for i, row in enumerate(rows) if row.strip() == ghost.split("\n")[0].strip() and i >= before)
        for offset, line in enumerate(ghost.split("\n")):
            self.assertEqual(rows[first + offset].strip(), line.strip())
        editor.type("<Tab>")
        editor.wait(lambda: len(editor.lines()) > before + 1, "the lines")
        self.assertEqual([line.strip() for line in editor.lines()[before:] if line.strip()],
                         [line.strip() for line in ghost.split("\n")])

    def test_a_word_is_accepted_and_the_rest_stays(self):
        editor = self.editor()
        ghost = self.begin(editor)
        first = ghost.split("\n")[0]
        line = editor.lines()[-1]
        editor.type("<M-Right>")
        editor.wait(lambda: editor.lines()[-1] != line, "a word")
        word = editor.lines()[-1][len(line):]
        self.assertTrue(first.startswith(word), (first, word))
        self.assertLess(len(word), len(first))
        self.assertEqual(len(word.split()), 1)
        self.assertEqual(editor.cursor()[1], len(editor.lines()[-1]))
        editor.wait(lambda: editor.ghost().split("\n")[0] == first[len(word):], "the rest")

    def test_a_line_is_accepted_and_the_rest_stays(self):
        editor = self.editor()
        before = len(editor.lines())
        editor.type("Go    ", pause=0.03)
        editor.wait(lambda: "\n" in editor.ghost(), "ghost text of several lines")
        editor.settle()
        ghost = editor.ghost()
        editor.type("<M-C-Right>")
        first, second = ghost.split("\n")[:2]
        editor.wait(lambda: editor.lines()[before:] == ["    " + first], "one line")
        editor.wait(lambda: second.strip() in editor.ghost(), "the second line to stay ghost text")

    def test_typing_what_is_shown_keeps_it(self):
        editor = self.editor()
        ghost = self.begin(editor)
        # The worker must not be needed for this.
        editor.lua("vim.g.runabout_enabled = false")
        for typed in range(1, min(6, len(ghost.split("\n")[0]))):
            editor.type(ghost[typed - 1])
            editor.wait(lambda: editor.ghost() == ghost[typed:].rstrip(), f"what follows {ghost[:typed]!r}")

    def test_typing_something_else_removes_it(self):
        editor = self.editor()
        ghost = self.begin(editor)
        editor.lua("vim.g.runabout_enabled = false")
        editor.type("%" if ghost[0] != "%" else "&")
        editor.wait_no_ghost()
        editor.settle()
        self.assertEqual(editor.ghost(), "")

    def test_backspace_and_the_same_again_gets_it_back(self):
        editor = self.editor()
        self.begin(editor)
        editor.type("q<BS>", pause=0.05)
        editor.wait_ghost()

    def test_escape_removes_it_for_good(self):
        editor = self.editor()
        self.begin(editor)
        lines = editor.lines()
        editor.type("<Esc>")
        editor.wait_no_ghost()
        editor.settle()
        self.assertEqual(editor.ghost(), "")
        self.assertEqual(editor.lines(), lines)

    def test_undo_takes_an_accepted_suggestion_back_and_leaves_what_was_typed(self):
        editor = self.editor()
        before = len(editor.lines())
        self.begin(editor)
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before:] != ["    result"], "the text")
        editor.type("<Esc>u")
        editor.wait(lambda: editor.lines()[before:] == ["    result"], "the text to go")

    def test_alternatives_are_counted_and_go_round(self):
        editor = self.editor()
        self.begin(editor, "    value = ")
        editor.type("<M-]>")
        editor.wait(lambda: "2/" in editor.ghost() or "  2/" in "\n".join(editor.rows()), "the second of several")
        editor.settle()
        count = int(next(row for row in editor.rows() if "  2/" in row).split("  2/")[1][0])
        texts = set()
        for _ in range(count):
            texts.add(editor.ghost())
            editor.type("<M-]>")
            editor.settle(0.2)
        self.assertEqual(len(texts), count)
        self.assertIn("  2/", "\n".join(editor.rows()))
        editor.type("<M-[>")
        editor.wait(lambda: "  1/" in "\n".join(editor.rows()), "the one before")

    def test_dismissed_text_goes_and_the_worker_counts_it(self):
        editor = self.editor()
        self.begin(editor)
        lines = editor.lines()
        editor.type("<C-]>")
        editor.wait_no_ghost()
        editor.settle()
        self.assertEqual(editor.ghost(), "")
        self.assertEqual(editor.lines(), lines)

    def test_tab_is_a_tab_where_nothing_is_shown(self):
        editor = self.editor("", before="vim.g.runabout_enabled = false")
        editor.type("ix<Tab>y")
        editor.wait(lambda: editor.lines() == ["x   y"], "a tab in spaces")

    def test_a_mapping_of_tab_is_used_where_nothing_is_shown_and_is_there_again_after(self):
        editor = self.editor(before="vim.keymap.set('i', '<Tab>', function() return 'TAB' end, { expr = true })")
        before = len(editor.lines())
        self.begin(editor)
        editor.type("<C-]>")
        editor.wait_no_ghost()
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before:] == ["    resultTAB"], "the mapping")

    def test_keys_can_be_switched_off(self):
        editor = self.editor(options=everything("keys = false"))
        before = len(editor.lines())
        self.begin(editor)
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before:] != ["    result"], "the tab")
        self.assertEqual(editor.lines()[before:][0].strip(), "result")

    def test_a_menu_of_completions_keeps_tab(self):
        editor = self.editor(before="vim.keymap.set('i', '<Tab>', function() "
                                    "return vim.fn.pumvisible() == 1 and '<C-n>' or '<Tab>' end, { expr = true })")
        before = len(editor.lines())
        self.begin(editor, "    re")
        editor.type("<C-n>")
        editor.wait(lambda: editor.lua("return vim.fn.pumvisible()") == 1, "the menu")
        first = editor.lines()[before:]
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before:] != first, "the next entry")
        self.assertEqual(len(editor.lines()), before + 1)

    def test_lines_that_end_with_carriage_returns_keep_them(self):
        text = PATTERN.replace("\n", "\r\n")
        editor = self.editor(text)
        editor.type("Go    ", pause=0.03)
        editor.wait(lambda: "\n" in editor.ghost(), "ghost text of several lines")
        editor.settle()
        ghost = editor.ghost()
        editor.type("<M-C-Right><Tab>", pause=0.2)
        editor.command("write")
        editor.wait(lambda: editor.path.read_bytes() != text.encode(), "the file")
        written = editor.path.read_bytes()
        self.assertTrue(written.startswith(text.encode()))
        self.assertEqual(written.count(b"\n"), written.count(b"\r\n"))
        self.assertNotIn(b"\r\r", written)
        self.assertIn(ghost.split("\n")[0].encode(), written)

    def test_text_beyond_ascii_before_the_cursor_moves_nothing(self):
        text = 'names = ["é😀", "é😀", "é😀"]\nnames = ["é😀", "é😀", "é😀"]\nnames = ["é😀", '
        editor = self.editor(text)
        editor.type("GA")
        editor.type('"', pause=0.1)
        editor.wait_ghost()
        editor.settle()
        ghost = editor.ghost().split("\n")[0]
        row = next(row for row in editor.rows() if ghost in row and row.startswith("names"))
        line = editor.lines()[2]
        # A wide character takes two cells, the second of which is empty.
        self.assertTrue(row.replace(" ", "").startswith(line.replace(" ", "")), row)
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[2] != line, "the text")
        self.assertTrue(editor.lines()[2].startswith(line))
        self.assertEqual(editor.lines()[:2], text.split("\n")[:2])

    def test_a_disabled_buffer_gets_nothing_and_why_says_so(self):
        editor = self.editor()
        editor.command("Runabout disable buffer")
        editor.type("Go    result", pause=0.03)
        editor.settle()
        self.assertEqual(editor.ghost(), "")
        editor.command("Runabout why")
        editor.wait(lambda: any("switched off in this buffer" in text for text in editor.said()), "the reason")
        editor.command("Runabout enable buffer")
        editor.type("o    result", pause=0.03)
        editor.wait_ghost()
