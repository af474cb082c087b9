vim9script
# The suggestion at the cursor: asking for it at each keystroke, keeping it while what is typed agrees with it, and
# accepting it whole or in parts. The worker waits and drops outdated requests, so nothing here waits.

import autoload 'runabout/worker.vim'
import autoload 'runabout/settings.vim'
import autoload 'runabout/documents.vim'
import autoload 'runabout/positions.vim'
import autoload 'runabout/status.vim'
import autoload 'runabout/ghost.vim'
import autoload 'runabout/message.vim'

const INVOKED = 1
const AUTOMATIC = 2

# What is shown: {buffer, lnum, col, before, items, index, taken, chosen}. It begins at byte `col` (from 0) of line `lnum`,
# whose text was `before` up to there; `taken` is the part of the item's text that has been typed or accepted since, and
# `chosen` says that the person has picked this alternative. Empty if nothing is shown.
var shown: dict<any> = {}
# The newest request: {id, token, buffer, lnum, col, before, kind, step}; empty if it is answered. What comes ahead of its
# answer carries its token.
var asked: dict<any> = {}
# How many requests there were, to give each a token of its own.
var requests = 0
# The last request, if it could not be sent or was answered with nothing. It is sent again when the worker or its model
# is ready, if that was the reason.
var refused: dict<any> = {}
# The ids of the items that were reported as shown.
var reported: dict<bool> = {}
# The text of the next Accept, which an <expr> mapping inserts.
var queued = ''
# Whether something else is shown, so that no suggestion may come by itself; and what to do when there was none.
var Hindered: func(): bool = () => false
var Silent: func() = () => {
}
# The state of the buffer when it was last looked at, to tell typing from moving.
var seen = {buffer: 0, tick: 0}

export def Hinder(Callback: func(): bool)
  Hindered = Callback
enddef

export def WhenSilent(Callback: func())
  Silent = Callback
enddef

export def Entered()
  worker.Start()
  # At this event the mode is not Insert mode yet.
  timer_start(0, (_) => Changed())
enddef

# The text or the cursor has changed in Insert mode.
export def Changed()
  if mode() !~ '^i' || pumvisible()
    return
  endif
  seen = {buffer: bufnr(), tick: b:changedtick}
  if !empty(shown)
    Advance()
  endif
  if settings.Automatic(bufnr()) && !Hindered()
    Ask(AUTOMATIC, 0)
  else
    documents.Flush(bufnr())
  endif
enddef

# The cursor has moved in Insert mode; at a keystroke this comes before Changed.
export def Moved()
  if seen.buffer == bufnr() && seen.tick == b:changedtick && mode() =~ '^i'
    if !empty(shown)
      Advance()
    endif
    if !empty(asked) && (asked.lnum != line('.') || asked.before != Before())
      Cancel()
    endif
  endif
enddef

# The pop-up menu is open, and would cover the suggestion.
export def Hidden()
  Cancel()
  Clear()
enddef

# Insert mode or the buffer was left.
export def Left()
  Cancel()
  Clear()
enddef

export def Visible(): bool
  return !empty(shown) && Rest() != ''
enddef

# The keys that insert the whole suggestion, its next 'word' or its next 'line'; '' if none is shown.
export def Accept(part: string): string
  if !Visible() || !Advance_is_possible()
    return ''
  endif
  const rest = Rest()
  # None of them ends with a line break, which `\S` is, too: Vim would insert such a text above the line.
  queued = part == 'all' ? rest : matchstr(rest, part == 'line'
    ? '^\n*[^\n]*'
    : '^\_s*\%(\k\+\|\%(\k\@![^ \t\n]\)\+\)')
  queued = queued == '' ? rest : queued
  const item = Item()
  if queued == rest
    worker.Execute(item.command.command, item.command.arguments)
  else
    worker.Notify('textDocument/didPartiallyAcceptCompletion', {
      item: item, acceptedLength: Accepted_units(item, shown.taken .. queued)})
  endif
  # Inserted as text: not indented, wrapped or mapped again. It is undone and repeated like typed text.
  return "\<C-R>\<C-O>=runabout#suggestion#Queued()\<CR>"
enddef

export def Queued(): string
  return queued
enddef

# Shows the next (1) or previous (-1) alternative. The first time it asks for alternatives.
export def Cycle(step: number)
  if mode() !~ '^i'
    return
  endif
  if !empty(shown) && len(shown.items) > 1
    shown.index = (shown.index + step + len(shown.items)) % len(shown.items)
    shown.chosen = true
    Show()
    return
  endif
  worker.Start()
  Ask(INVOKED, step)
enddef

export def Dismiss()
  Cancel()
  if !empty(shown)
    worker.Execute('runabout.reject', Item().command.arguments)
    Clear()
  endif
enddef

def Ask(kind: number, step: number)
  documents.Flush(bufnr())
  const doc = documents.Of(bufnr())
  final request: dict<any> =
    {buffer: bufnr(), lnum: line('.'), col: col('.') - 1, before: Before(), kind: kind, step: step}
  if empty(doc)
    refused = request
    return
  endif
  refused = {}
  asked = request
  final params: dict<any> =
    {textDocument: {uri: doc.uri}, position: documents.Cursor(), context: {triggerKind: kind}}
  if kind == AUTOMATIC
    # Then the whole suggestion is in the answer, too. Alternatives would be in the parts only, and Vim may hand over the
    # answer before the parts.
    requests += 1
    request.token = 'runabout/partial/' .. requests
    params.partialResultToken = request.token
  endif
  request.id = worker.Request('textDocument/inlineCompletion', params, (answer) => Answered(request, answer))
enddef

def Cancel()
  if !empty(asked)
    worker.Notify('$/cancelRequest', {id: asked.id})
    asked = {}
  endif
enddef

def Answered(request: dict<any>, answer: dict<any>)
  if request isnot asked
    # A newer request has replaced it.
    return
  endif
  asked = {}
  if has_key(answer, 'error')
    status.Failed(message.Words(answer.error))
    return
  endif
  const items = Items(get(answer, 'result', null))
  if empty(items) && Inserting(request)
    refused = request
    # What is shown still agrees with what was typed, or it would be gone.
    if empty(shown) && request.kind == AUTOMATIC
      Silent()
    endif
    return
  endif
  Offer(request, items)
enddef

# The beginning of a suggestion has come ahead of the whole: its first line, then more of them.
def Arrived(params: dict<any>)
  const token = get(params, 'token', null)
  if !has_key(asked, 'token') || type(token) != v:t_string || token != asked.token
    return
  endif
  const items = Items(get(params, 'value', null))
  # What is shown does not shrink while the same text arrives once more.
  if !empty(items) && (empty(shown) || stridx(Rest(), Text(items[0])) != 0)
    Offer(asked, items)
  endif
enddef

def Inserting(request: dict<any>): bool
  return mode() =~ '^i' && !pumvisible() && bufnr() == request.buffer
enddef

# Shows the first of these items, unless the person has picked another suggestion or is elsewhere by now.
def Offer(request: dict<any>, items: list<dict<any>>)
  if empty(items) || !Inserting(request) || (!empty(shown) && shown.chosen && request.kind == AUTOMATIC)
    return
  endif
  const before = empty(shown) ? '' : Rest()
  shown = {buffer: request.buffer, lnum: request.lnum, col: request.col, before: request.before,
    items: items, index: 0, taken: '', chosen: request.kind == INVOKED}
  if request.step != 0 && len(items) > 1 && Text(items[0]) == before
    # It was on the screen before the person asked for another one.
    shown.index = request.step > 0 ? 1 : len(items) - 1
  endif
  Advance()
enddef

# The items of a result that have something to show.
def Items(result: any): list<dict<any>>
  final items: list<any> = type(result) == v:t_list ? result
    : type(result) == v:t_dict ? get(result, 'items', []) : []
  return copy(items)->filter((_, item) => Text(item) != '')
enddef

# Brings what is shown in line with the text before the cursor, or removes it.
def Advance()
  if !Advance_is_possible()
    Clear()
    return
  endif
  shown.taken = Typed()
  if Rest() == ''
    Clear()
  else
    Show()
  endif
enddef

def Advance_is_possible(): bool
  return bufnr() == shown.buffer
    && line('.') >= shown.lnum
    && strpart(getline(shown.lnum), 0, shown.col) ==# shown.before
    && (line('.') > shown.lnum || col('.') > shown.col)
    && strpart(Text(Item()), 0, len(Typed())) ==# Typed()
enddef

# The text from the beginning of the suggestion to the cursor.
def Typed(): string
  if line('.') == shown.lnum
    return strpart(getline('.'), shown.col, col('.') - 1 - shown.col)
  elseif line('.') - shown.lnum > count(Text(Item()), "\n")
    return "\n\n"
  endif
  return strpart(getline(shown.lnum), shown.col) .. "\n"
    .. getline(shown.lnum + 1, line('.') - 1)->map((_, it) => it .. "\n")->join('') .. Before()
enddef

def Before(): string
  return strpart(getline('.'), 0, col('.') - 1)
enddef

def Show()
  const item = Item()
  ghost.Draw(Rest(), line('.'), col('.'))
  const id = string(item.command.arguments)
  if !has_key(reported, id)
    reported[id] = true
    worker.Notify('textDocument/didShowCompletion', {item: item})
  endif
  status.Alternatives(shown.index + 1, len(shown.items))
enddef

def Clear()
  if !empty(shown)
    shown = {}
    reported = {}
    status.Alternatives(0, 0)
  endif
  ghost.Erase()
enddef

def Item(): dict<any>
  return shown.items[shown.index]
enddef

# What of the suggestion is not in the buffer yet.
def Rest(): string
  return strpart(Text(Item()), len(shown.taken))
enddef

# An item's text with Vim's line ends. A line end as its last character would not be seen, so it is left out.
def Text(item: dict<any>): string
  const text = &fileformat == 'dos' ? substitute(item.insertText, '\r\n', "\n", 'g')
    : &fileformat == 'mac' ? tr(item.insertText, "\r", "\n") : item.insertText
  return substitute(text, '\n\+$', '', '')
enddef

# The length of the accepted text in UTF-16 units of the item's own text.
def Accepted_units(item: dict<any>, text: string): number
  const extra = &fileformat == 'dos' ? count(text, "\n") : 0
  return positions.Units(text, 'utf-16') + extra
enddef

def Lost()
  asked = {}
  Clear()
enddef

# Asks again for what came too early, or for what the person may be writing by now.
def Ready()
  if mode() !~ '^i' || pumvisible()
    return
  elseif empty(refused)
    Changed()
  elseif refused.buffer == bufnr() && refused.lnum == line('.') && refused.before == Before()
    Ask(refused.kind, refused.step)
  endif
enddef

def Loaded(params: dict<any>)
  if params.state == 'ready' && !empty(refused)
    Ready()
  endif
enddef

status.Watch()
worker.Subscribe('$/progress', Arrived)
worker.Subscribe('runabout/status', Loaded)
worker.Subscribe('ready', Ready)
worker.Subscribe('ended', Lost)
