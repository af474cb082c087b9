"""Ghost text on the screen of a real Neovim: shown, kept, accepted, replaced by an alternative, dismissed.

The model is a real one, so the tests do not say what it writes, but how what is inserted relates to what was shown.
The files repeat a pattern, so that any model has something to say.
"""

import re
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


# The same, up to the head of the last function, whose colon opens a block.
OPEN = PATTERN.removesuffix(":\n")


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
        editor.type("Go")
        editor.type(typed, pause=0.03)
        editor.wait_ghost()
        editor.settle()
        return editor.ghost()

    def begin_block(self, editor):
        """Types the colon behind the last function's head, and returns the ghost text: lines of its body."""
        editor.type("GA:")
        editor.wait(lambda: "\n" in editor.ghost(), "ghost text of several lines")
        editor.settle()
        return editor.ghost()

    def test_tab_inserts_what_is_shown(self):
        editor = self.editor()
        before = len(editor.lines())
        ghost = self.begin(editor)
        first = ghost.split("\n")[0]
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before] == "    result" + first, "the text")
        self.assertEqual("\n".join(editor.lines()[before:]), "    result" + ghost)
        self.assertEqual(editor.cursor(), (len(editor.lines()), len(editor.lines()[-1])))
        editor.settle(0.1)
        self.assertNotIn(first, editor.ghost())

    def test_text_of_several_lines_stands_below_the_cursor(self):
        editor = self.editor(OPEN)
        before = len(editor.lines())
        ghost = self.begin_block(editor)
        # The text begins with a line break, so its first line is below the one with the cursor.
        self.assertEqual(editor.rows()[before - 1:][:1 + ghost.count("\n") + 1],
                         [editor.lines()[-1], *ghost.split("\n")])
        editor.type("<Tab>")
        editor.wait(lambda: len(editor.lines()) > before, "the lines")
        self.assertEqual(editor.lines()[before:], ghost.split("\n"))
        self.assertEqual(editor.cursor(), (len(editor.lines()), len(editor.lines()[-1])))

    def test_long_lines_below_the_cursor_are_wrapped_and_not_cut_off(self):
        text = OPEN.replace("result", "a_name_that_is_much_longer_than_the_window")
        editor = self.editor(text, columns=40)
        ghost = self.begin_block(editor)
        self.assertTrue(any(len(row) == 40 for row in ghost.split("\n")), ghost)
        editor.type("<Tab>")
        editor.wait(lambda: len(editor.lines()) > len(text.splitlines()), "the lines")
        self.assertEqual("".join(editor.lines()[len(text.splitlines()):]), ghost.replace("\n", ""))

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
        editor = self.editor(OPEN)
        before = len(editor.lines())
        first, rest = self.begin_block(editor).split("\n", 1)
        editor.type("<M-C-Right>")
        editor.wait(lambda: editor.lines()[before:] == [first], "one line")
        editor.wait(lambda: editor.ghost() == rest, "the rest to stay")

    def test_what_is_shown_stays_across_a_line_break_with_indentation(self):
        editor = self.editor(OPEN, after="vim.o.autoindent = true vim.cmd('filetype indent on')")
        ghost = self.begin_block(editor)
        editor.lua("vim.g.runabout_enabled = false")
        editor.type("<CR>")
        editor.wait(lambda: editor.lines()[-1] == "    ", "the indentation")
        editor.wait(lambda: editor.ghost() == ghost.removeprefix("    "), "the rest to stay")

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

    def number(self, editor):
        """The number of the alternative on the screen, and how many there are."""
        found = re.search(r"  (\d)/(\d)", "\n".join(editor.rows()))
        return (int(found[1]), int(found[2])) if found else None

    def test_alternatives_are_numbered_differ_and_go_round(self):
        editor = self.editor()
        self.begin(editor, "    value = ")
        editor.type("<M-]>")
        editor.wait(lambda: self.number(editor), "several alternatives")
        editor.settle(1)
        first, count = self.number(editor)
        self.assertGreater(count, 1)
        texts = set()
        for step in range(count):
            texts.add(re.sub(r"  \d/\d", "", editor.ghost()))
            editor.type("<M-]>")
            editor.wait(lambda: self.number(editor) == ((first + step) % count + 1, count), "the next one")
        self.assertEqual(len(texts), count)
        editor.type("<M-[>")
        editor.wait(lambda: self.number(editor) == ((first - 2) % count + 1, count), "the one before")

    def test_a_chosen_alternative_is_what_is_inserted(self):
        editor = self.editor()
        before = len(editor.lines())
        self.begin(editor, "    value = ")
        editor.type("<M-]>")
        editor.wait(lambda: self.number(editor), "several alternatives")
        editor.settle(1)
        editor.type("<M-]>")
        editor.settle()
        chosen = re.sub(r"  \d/\d", "", editor.ghost()).split("\n")[0]
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before] == "    value = " + chosen, "the text")

    def test_dismissed_text_goes_and_the_worker_counts_it(self):
        editor = self.editor()
        self.begin(editor)
        lines = editor.lines()
        editor.type("<C-]>")
        editor.wait_no_ghost()
        editor.settle()
        self.assertEqual(editor.ghost(), "")
        self.assertEqual(editor.lines(), lines)
        editor.type("<Esc>")
        self.assertEqual(editor.counted("dismissed"), 1)

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
        editor.command("let g:runabout_enabled = v:false")
        self.assertEqual(editor.lua("return vim.fn.maparg('<Tab>', 'i', false, true).buffer"), 0)

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
        editor.settle()
        editor.wait_ghost()
        entries = editor.lua("return vim.tbl_map(function(it) return it.word end, vim.fn.complete_info({'items'}).items)")
        first = editor.lines()[before:]
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines()[before:] != first, "the next entry")
        self.assertIn("\n".join(editor.lines()[before:]).strip(), entries + ["re"])

    def test_a_selected_entry_of_the_menu_is_continued(self):
        editor = self.editor(after="vim.o.completeopt = 'menuone,noinsert'")
        ghost = self.begin(editor, "    re")

        def entry():
            return editor.lua("""
                local info = vim.fn.complete_info({ "selected", "items" })
                return info.selected >= 0 and info.items[info.selected + 1].word or ""
            """)

        editor.type("<C-n>")
        editor.wait(entry, "a selected entry")
        # One that the model did not choose by itself.
        while ghost.startswith(entry()[2:]):
            editor.type("<Down>")
            editor.settle(0.2)
        self.assertTrue(entry().startswith("re"), entry())
        editor.wait(lambda: editor.ghost().startswith(entry()[2:]), f"ghost text that continues {entry()}")
        self.assertEqual(editor.lines()[-1], "    re")

    def test_lines_that_end_with_carriage_returns_keep_them(self):
        text = (OPEN + "\n").replace("\n", "\r\n").encode()
        editor = self.editor(text)
        ghost = self.begin_block(editor)
        editor.type("<M-C-Right>")
        editor.settle(0.2)
        editor.type("<Tab>")
        editor.settle(0.2)
        editor.command("write")
        editor.wait(lambda: editor.path.read_bytes() != text, "the file")
        expected = text[:-2] + b":\r\n" + ghost.replace("\n", "\r\n").encode()
        self.assertEqual(editor.path.read_bytes()[:len(expected)], expected)
        self.assertEqual(editor.path.read_bytes().count(b"\n"), editor.path.read_bytes().count(b"\r\n"))
        self.assertNotIn(b"\r\r", editor.path.read_bytes())

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
