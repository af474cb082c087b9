"""The conversation at the side of a real Neovim: it streams, and its code takes the selection's place."""

import unittest

from editor import Editor, options_of

FILE = """\
def double(x):
    return x + x


print(double(4))
"""


class Chat(unittest.TestCase):
    def editor(self, **more):
        # The most likely text, so that each run gets the same answer.
        editor = Editor(FILE, options=options_of("smollm2-135m", more="chat = { max_tokens = 120, temperature = 0 }"), **more)
        self.addCleanup(editor.close)
        editor.wait_ready()
        return editor

    def conversation(self, editor):
        return editor.lua("""
            local buffer = vim.fn.bufnr('runabout://chat')
            return buffer == -1 and {} or vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
        """)

    def answering(self, editor):
        return editor.lua("return require('runabout.chat').answering()")

    def test_an_answer_streams_into_the_side_window(self):
        editor = self.editor(rows=12)
        editor.type("1GVj")
        editor.type(":Runabout ask What does this function do?<CR>")
        lengths = set()

        def ended():
            lengths.add(len("\n".join(self.conversation(editor))))
            return not self.answering(editor)

        editor.wait(lambda: self.answering(editor), "the question to be sent")
        editor.wait(ended, "the end of the answer")
        self.assertGreater(len(lengths), 3)
        text = "\n".join(self.conversation(editor))
        self.assertIn("## You (lines 1 to 2 of trial.py)", text)
        answer = text.split("## Runabout")[1].strip()
        self.assertTrue(answer)
        # The window follows the text to its end.
        editor.wait(lambda: answer.split()[-1] in "\n".join(editor.rows()), "the last word on the screen")
        # The cursor stays in the code.
        self.assertEqual(editor.lua("return vim.fn.expand('%:t')"), "trial.py")

    def test_an_answer_can_be_stopped_and_what_there_is_stays(self):
        editor = self.editor()
        editor.command("Runabout ask Write a long story about a boat.")
        editor.wait(lambda: "\n".join(self.conversation(editor)).partition("## Runabout")[2].strip(), "some text")
        # Typing would give the model time to end by itself.
        editor.lua("vim.cmd('Runabout stop')")
        editor.wait(lambda: not self.answering(editor), "the end")
        self.assertIn("*Stopped.*", "\n".join(self.conversation(editor)))

    def test_code_of_an_answer_takes_the_selections_place_and_undo_brings_it_back(self):
        editor = self.editor()
        editor.type("1GVj")
        editor.type(":Runabout ask Write a function triple(x) as a Python code block.<CR>")
        editor.wait(lambda: self.answering(editor), "the question to be sent")
        editor.wait(lambda: not self.answering(editor), "the end of the answer")
        code = editor.lua("""
            local lines = vim.api.nvim_buf_get_lines(vim.fn.bufnr('runabout://chat'), 0, -1, false)
            return require('runabout.text').code_block(lines)
        """)
        self.assertTrue(code, "\n".join(self.conversation(editor)))
        editor.command("Runabout apply")
        editor.wait(lambda: any(text.startswith("runabout: replaced") for text in editor.said()), "the code")
        self.assertEqual([line.strip() for line in editor.lines()],
                         [line.strip() for line in code + FILE.splitlines()[2:]])
        editor.type("u")
        editor.wait(lambda: editor.lines() == FILE.splitlines(), "the old lines")

    def test_a_changed_selection_is_not_replaced_unless_told_to(self):
        editor = self.editor()
        editor.type("1GVj")
        editor.type(":Runabout ask Write a function triple(x) as a Python code block.<CR>")
        editor.wait(lambda: self.answering(editor), "the question to be sent")
        editor.wait(lambda: not self.answering(editor), "the end of the answer")
        editor.type("2GAx<Esc>")
        editor.command("Runabout apply")
        editor.wait(lambda: any("have changed since" in text for text in editor.said()), "the refusal")
        self.assertEqual(editor.lines()[1], "    return x + xx")
        editor.command("Runabout! apply")
        editor.wait(lambda: "    return x + xx" not in editor.lines(), "the code")
