"""The life of the worker seen from a real Neovim: found, missing, killed, restarted, asked about its state."""

import os
import signal
import unittest

from editor import WORKER, Editor, options_of
from ghost_text import PATTERN, everything


class Process(unittest.TestCase):
    def editor(self, text=PATTERN, **more):
        editor = Editor(text, **more)
        self.addCleanup(editor.close)
        return editor

    def test_a_killed_worker_is_back_after_one_message_and_the_editor_stays_usable(self):
        editor = self.editor(options=everything())
        editor.wait_ready()
        editor.type("Go    res", pause=0.03)
        first = editor.worker_pid()
        # Kill it while it computes: a request is on its way with each key.
        editor.type("u")
        os.kill(first, signal.SIGKILL)
        editor.type("lt")
        editor.wait(lambda: editor.lines()[-1].startswith("    result"), "the keys typed around the kill")
        editor.wait(lambda: editor.worker_pid() not in (None, first), "a new worker")
        editor.wait_ready()
        editor.type(" ", pause=0.05)
        editor.wait_ghost()
        self.assertEqual(len(editor.said()), 1, editor.said())
        self.assertIn("ended unexpectedly", editor.said()[0])
        # Nor did Neovim itself say anything.
        messages = editor.lua("return vim.split(vim.fn.execute('messages'), '\\n', { trimempty = true })")
        self.assertEqual(messages, editor.said())
        self.assertEqual(editor.lua("return vim.api.nvim_get_mode().mode"), "i")

    def test_a_chat_that_loses_its_worker_says_so_and_can_go_on(self):
        editor = self.editor(options=everything())
        editor.wait_ready()
        editor.command("Runabout ask Count from one to a hundred in words.")
        chat = "vim.api.nvim_buf_get_lines(vim.fn.bufnr('runabout://chat'), 0, -1, false)"
        editor.wait(lambda: editor.lua("return require('runabout.chat').answering()"), "the answer to begin")
        first = editor.worker_pid()
        os.kill(first, signal.SIGKILL)
        editor.wait(lambda: "*The worker ended" in "\n".join(editor.lua(f"return {chat}")), "the note")
        editor.wait(lambda: editor.worker_pid() not in (None, first), "a new worker")
        editor.wait_ready()
        editor.command("Runabout ask What is two plus two?")
        editor.wait(lambda: editor.lua("return require('runabout.chat').answering()"), "the answer to begin")
        editor.wait(lambda: not editor.lua("return require('runabout.chat').answering()"), "the answer to end")
        self.assertEqual(len(editor.said()), 1, editor.said())

    def test_a_worker_that_keeps_ending_is_left_alone_after_a_few_tries(self):
        editor = self.editor(options="{ command = { '/bin/sh', '-c', 'kill -9 $$' } }",
                             before="local defer = vim.defer_fn\n"
                                    "vim.defer_fn = function(f, ms) return defer(f, ms / 100) end")
        editor.wait(lambda: any("stays off" in text for text in editor.said()), "it to be given up")
        self.assertEqual(len(editor.said()), 2, editor.said())
        editor.type("Goabc")
        editor.wait(lambda: editor.lines()[-1] == "abc", "the keys")

    def test_a_worker_that_cannot_start_says_why_and_is_not_started_again(self):
        editor = self.editor(options=options_of("no-such-model"))
        editor.wait(editor.said, "the message")
        editor.settle(1)
        self.assertEqual(len(editor.said()), 1, editor.said())
        self.assertIn("could not start: `no-such-model`", editor.said()[0])
        editor.command("Runabout log")
        editor.wait(lambda: "hint: give a model folder" in "\n".join(editor.rows()), "all of what it wrote")

    def test_the_reason_is_whole_though_it_comes_in_pieces(self):
        script = "printf 'runabout: this is' >&2; sleep 0.3; echo ' why' >&2; exit 1"
        editor = self.editor(options=f'{{ command = {{ "/bin/sh", "-c", "{script}" }} }}')
        editor.wait(editor.said, "the message")
        self.assertIn("could not start: this is why", editor.said()[0])

    def test_neovims_own_inline_completion_adds_no_second_ghost_text(self):
        editor = self.editor(options=everything(),
                             before="if vim.lsp.inline_completion then vim.lsp.inline_completion.enable() end")
        editor.wait_ready()
        editor.type("Go    result", pause=0.03)
        editor.wait_ghost()
        # Neovim's own would come 200 ms after the last key.
        editor.settle(1)
        marks = editor.lua("""
            local found = {}
            for name, id in pairs(vim.api.nvim_get_namespaces()) do
                if name:find("inline_completion") then
                    vim.list_extend(found, vim.api.nvim_buf_get_extmarks(0, id, 0, -1, {}))
                end
            end
            return found
        """)
        self.assertEqual(marks, [])

    def test_a_missing_program_is_said_once_and_health_tells_how_to_get_it(self):
        editor = self.editor(options="{ command = '/nowhere/runabout' }")
        editor.wait(editor.said, "the message")
        editor.type("Goabc<Esc>")
        editor.wait(lambda: editor.lines()[-1] == "abc", "the keys")
        self.assertEqual(len(editor.said()), 1, editor.said())
        self.assertIn(":checkhealth runabout", editor.said()[0])
        editor.command("checkhealth runabout")
        editor.wait(lambda: "cargo build --release" in " ".join(" ".join(editor.rows()).split()), "the advice")

    def test_the_program_is_found_in_the_path(self):
        folder = os.path.dirname(os.path.realpath(WORKER))
        name = os.path.basename(os.path.realpath(WORKER))
        found = self.editor(options="{ autostart = false }",
                            before="local at = vim.fn.tempname() vim.fn.mkdir(at)"
                                   f" vim.uv.fs_symlink({folder + '/' + name!r}, at .. '/runabout')"
                                   " vim.env.PATH = at .. ':' .. vim.env.PATH")
        self.assertTrue(found.lua("return require('runabout.program').find()[1]").endswith("/runabout"))

    def test_health_and_status_know_the_worker(self):
        editor = self.editor(options=everything())
        editor.wait_ready()
        editor.command("Runabout status")
        editor.wait(lambda: "ready: smollm2-135m" in "\n".join(editor.rows()), "the state")
        editor.type("l")
        editor.command("checkhealth runabout")
        editor.wait(lambda: "worker: ready" in "\n".join(editor.rows()), "the report")
        self.assertNotIn("ERROR", "\n".join(editor.rows()))

    def test_the_statusline_follows_the_worker(self):
        editor = self.editor(options=everything(),
                             after="vim.o.laststatus = 2 vim.o.statusline = \"[%{v:lua.require'runabout'.statusline()}]\"")
        editor.wait_ready()
        editor.wait(lambda: "[runabout]" in "\n".join(editor.rows()), "the name")
        editor.command("Runabout disable")
        editor.wait(lambda: "[runabout: off]" in "\n".join(editor.rows()), "that it is off")

    def test_a_restart_gives_a_new_worker_that_knows_the_file(self):
        editor = self.editor(options=everything())
        editor.wait_ready()
        first = editor.worker_pid()
        editor.command("Runabout restart")
        editor.wait(lambda: editor.worker_pid() not in (None, first), "a new worker")
        editor.wait_ready()
        editor.type("Go    result", pause=0.03)
        editor.wait_ghost()
        self.assertEqual(editor.said(), [])

    def test_why_tells_the_workers_reason(self):
        editor = self.editor(options=options_of("smollm2-135m", "{ languages = { python = false } }"))
        editor.wait_ready()
        editor.type("Go    result", pause=0.03)
        editor.wait(lambda: editor.lua("return (require('runabout.state').current.last or {}).reason") == "disabled",
                    "the reason")
        editor.settle()
        self.assertEqual(editor.ghost(), "")
        editor.command("Runabout why")
        editor.wait(lambda: any("nothing was suggested" in text for text in editor.said()), "the words")
        # What the person asks for comes all the same.
        editor.type("A<M-]>", pause=0.1)
        editor.wait_ghost()

    def test_what_was_shown_and_accepted_is_counted(self):
        editor = self.editor(options=everything())
        editor.wait_ready()
        editor.type("Go    result", pause=0.03)
        editor.wait_ghost()
        editor.settle()
        editor.type("<Tab><Esc>")
        editor.settle()
        self.assertEqual(editor.counted("accepted"), 1)
        self.assertGreater(editor.counted("accepted characters"), 5)
        editor.command("Runabout stats reset")
        editor.wait(lambda: any("begin at zero" in text for text in editor.said()), "the reset")
        self.assertEqual(editor.counted("accepted"), 0)
