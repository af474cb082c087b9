vim9script
# The next edit: what the worker thinks will be changed next, which may be some lines away. It is shown where it is; the key
# that asked for it then goes there, and then applies it. It belongs to the text that it was computed for, so any other
# change of the buffer removes it, and nothing is applied to another text.

import autoload 'runabout/worker.vim'
import autoload 'runabout/settings.vim'
import autoload 'runabout/documents.vim'
import autoload 'runabout/positions.vim'
import autoload 'runabout/preview.vim'
import autoload 'runabout/status.vim'
import autoload 'runabout/suggestion.vim'
import autoload 'runabout/message.vim'

const INVOKED = 1
const AUTOMATIC = 2

# For so long nobody may type before an edit is asked for by itself: it takes the model's time from suggestions.
const PAUSE_MS = 500

# What is shown: {buffer, tick, changes}; empty if nothing is. The changes are {lnum, col, end_lnum, end_col, new} with
# bytes from 1, in ascending order; they are for the text that has this tick.
var shown: dict<any> = {}
# The newest request, {id, buffer, tick, kind}; empty if it is answered.
var asked: dict<any> = {}
# By buffer, the tick when it was last looked at, and the one for which an edit was last asked for by itself.
var looked_at: dict<number> = {}
var asked_at: dict<number> = {}
# Waits until the person pauses.
var pause = 0
# What the dismiss key of Normal mode was mapped to in the buffer, while an edit is shown.
var key_before: dict<any> = {}

# The key: shows the next edit, goes to it, applies it.
export def Advance()
  if settings.NextEdit() == 'off'
    message.Say('next edits are switched off by the setting nextEdit')
  elseif !Accept() && !Awaited()
    worker.Start()
    Ask(INVOKED)
  endif
enddef

# Goes to the edit that is shown, or applies it if the cursor is there. False where none is shown.
export def Accept(): bool
  if empty(shown) || shown.buffer != bufnr()
    return false
  elseif shown.tick != b:changedtick
    Clear()
    message.Say('the text has changed since, so nothing was applied')
  elseif line('.') >= shown.changes[0].lnum && line('.') <= shown.changes[-1].end_lnum
    Apply()
  else
    Jump()
  endif
  return true
enddef

# Removes what is shown. False where nothing is.
export def Dismiss(): bool
  const visible = !empty(shown)
  Cancel()
  Clear()
  return visible
enddef

export def Visible(): bool
  return !empty(shown) && shown.buffer == bufnr() && shown.tick == b:changedtick
enddef

# The text or the cursor may have changed: removes what does not belong to the text any more.
export def Changed()
  const buffer = bufnr()
  if !empty(shown)
    if Visible()
      preview.Draw(shown.changes)
    else
      Clear()
    endif
  endif
  if !empty(asked) && (asked.buffer != buffer || asked.tick != b:changedtick)
    Cancel()
  endif
  if !has_key(looked_at, buffer)
    looked_at[buffer] = b:changedtick
  endif
enddef

# The same, at a moment that is good for asking by itself.
export def Paused()
  Changed()
  const before = looked_at[bufnr()]
  looked_at[bufnr()] = b:changedtick
  if before != b:changedtick
    const undo = undotree()
    # Who has taken something back does not want it proposed.
    if undo.seq_cur == undo.seq_last
      AskByItself()
    endif
  endif
enddef

# The buffer was written, which counts as one change in its tick, though its text is the same.
export def Written()
  if !empty(shown) && shown.buffer == bufnr() && shown.tick + 1 == b:changedtick
    shown.tick = b:changedtick
    looked_at[bufnr()] = b:changedtick
  endif
enddef

# The buffer was left.
export def Left()
  Cancel()
  Clear()
enddef

# Shows edits, as the worker sends them, for the current buffer.
export def Offer(edits: list<dict<any>>)
  suggestion.Left()
  Clear()
  shown = {buffer: bufnr(), tick: b:changedtick, changes: Changes(edits)}
  preview.Draw(shown.changes)
  const key = settings.Get('keys', {})->get('dismiss', '<C-]>')
  if key != ''
    key_before = maparg(key, 'n', false, true)
    execute 'nnoremap <silent> <buffer> <nowait>' key '<Cmd>call runabout#Dismiss()<CR>'
  endif
enddef

# Asks when the person pauses, where that is wanted and the text is another one than the last time.
def AskByItself()
  if settings.NextEdit() == 'automatic' && settings.Automatic(bufnr())
    const [buffer, tick] = [bufnr(), b:changedtick]
    timer_stop(pause)
    pause = timer_start(PAUSE_MS, (_) => {
      if bufnr() == buffer && b:changedtick == tick && get(asked_at, buffer, -1) != tick && !suggestion.Visible()
        Ask(AUTOMATIC)
      endif
    })
  endif
enddef

# Whether the person has asked for this text already; to ask once more would only begin anew.
def Awaited(): bool
  return !empty(asked) && asked.kind == INVOKED && asked.buffer == bufnr() && asked.tick == b:changedtick
enddef

def Ask(kind: number)
  documents.Flush(bufnr())
  const doc = documents.Of(bufnr())
  if empty(doc)
    if kind == INVOKED
      message.Say(worker.Running() ? 'this buffer is not a file, so there are no edits' : 'the worker is ' .. status.Line()[10 :])
    endif
    return
  endif
  Cancel()
  final request: dict<any> = {buffer: bufnr(), tick: b:changedtick, version: doc.version, kind: kind}
  asked = request
  asked_at[bufnr()] = b:changedtick
  request.id = worker.Request('workspace/executeCommand', {command: 'runabout.nextEdit', arguments: [{
    textDocument: {uri: doc.uri, version: doc.version}, position: documents.Cursor(), context: {triggerKind: kind},
  }]}, (answer) => Answered(request, answer))
enddef

def Cancel()
  if !empty(asked)
    worker.Notify('$/cancelRequest', {id: asked.id})
    asked = {}
  endif
enddef

def Answered(request: dict<any>, answer: dict<any>)
  if request isnot asked
    return
  endif
  asked = {}
  const result = get(answer, 'result', null)
  if has_key(answer, 'error')
    if request.kind == INVOKED
      message.Say(message.Words(answer.error))
    endif
  elseif type(result) == v:t_dict && !empty(result.edits)
    if bufnr() == request.buffer && b:changedtick == request.tick && result.version == request.version
      Offer(result.edits)
    endif
  elseif request.kind == INVOKED
    Explain()
  endif
enddef

# Says why there is none.
def Explain()
  worker.Execute('runabout.info', [], (answer) => {
    const about: any = get(get(answer, 'result', {}), 'nextEdit', null)
    message.Say(type(about) == v:t_dict ? get(about, 'message', status.Why()) : status.Why())
  })
enddef

# The changes that edits of the worker make in the current buffer.
def Changes(edits: list<dict<any>>): list<dict<any>>
  return mapnew(edits, (_, edit) => Change(edit))
enddef

def Change(edit: dict<any>): dict<any>
  const last = line('$')
  var [lnum, col] = Place(edit.range.start)
  const [end_lnum, end_col] = Place(edit.range.end)
  var new = substitute(edit.newText, '\r\n\?', "\n", 'g')
  if edit.range.end.line >= last
    # The protocol has a line behind the last line end; Vim has not.
    new = substitute(new, '\n$', '', '')
    if edit.range.start.line >= last
      new = "\n" .. new
    elseif edit.newText == '' && col == 1 && lnum > 1
      # The last lines go with the line break before them.
      lnum -= 1
      col = len(getline(lnum)) + 1
    endif
  endif
  return {lnum: lnum, col: col, end_lnum: end_lnum, end_col: end_col, new: new}
enddef

# A position of the worker as line and byte, both from 1.
def Place(position: dict<any>): list<number>
  if position.line >= line('$')
    return [line('$'), len(getline('$')) + 1]
  endif
  return [position.line + 1, positions.Byte(getline(position.line + 1), position.character, worker.Encoding()) + 1]
enddef

def Jump()
  const change = shown.changes[0]
  # The place of before, for CTRL-O.
  mark '
  if change.lnum < line('w0') || change.lnum > line('w$')
    winrestview({topline: max([1, change.lnum - winheight(0) / 2])})
  endif
  cursor(change.lnum, change.col)
  if foldclosed('.') > 0
    foldopen!
  endif
  preview.Draw(shown.changes)
enddef

# Applies the edits as one step of undo, and puts the cursor behind them.
def Apply()
  final changes = shown.changes
  Clear()
  if !&modifiable
    message.Say('the buffer cannot be changed')
    return
  endif
  # Those that come before it move the last change, whose end stays as far from the end of the buffer.
  const n_below = line('$') - changes[-1].end_lnum
  const n_behind = len(getline(changes[-1].end_lnum)) - changes[-1].end_col
  # Setting 'undolevels' closes the step of undo that typing had begun.
  &l:undolevels = &l:undolevels
  for change in reverse(copy(changes))
    Replace(change)
  endfor
  &l:undolevels = &l:undolevels
  const lnum = line('$') - n_below
  cursor(lnum, len(getline(lnum)) - n_behind)
  looked_at[bufnr()] = b:changedtick
  AskByItself()
enddef

def Replace(change: dict<any>)
  const lines = split(strpart(getline(change.lnum), 0, change.col - 1) .. change.new
    .. strpart(getline(change.end_lnum), change.end_col - 1), "\n", true)
  const n_old = change.end_lnum - change.lnum + 1
  const n_same = min([n_old, len(lines)])
  setline(change.lnum, lines[: n_same - 1])
  if len(lines) > n_old
    append(change.end_lnum, lines[n_old :])
  elseif len(lines) < n_old
    deletebufline('%', change.lnum + n_same, change.end_lnum)
  endif
enddef

def Clear()
  if empty(shown)
    return
  endif
  const buffer = shown.buffer
  shown = {}
  preview.Erase()
  const key = settings.Get('keys', {})->get('dismiss', '<C-]>')
  if key != '' && buffer == bufnr()
    execute 'silent! nunmap <buffer>' key
    if get(key_before, 'buffer', 0) == 1
      mapset('n', false, key_before)
    endif
  endif
  key_before = {}
enddef

def Lost()
  asked = {}
  asked_at = {}
  Clear()
enddef

# While an edit is shown, the cursor may go anywhere without a suggestion coming in its way.
suggestion.Hinder(Visible)
suggestion.WhenSilent(AskByItself)
worker.Subscribe('ended', Lost)
