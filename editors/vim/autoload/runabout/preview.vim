vim9script
# Draws what changes would do to the current buffer: what goes is marked, and what comes stands beside it or in lines of
# its own. Where the first of them is not in the window, a note behind the cursor's line says where it is.

import autoload 'runabout/ghost.vim'

const ADDED = 'RunaboutAdded'
const REMOVED = 'RunaboutRemoved'
const PLACE = 'RunaboutPlace'

# Where something is drawn: the buffer, or 0; and what and where, so that nothing is drawn twice.
var drawn = {buffer: 0, key: ''}

# Shows what changes would do, in place of what was shown before.
export def Draw(changes: list<dict<any>>)
  const first = changes[0].lnum
  const place = first < line('w0') ? '↑' : first > line('w$') ? '↓' : ''
  const key = string([b:changedtick, place, place == '' ? 0 : line('.'), changes])
  if drawn == {buffer: bufnr(), key: key}
    return
  endif
  Erase()
  for type in [ADDED, REMOVED, PLACE]
    if empty(prop_type_get(type))
      # Above what colours the code.
      prop_type_add(type, {highlight: type, priority: 100, combine: type != REMOVED})
    endif
  endfor
  for change in changes
    Show(change)
  endfor
  if place != ''
    prop_add(line('.'), 0, {type: PLACE, text: printf(' %s next edit in line %d', place, first), text_align: 'after'})
  endif
  drawn = {buffer: bufnr(), key: key}
  ghost.Redraw()
enddef

export def Erase()
  if drawn.buffer == 0
    return
  endif
  if bufloaded(drawn.buffer)
    prop_remove({types: [ADDED, REMOVED, PLACE], bufnr: drawn.buffer, all: true})
  endif
  drawn = {buffer: 0, key: ''}
  ghost.Redraw()
enddef

def Show(change: dict<any>)
  if change.end_lnum > change.lnum || change.end_col > change.col
    prop_add(change.lnum, change.col, {type: REMOVED, end_lnum: change.end_lnum, end_col: change.end_col})
  endif
  if change.new == ''
    return
  elseif change.end_col == 1 && change.new[-1] == "\n"
    # Whole lines before this one.
    final lines = split(change.new[: -2], "\n", true)
    for line in change.end_lnum > 1 ? lines : reverse(lines)
      Below(change.end_lnum > 1 ? change.end_lnum - 1 : 1, line, change.end_lnum > 1 ? 'below' : 'above')
    endfor
    return
  endif
  const lines = split(change.new, "\n", true)
  if lines[0] != ''
    const start = strdisplaywidth(strpart(getline(change.end_lnum), 0, change.end_col - 1))
    prop_add(change.end_lnum, change.end_col, {type: ADDED, text: ghost.Spaced(lines[0], start)})
  endif
  for line in lines[1 :]
    Below(change.end_lnum, line, 'below')
  endfor
enddef

def Below(lnum: number, line: string, align: string)
  # An empty text would not be shown as a line.
  prop_add(lnum, 0, {type: ADDED, text: line == '' ? ' ' : ghost.Spaced(line, 0), text_align: align, text_wrap: 'truncate'})
enddef
