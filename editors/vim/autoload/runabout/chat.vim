vim9script
# The chat in a side window: questions about a selection, answers as they are generated, and a code block of the answer
# put in place of the selection.

import autoload 'runabout/worker.vim'
import autoload 'runabout/settings.vim'
import autoload 'runabout/documents.vim'
import autoload 'runabout/message.vim'

const NAME = 'runabout://chat'
const SYSTEM = 'You are a programming assistant inside an editor. Answer briefly. Put code into a fenced block, and give the whole of what replaces the code that you were shown.'
const WIDTH = 72

# The conversation, in the protocol's form.
var messages: list<dict<string>> = []
# The selection that the conversation is about: {buffer, first, lines}; {} if there is none.
var target: dict<any> = {}
# The answer that is being generated: {id, lnum, text}; `lnum` is its first line in the window. {} if there is none.
var running: dict<any> = {}
# A question that waits until the worker is ready.
var waiting = false

# Asks a question; with lines selected, it begins a new conversation about them.
export def Ask(question: string, selected: bool, first: number, last: number)
  if !empty(running) || waiting
    message.Say('the last answer is still being written; `:Runabout stop` ends it')
    return
  endif
  final asked = {text: question}
  if question == ''
    asked.text = input('Ask runabout: ')
    if trim(asked.text) == ''
      return
    endif
  endif
  var content = asked.text
  if selected
    New()
    target = {buffer: bufnr(), first: first, lines: getline(first, last)}
    const lines = copy(target.lines)->map((_, line) => tr(line, "\n", ' '))
    content ..= "\n\n" .. join(['```' .. documents.Language(bufnr())] + lines + ['```'], "\n")
  endif
  if empty(messages)
    messages->add({role: 'system', content: SYSTEM})
  endif
  messages->add({role: 'user', content: content})
  Open()
  Append(['## You', ''] + split(content, '\n', true) + ['', '## Runabout', '', ''])
  if worker.Running()
    Send()
  elseif worker.State() == 'starting' || worker.State() == 'waiting'
    waiting = true
  else
    Fail('the worker does not run; `:Runabout restart` starts it')
  endif
enddef

# Forgets the conversation.
export def New()
  Stop()
  messages = []
  target = {}
  const buffer = bufnr(NAME)
  if buffer > 0 && bufloaded(buffer)
    Replace(1, [''])
  endif
enddef

# Ends the answer that is being generated; what there is of it stays.
export def Stop()
  if waiting
    Fail('you stopped it before the worker was ready')
  elseif !empty(running)
    worker.Notify('cancel', {id: running.id})
  endif
enddef

# Puts a code block of the answer in place of the selection: the one at the cursor, or the last one.
export def Apply()
  const code = Block()
  if empty(code)
    message.Say('the answer has no code block to apply')
    return
  elseif empty(target) || !bufloaded(target.buffer)
    message.Say('the conversation is not about a selection; copy the code instead')
    return
  endif
  const first = Place()
  if first == 0
    message.Say('the selection has changed since the question, so nothing was replaced')
    return
  endif
  const count = len(target.lines)
  # The new lines first: a buffer that became empty in between would keep an empty line.
  appendbufline(target.buffer, first + count - 1, code)
  deletebufline(target.buffer, first, first + count - 1)
  target.first = first
  target.lines = code
  const window = bufwinid(target.buffer)
  if window > 0
    win_gotoid(window)
    cursor(first, 1)
  endif
  echo printf('runabout: %d lines in place of %d; `u` takes it back', len(code), count)
enddef

# The first line of the selection where it is now; 0 if it is not there any more, or in several places.
def Place(): number
  const lines = getbufline(target.buffer, 1, '$')
  const count = len(target.lines)
  if lines[target.first - 1 : target.first + count - 2] == target.lines
    return target.first
  endif
  const places = range(len(lines) - count + 1)->filter((_, at) => lines[at : at + count - 1] == target.lines)
  return len(places) == 1 ? places[0] + 1 : 0
enddef

# The lines of the code block at the cursor, or else of the last one in the last answer.
def Block(): list<string>
  const buffer = bufnr(NAME)
  const lines = buffer > 0 ? getbufline(buffer, 1, '$') : []
  const cursor = bufnr() == buffer ? line('.') - 1 : -1
  var blocks: list<list<number>> = []
  var start = -1
  var answers = false
  for at in range(len(lines))
    if start < 0 && lines[at] =~ '^## \%(You\|Runabout\)$'
      answers = lines[at] == '## Runabout'
    elseif lines[at] =~ '^\s*```'
      if start < 0
        start = at
      else
        if answers
          blocks->add([start, at])
        endif
        start = -1
      endif
    endif
  endfor
  if start >= 0 && answers && empty(running)
    # The answer ended before the block did.
    blocks->add([start, len(lines)])
  endif
  const under = copy(blocks)->filter((_, block) => block[0] <= cursor && cursor <= block[1])
  const chosen = get(under, 0, get(blocks, -1, []))
  return empty(chosen) ? [] : lines[chosen[0] + 1 : chosen[1] - 1]
enddef

def Send()
  final answer: dict<any> = {text: '', lnum: getbufinfo(bufnr(NAME))[0].linecount}
  running = answer
  const parameters: dict<any> = settings.Get('chat', {})
  answer.id = worker.Request('chat', extendnew(parameters, {messages: messages}), (reply) => Answered(answer, reply))
  # The person sees that it works before the first word is there.
  Replace(answer.lnum, ['...'])
enddef

def Received(delta: dict<any>)
  if !empty(running) && get(delta, 'id', null) == running.id
    running.text ..= delta.text
    Render(running)
  endif
enddef

def Answered(answer: dict<any>, reply: dict<any>)
  if answer isnot running
    return
  endif
  if has_key(reply, 'error')
    Fail(message.Words(reply.error))
    return
  endif
  # The whole text is in the result. Vim may hand it over before the deltas that were sent ahead of it.
  answer.text = reply.result.message.content
  Render(answer)
  messages->add({role: 'assistant', content: answer.text})
  running = {}
  const reasons = {length: 'It is not finished: the limit of tokens was reached.', cancelled: 'You stopped it.'}
  const reason = get(reasons, get(reply.result, 'finish_reason', ''), '')
  Append((reason == '' ? [] : ['', '*' .. reason .. '*']) + ['', ''])
enddef

def Fail(reason: string)
  if !empty(running)
    Render(running)
  endif
  running = {}
  waiting = false
  # The question can be asked again.
  if !empty(messages)
    messages->remove(-1)
  endif
  Append(['*There is no answer: ' .. reason .. '.*', '', ''])
enddef

# Puts the answer's text where it belongs, at the end of the buffer.
def Render(answer: dict<any>)
  Replace(answer.lnum, split(answer.text, '\r\?\n', true))
enddef

# Adds lines at the end, in place of the last line if that is empty. An empty last one is where the next text begins.
def Append(lines: list<string>)
  const buffer = bufnr(NAME)
  const last = getbufinfo(buffer)[0].linecount
  Replace(getbufline(buffer, last)[0] == '' ? last : last + 1, lines)
enddef

# Replaces all from a line on.
def Replace(lnum: number, lines: list<string>)
  const buffer = bufnr(NAME)
  if buffer > 0 && bufloaded(buffer)
    Write(buffer, () => {
      setbufline(buffer, lnum, lines)
      if getbufinfo(buffer)[0].linecount >= lnum + len(lines)
        deletebufline(buffer, lnum + len(lines), '$')
      endif
    })
  endif
enddef

# Changes the chat's buffer; windows whose cursor is on the last line follow the text.
def Write(buffer: number, Change: func)
  const following = win_findbuf(buffer)->filter((_, window) => line('.', window) == line('$', window))
  setbufvar(buffer, '&modifiable', true)
  Change()
  setbufvar(buffer, '&modifiable', false)
  for window in following
    win_execute(window, 'noautocmd normal! G')
  endfor
enddef

# Opens the window beside the current one, without leaving that.
def Open()
  if bufwinid(NAME) > 0
    return
  endif
  const origin = win_getid()
  # Without the events: the new buffer is no file, and the worker should not get it.
  execute 'noautocmd botright vertical :' .. min([WIDTH, &columns / 2]) .. 'new'
  const existing = bufnr(NAME)
  if existing > 0
    execute 'buffer' existing
  else
    execute 'silent file' fnameescape(NAME)
    setlocal buftype=nofile bufhidden=hide noswapfile nobuflisted filetype=markdown nomodifiable wrap linebreak
    setlocal statusline=CR\ ask\ \ a\ apply\ \ CTRL-C\ stop\ \ q\ close
    nnoremap <buffer> <silent> <CR> <Cmd>Runabout chat<CR>
    nnoremap <buffer> <silent> a <Cmd>Runabout apply<CR>
    nnoremap <buffer> <silent> <C-C> <Cmd>Runabout stop<CR>
    nnoremap <buffer> <silent> q <Cmd>close<CR>
  endif
  win_gotoid(origin)
enddef

def Ready()
  if waiting
    waiting = false
    Send()
  endif
enddef

def Lost()
  if !empty(running)
    Fail('the worker ended')
  endif
enddef

worker.Subscribe('delta', Received)
worker.Subscribe('ready', Ready)
worker.Subscribe('ended', Lost)
