"""The rules about text in `text.lua`, called in Neovim; no worker runs."""

import unittest

from editor import Editor


class TextRules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.editor = Editor(options="{ autostart = false }")

    @classmethod
    def tearDownClass(cls):
        cls.editor.close()

    def call(self, function, *arguments):
        return self.editor.lua(f"return require('runabout.text').{function}(...)", *arguments)

    def test_words_are_taken_with_the_space_before_them(self):
        for text, word in [("foo bar", "foo"), ("  foo(bar)", "  foo"), ("(bar)", "("), ("): x", "):"), ("):\n    x", "):"),
                           ("\n    return x", "\n    return"), ("é_ö x", "é_ö"), ("  ", "  "), ("😀 x", "😀")]:
            self.assertEqual(self.call("next_word", text), word)

    def test_taking_words_one_by_one_takes_all_of_the_text(self):
        text = "\n    naïve = {'é😀': [1, 2.5]}  # ok\n\n\treturn naïve\n"
        rest, taken = text, ""
        while rest:
            word = self.call("next_word", rest)
            self.assertTrue(word)
            taken, rest = taken + word, rest[len(word):]
        self.assertEqual(taken, text)

    def test_lines_are_taken_with_the_breaks_before_them(self):
        for text, line in [("a b\nc", "a b"), ("\n    a\nb", "\n    a"), ("\n\nx", "\n\nx"), ("x", "x"), ("\n", "\n")]:
            self.assertEqual(self.call("next_line", text), line)

    def test_lengths_count_utf16_units(self):
        for text in ["", "abc", "é", "😀", "naïve😀(wörld)", "\n"]:
            self.assertEqual(self.call("utf16_length", text), len(text.encode("utf-16-le")) // 2)

    def test_positions_become_bytes(self):
        line = "é😀 = x"
        for units, byte in [(0, 0), (1, 2), (3, 6), (4, 7), (99, len(line.encode()))]:
            self.assertEqual(self.call("byte_offset", line, units, "utf-16"), byte)
        self.assertEqual(self.call("byte_offset", line, 6, "utf-8"), 6)
        self.assertEqual(self.call("byte_offset", line, 2, "utf-32"), 6)

    def test_tabs_are_drawn_to_their_stops(self):
        self.assertEqual(self.call("display_lines", "a\tb\n\tc", 2, 4), ["a b", "    c"])

    def test_wrapped_lines_have_all_of_the_text_and_fit(self):
        self.assertEqual(self.call("wrap", "abcdefg", 3), ["abc", "def", "g"])
        self.assertEqual(self.call("wrap", "漢字漢字", 3), ["漢", "字", "漢", "字"])
        self.assertEqual(self.call("wrap", "", 3), [""])

    def test_the_last_code_block_is_found_or_the_one_at_a_line(self):
        answer = ["x", "```python", "one", "```", "y", "~~~", "two", "~~~", "z"]
        self.assertEqual(self.call("code_block", answer), ["two"])
        self.assertEqual(self.call("code_block", answer, 3), ["one"])
        self.assertEqual(self.call("code_block", answer, 6), ["two"])
        self.assertIsNone(self.call("code_block", ["no code"]))
        self.assertEqual(self.call("code_block", ["```", "cut short"]), ["cut short"])
        self.assertEqual(self.call("code_block", ["````", "```", "````"]), ["```"])

    def test_code_gets_the_indentation_of_what_it_replaces(self):
        self.assertEqual(self.call("reindent", ["if x:", "    y", ""], ["    z"]), ["    if x:", "        y", ""])
        self.assertEqual(self.call("reindent", ["        a", "      b"], ["z"]), ["  a", "b"])
