"""The next edit on the screen of a real Neovim: shown where it is, gone to, applied, taken back, dismissed, outdated.

The default model was not made for edits, so what it predicts is always an insertion at the last edit. What models made for
edits answer is handed to the plugin as the worker would hand it over, to see it drawn and applied.
"""

import unittest

from editor import Editor, options_of

FILLER = "".join(f"# Note {number}.\n" for number in range(1, 41))
CODE = """\
def area(width, height):
    return width * height


def volume(width, height, depth):
"""
# The last row of the file once a line was begun below the code.
LAST = (FILLER + CODE).count("\n") + 1

SHAPES = """\
def area(width, height):
    return width * height


print(area(2, 3))
"""


def options(model="qwen2.5-coder-0.5b", more=""):
    return options_of(model, "{ enabled = false }", more)


class NextEdit(unittest.TestCase):
    def editor(self, text=FILLER + CODE, **more):
        editor = Editor(text, options=more.pop("options", options()), **more)
        self.addCleanup(editor.close)
        editor.wait_ready()
        return editor

    def begin(self, editor):
        """Begins a line at the end of the file, goes to the top of the file, and asks."""
        editor.type("Go    return <Esc>gg0")
        editor.type("<M-n>")
        editor.wait(lambda: f"↓ next edit in line {LAST}" in editor.rows()[0], "the place of the edit")

    def test_the_key_shows_where_it_is_goes_there_and_applies_it_and_undo_takes_it_back(self):
        editor = self.editor()
        self.begin(editor)
        before = editor.lines()
        self.assertEqual((editor.cursor(), editor.added()), ((1, 0), ""))
        editor.type("<M-n>")
        editor.wait(editor.added, "what is added")
        self.assertEqual((editor.cursor()[0], editor.lines()), (LAST, before))
        self.assertNotIn("next edit in line", "\n".join(editor.rows()))
        editor.type(":silent write<CR>")
        editor.settle()
        added = editor.added()
        self.assertTrue(added, "it did not stay while the file was written")
        editor.type("<M-n>")
        editor.wait(lambda: editor.lines() != before, "the edit")
        self.assertEqual("\n".join(editor.lines()), "\n".join(before) + added)
        self.assertEqual(editor.cursor()[0], len(editor.lines()))
        editor.wait(lambda: not editor.added(), "the preview to go")
        editor.type("u")
        editor.wait(lambda: editor.lines() == before, "the text of before")
        editor.type("<C-o>")
        editor.wait(lambda: editor.cursor()[0] == 1, "the place before the jump")

    def test_it_is_applied_in_insert_mode_by_the_key_that_accepts(self):
        editor = self.editor()
        editor.type("Go    return ")
        editor.type("<M-n>")
        editor.wait(editor.added, "what is added")
        editor.settle()
        added, before = editor.added(), editor.lines()
        editor.type("<Tab>")
        editor.wait(lambda: editor.lines() != before, "the edit")
        self.assertEqual("\n".join(editor.lines()), "\n".join(before) + added)
        self.assertEqual(editor.lua("return vim.fn.mode()"), "i")
        self.assertEqual(editor.cursor(), (len(editor.lines()), len(editor.lines()[-1])))
        editor.type("<Esc>u")
        editor.wait(lambda: editor.lines() == before, "only the edit to go")

    def test_escape_removes_it_and_so_does_another_change(self):
        editor = self.editor()
        self.begin(editor)
        editor.type("<Esc>")
        editor.wait(lambda: "next edit in line" not in editor.rows()[0], "it to go")
        self.assertEqual(editor.lua("return vim.fn.maparg('<Esc>', 'n')"), "")
        editor.type("<M-n>")
        editor.wait(lambda: "next edit in line" in editor.rows()[0], "it once more")
        editor.type("x")
        editor.wait(lambda: "next edit in line" not in "\n".join(editor.rows()), "it to go")
        self.assertEqual(editor.said(), [])

    def test_nothing_is_applied_to_a_text_that_has_changed(self):
        editor = self.editor()
        self.begin(editor)
        # Without the events that would have removed it.
        editor.lua("vim.o.eventignore = 'all' vim.api.nvim_buf_set_lines(0, 0, 1, false, { '# Changed.' })")
        lines = editor.lines()
        editor.type("<M-n>")
        editor.wait(lambda: any("has changed since" in text for text in editor.said()), "the refusal")
        self.assertEqual(editor.lines(), lines)
        editor.wait(lambda: "next edit in line" not in "\n".join(editor.rows()), "it to go")

    def test_an_answer_for_an_older_text_is_not_shown(self):
        editor = self.editor()
        editor.type("Go    return <Esc>gg0")
        # The change follows the question at once.
        editor.type("<M-n>x")
        editor.wait(lambda: editor.lines()[0] == " Note 1.", "the change")
        editor.settle(2)
        self.assertFalse(editor.lua("return require('runabout.next_edit').visible()"))

    def test_it_comes_by_itself_where_that_is_wanted(self):
        editor = self.editor(options=options_of("qwen2.5-coder-0.5b", "{ minConfidence = 0 }", "next_edit = 'automatic'"))
        editor.lua("vim.g.runabout_enabled = false")
        editor.type("Go    return ")
        editor.lua("vim.g.runabout_enabled = true")
        editor.type("<Esc>")
        editor.wait(editor.added, "what is added")
        self.assertEqual(editor.said(), [])

    def test_a_model_that_cannot_predict_edits_is_named(self):
        editor = self.editor(options=options("smollm2-135m"))
        editor.type("<M-n>")
        editor.wait(lambda: any("The model cannot predict edits" in text for text in editor.said()), "the words")

    def test_it_can_be_switched_off(self):
        editor = self.editor(options=options("smollm2-135m", "next_edit = 'off'"))
        self.assertEqual(editor.lua("return vim.fn.maparg('<M-n>', 'n')"), "")
        editor.command("Runabout next-edit")
        editor.wait(lambda: any("switched off" in text for text in editor.said()), "the words")

    def test_what_is_said_of_a_wrong_option_names_the_right_ones(self):
        editor = self.editor(options=options("smollm2-135m", "next_edit = 'sometimes'"))
        editor.wait(lambda: any("`next_edit` must be off, manual or automatic" in text for text in editor.said()), "the words")

    def offer(self, editor, *edits):
        """Hands over edits as the worker would: `(line, character, end line, end character, text)`."""
        editor.lua("""
            local edits = vim.tbl_map(function(it)
                return { range = { start = { line = it[1], character = it[2] },
                    ['end'] = { line = it[3], character = it[4] } }, newText = it[5] }
            end, ...)
            require('runabout.next_edit').offer(vim.api.nvim_get_current_buf(), vim.api.nvim_buf_get_changedtick(0), edits, 'utf-16')
        """, [list(edit) for edit in edits])
        editor.settle()

    def test_edits_of_several_places_are_drawn_and_applied_together(self):
        editor = self.editor(SHAPES.replace("print", "print('😀') or print"), options=options("smollm2-135m"))
        before = editor.lines()
        self.offer(editor, (0, 9, 0, 14, "w"), (1, 11, 1, 16, "w"), (4, 26, 4, 27, "20"))
        self.assertEqual((editor.removed(), editor.added()), ("width\nwidth\n2", "w\nw\n20"))
        self.assertEqual(editor.rows()[0], "def area(widthw, height):")
        editor.type("<M-n>")
        after = "\n".join(before).replace("width", "w").replace("area(2", "area(20").split("\n")
        editor.wait(lambda: editor.lines() == after, "the edits")
        self.assertEqual(editor.cursor(), (5, after[4].encode().index(b", 3")))
        editor.type("u")
        editor.wait(lambda: editor.lines() == before, "the text of before, in one step")

    def test_whole_lines_are_drawn_where_they_would_be(self):
        editor = self.editor(SHAPES, options=options("smollm2-135m"))
        self.offer(editor, (1, 0, 1, 0, "    # Both in metres.\n\n"), (3, 0, 4, 0, ""), (5, 0, 5, 0, "print()\n"))
        self.assertEqual(editor.rows()[:7], [
            "def area(width, height):", "    # Both in metres.", "", "    return width * height", "", "", "print(area(2, 3))"])
        self.assertEqual(editor.rows()[7], "print()")
        # The first change is in the line below the cursor's.
        editor.type("<M-n><M-n>")
        after = ["def area(width, height):", "    # Both in metres.", "", "    return width * height", "",
                 "print(area(2, 3))", "print()"]
        editor.wait(lambda: editor.lines() == after, "the edits")

    def test_the_last_lines_are_removed_and_replaced_without_an_empty_line_left(self):
        editor = self.editor(SHAPES, options=options("smollm2-135m"))
        self.offer(editor, (1, 0, 5, 0, ""))
        editor.type("<M-n><M-n>")
        editor.wait(lambda: editor.lines() == ["def area(width, height):"], "the lines to go")
        editor.type("u")
        editor.wait(lambda: editor.lines() == SHAPES.splitlines(), "the lines of before")
        self.offer(editor, (4, 0, 5, 0, "print(area(4, 5))\nprint()\n"))
        editor.type("<M-n><M-n>")
        editor.wait(lambda: editor.lines() == [*SHAPES.splitlines()[:4], "print(area(4, 5))", "print()"], "the lines")
        self.offer(editor, (4, 0, 6, 0, "\n"))
        editor.type("<M-n><M-n>")
        editor.wait(lambda: editor.lines() == [*SHAPES.splitlines()[:4], ""], "an empty line")

    def test_the_line_ends_of_a_file_stay(self):
        editor = self.editor(SHAPES.replace("\n", "\r\n"), options=options("smollm2-135m"))
        self.offer(editor, (0, 0, 0, 0, "# One.\r\n# Two.\r\n"))
        editor.type("<M-n>")
        editor.wait(lambda: editor.lines()[:3] == ["# One.", "# Two.", "def area(width, height):"], "the lines")


if __name__ == "__main__":
    unittest.main()
