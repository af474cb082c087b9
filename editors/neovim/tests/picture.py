"""The picture in the README: a real screen with ghost text, drawn as SVG."""

import pathlib
import re
from xml.sax.saxutils import escape

from editor import PLUGIN, Editor, options_of

FILE = '''\
import csv


def read_prices(path):
    """Returns the prices in a file by product."""
    prices = {}
    with open(path) as file:
        for row in csv.DictReader(file):
            prices[row["product"]] = float(row["price"])
    return prices


def cheaper_than(prices, limit)
'''

TYPED = ":"
BACKGROUND, FOREGROUND = "14161b", "e0e2ea"
COLOUR = "7a7f8a"
WIDTH, HEIGHT = 8.4, 18


def draw(editor, rows):
    """The first rows of the screen as SVG text, each run of one colour as a span."""
    parts = []
    screen = editor.terminal.screen
    for y in range(rows):
        runs = []
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            colour = cell.fg if re.fullmatch("[0-9a-f]{6}", cell.fg) else FOREGROUND
            if runs and runs[-1][0] == colour:
                runs[-1][1] += cell.data
            else:
                runs.append([colour, cell.data])
        spans = "".join(f'<tspan fill="#{colour}">{escape(text)}</tspan>' for colour, text in runs)
        if "".join(text for _, text in runs).strip():
            parts.append(f'<text xml:space="preserve" x="12" y="{(y + 1) * HEIGHT + 6}">{spans}</text>')
    cursor = f'<rect x="{12 + screen.cursor.x * WIDTH:.1f}" y="{screen.cursor.y * HEIGHT + 10}" width="2" height="{HEIGHT}" fill="#{FOREGROUND}"/>'
    width, height = int(screen.columns * WIDTH) + 24, rows * HEIGHT + 20
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">\n<!-- Made by `editors/neovim/test --picture`. -->\n'
            f'<rect width="100%" height="100%" rx="6" fill="#{BACKGROUND}"/>\n' + "\n".join(parts) + f"\n{cursor}\n</svg>\n")


def make(model="qwen2.5-coder-0.5b", path=None):
    """Types into a file until there is ghost text, and writes the picture."""
    path = pathlib.Path(path or PLUGIN / "ghost-text.svg")
    with Editor(FILE, name="prices.py", options=options_of(model), columns=84, rows=22,
                after="vim.o.laststatus = 0 vim.opt.fillchars = { eob = ' ' } vim.api.nvim_set_hl(0, 'RunaboutGhost', { fg = '#" + COLOUR + "', italic = true })") as editor:
        editor.wait_ready()
        editor.type("GA" + TYPED, pause=0.1)
        editor.wait(lambda: editor.terminal.ghost(COLOUR), "ghost text")
        editor.settle(1)
        used = max(y for y, row in enumerate(editor.rows()) if row)
        with editor.terminal.drawn:
            path.write_text(draw(editor, used + 1))
        print("\n".join(editor.rows()))
        print(f"written to {path}")
