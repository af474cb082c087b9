vim9script
# Draws text that is not in the buffer, as virtual text: its first line at the cursor and the others below.

const TYPE = 'RunaboutGhost'

# Where text is drawn: the buffer, the line, and how many lines below it; buffer 0 if there is none.
var drawn = {buffer: 0, lnum: 0, below: 0}

# Draws `text` before byte `col` (from 1) of a line of the current buffer, instead of what was drawn before.
export def Draw(text: string, lnum: number, col: number)
  Erase()
  if empty(prop_type_get(TYPE))
    prop_type_add(TYPE, {highlight: 'RunaboutGhost'})
  endif
  const lines = split(text, '\n', true)
  const line = getline(lnum)
  if lines[0] != ''
    prop_add(lnum, col, {type: TYPE, text: Spaced(lines[0], strdisplaywidth(strpart(line, 0, col - 1)))})
  endif
  # What does not fit below the line is cut off, because Vim shows a line that does not fit as a row of `@`.
  const room = max([0, winheight(0) / 2])
  Scroll(lnum, min([len(lines) - 1, room]))
  for below in len(lines) - 1 <= room ? lines[1 :] : room == 0 ? [] : slice(lines, 1, room) + ['...']
    # An empty text would not be shown as a line.
    prop_add(lnum, 0, {type: TYPE, text: below == '' ? ' ' : Spaced(below, 0), text_align: 'below', text_wrap: 'truncate'})
  endfor
  drawn = {buffer: bufnr(), lnum: lnum, below: len(lines) - 1}
  if drawn.below > 0
    Redraw()
  endif
enddef

# Makes room for virtual lines below a line at the bottom of the window: Vim does not scroll for them by itself.
def Scroll(lnum: number, below: number)
  const missing = below - (winheight(0) - winline())
  if missing > 0
    winrestview({topline: min([lnum, line('w0') + missing])})
  endif
enddef

export def Erase()
  if drawn.buffer == 0
    return
  endif
  if bufloaded(drawn.buffer)
    # Typing may have moved the line a little; looking through a long buffer at each key would be slow.
    const last = getbufinfo(drawn.buffer)[0].linecount
    prop_remove({type: TYPE, bufnr: drawn.buffer, all: true}, max([1, min([drawn.lnum, last]) - 2]), min([last, drawn.lnum + 2]))
  endif
  if drawn.below > 0
    Redraw()
  endif
  drawn = {buffer: 0, lnum: 0, below: 0}
enddef

# Vim 9.0 draws wrongly what is below a line whose virtual lines have changed. Setting this option, even to the same
# value, makes it draw the whole window.
export def Redraw()
  execute 'noautocmd setlocal' (&l:wrap ? 'wrap' : 'nowrap')
enddef

# Replaces tabs by spaces, since Vim shows a tab in virtual text as one space.
export def Spaced(text: string, start: number): string
  if stridx(text, "\t") < 0
    return text
  endif
  var spaced = ''
  for part in split(text, '\t\zs', true)
    spaced ..= part[-1] == "\t" ? part[: -2] : part
    if part[-1] == "\t"
      spaced ..= repeat(' ', &tabstop - (start + strdisplaywidth(spaced)) % &tabstop)
    endif
  endfor
  return spaced
enddef
