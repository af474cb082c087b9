vim9script
# Keeps the worker's copies of the buffers up to date.
#
# A listener of Vim reports which lines changed; the changes of one event are merged into one range of whole lines, whose
# text is then sent. So what is sent is always the buffer's text of now, however many changes led to it.

import autoload 'runabout/worker.vim'
import autoload 'runabout/settings.vim'
import autoload 'runabout/positions.vim'

# A larger buffer is not sent: the worker takes messages of up to 16 MiB.
const MOST_BYTES = 10 * 1024 * 1024

# The languages that the protocol names differently from Vim.
const LANGUAGES = {
  '': 'plaintext', bib: 'bibtex', cs: 'csharp', dosbatch: 'bat', gitcommit: 'git-commit', gitrebase: 'git-rebase',
  make: 'makefile', objc: 'objective-c', objcpp: 'objective-cpp', ps1: 'powershell', sh: 'shellscript', tex: 'latex',
  text: 'plaintext', zsh: 'shellscript',
}

# By buffer number: {uri, language, version, listener, count, whole, from, old_end, new_end}.
# `count` is the worker's number of lines; the lines from `from` to before `old_end` there are those to before `new_end`
# here; `from` is 0 if nothing has changed. `whole` says that all of the text must be sent.
var open: dict<dict<any>> = {}
# The project folders that the worker knows.
var folders: list<string> = []

# The document of a buffer, {uri, version}; {} if the worker has none.
export def Of(buffer: number): dict<any>
  return get(open, buffer, {})
enddef

# A buffer was entered: the worker gets its text, and puts it first among the open ones.
export def Entered(buffer: number)
  if !worker.Running() || !Suitable(buffer)
    return
  endif
  Open(buffer)
  if has_key(open, buffer)
    worker.Notify('textDocument/didFocus', {textDocument: {uri: open[buffer].uri}})
  endif
enddef

# A buffer's text was replaced in a way that a listener does not see.
export def Reread(buffer: number)
  if has_key(open, buffer)
    open[buffer].whole = true
  endif
enddef

# A buffer was written: it may import other files now.
export def Written(buffer: number)
  if has_key(open, buffer)
    Reread(buffer)
    Flush(buffer)
    worker.Notify('textDocument/didSave', {textDocument: {uri: open[buffer].uri}})
  endif
enddef

# A buffer's name or language may have changed.
export def Renamed(buffer: number)
  if has_key(open, buffer) && (open[buffer].uri != Uri(buffer) || open[buffer].language != Language(buffer))
    Close(buffer)
    Entered(buffer)
  endif
enddef

export def Unloaded(buffer: number)
  if has_key(open, buffer)
    Close(buffer)
  endif
enddef

# Sends what has changed since the last call.
export def Flush(buffer: number)
  if !has_key(open, buffer)
    Entered(buffer)
    return
  endif
  listener_flush(buffer)
  const doc = open[buffer]
  if doc.whole || (doc.from > 0 && doc.count + doc.new_end - doc.old_end != Count(buffer))
    Change(buffer, [{text: Text(buffer, 1, Count(buffer))}])
  elseif doc.from > 0
    Change(buffer, [{
      range: {start: {line: doc.from - 1, character: 0}, end: {line: doc.old_end - 1, character: 0}},
      text: Text(buffer, doc.from, doc.new_end - 1),
    }])
  endif
enddef

# The position for the worker of a byte in a line, both counted from 1 as in Vim.
export def Position(buffer: number, lnum: number, col: number): dict<number>
  const line = get(getbufline(buffer, lnum), 0, '')
  return {line: lnum - 1, character: positions.Units(strpart(line, 0, col - 1), worker.Encoding())}
enddef

# The position of the cursor.
export def Cursor(): dict<number>
  return Position(bufnr(), line('.'), col('.'))
enddef

export def Language(buffer: number): string
  const filetype: string = split(getbufvar(buffer, '&filetype'), '\.')->get(0, '')
  return get(LANGUAGES, filetype, filetype)
enddef

def Suitable(buffer: number): bool
  return bufloaded(buffer) && getbufvar(buffer, '&buftype') == '' && getbufvar(buffer, '&modifiable')
enddef

def Uri(buffer: number): string
  const name = bufname(buffer)
  return name == '' ? 'untitled:Untitled-' .. buffer : positions.Uri(fnamemodify(name, ':p'))
enddef

def Open(buffer: number)
  if has_key(open, buffer)
    return
  endif
  const text = Text(buffer, 1, Count(buffer))
  if len(text) > MOST_BYTES
    return
  endif
  Announce_folder(buffer)
  open[buffer] = {uri: Uri(buffer), language: Language(buffer), version: 1, listener: listener_add(Heard, buffer)}
  Clean(buffer)
  worker.Notify('textDocument/didOpen', {textDocument: {
    uri: open[buffer].uri, languageId: open[buffer].language, version: 1, text: text}})
enddef

def Close(buffer: number)
  listener_remove(open[buffer].listener)
  worker.Notify('textDocument/didClose', {textDocument: {uri: open[buffer].uri}})
  remove(open, buffer)
enddef

# Merges a change into the range of lines that must be sent.
def Heard(buffer: number, _: number, _: number, _: number, changes: list<dict<number>>)
  if !has_key(open, buffer)
    return
  endif
  final doc = open[buffer]
  for change in changes
    if doc.from == 0
      doc.from = change.lnum
      doc.old_end = change.end
      doc.new_end = change.end + change.added
      continue
    endif
    # The change's numbers are those of the lines after the changes before it.
    const grown = doc.new_end - doc.old_end
    const end = max([doc.new_end, change.end])
    doc.from = min([doc.from, change.lnum])
    doc.old_end = end - grown
    doc.new_end = end + change.added
  endfor
enddef

def Change(buffer: number, changes: list<dict<any>>)
  final doc = open[buffer]
  doc.version += 1
  Clean(buffer)
  worker.Notify('textDocument/didChange', {textDocument: {uri: doc.uri, version: doc.version}, contentChanges: changes})
enddef

def Clean(buffer: number)
  open[buffer]->extend({count: Count(buffer), whole: false, from: 0, old_end: 0, new_end: 0})
enddef

def Count(buffer: number): number
  return get(getbufinfo(buffer), 0, {linecount: 0}).linecount
enddef

# Lines as they would be written into the file, each with its line end.
def Text(buffer: number, first: number, last: number): string
  if last < first
    return ''
  endif
  const end = {dos: "\r\n", mac: "\r"}->get(getbufvar(buffer, '&fileformat'), "\n")
  # In Vim's lines, "\n" is a zero byte.
  var text = getbufline(buffer, first, last)->map((_, line) => tr(line, "\n", ' '))->join("\n")
  if stridx(text, "\r") >= 0
    # A CR within a line would be a line end in the protocol, but is none here.
    text = substitute(text, end == "\n" ? '\r\ze[^\n]' : '\r', ' ', 'g')
  endif
  return (end == "\n" ? text : substitute(text, '\n', end, 'g')) .. end
enddef

def Announce_folder(buffer: number)
  const name = bufname(buffer)
  if name == ''
    return
  endif
  const path = fnamemodify(name, ':p:h')
  const git = finddir('.git', escape(path, ' ,;') .. ';')
  const root = git == '' ? getcwd() : fnamemodify(git, ':p:h:h')
  if folders->index(root) < 0
    folders->add(root)
    worker.Notify('workspace/didChangeWorkspaceFolders', {event: {
      added: [{uri: positions.Uri(root), name: fnamemodify(root, ':t')}], removed: []}})
  endif
enddef

def Ready()
  for info in getbufinfo({bufloaded: 1})
    if Suitable(info.bufnr) && info.name != ''
      Open(info.bufnr)
    endif
  endfor
  Entered(bufnr())
enddef

# A new worker knows nothing.
def Forget()
  for doc in values(open)
    listener_remove(doc.listener)
  endfor
  open = {}
  folders = []
enddef

worker.Subscribe('ready', Ready)
worker.Subscribe('ended', Forget)
