vim9script
# The worker process and the connection to it: start, end, restart after a crash, requests and notifications.
# It knows nothing of documents or suggestions: they subscribe to what they need.

import autoload 'runabout/settings.vim'
import autoload 'runabout/program.vim'
import autoload 'runabout/message.vim'

# After a crash the worker is started again: after a second, then after two, four, ...
const FIRST_DELAY_MS = 1000
# ... until it has crashed this often without a longer run in between.
const MOST_CRASHES = 5
# A run of this length ends a series of crashes.
const LONG_RUN_S = 60
# How many lines of the worker's log are kept for `:Runabout log`.
const LOG_LINES = 2000

# 'idle' (not started yet), 'starting', 'running', 'waiting' (to start again), 'stopped' (by the person), 'absent' (there
# is no program) or 'failed' (given up).
var state = 'idle'
var job: job = null_job
var encoding = 'utf-16'
var crashes = 0
var ready_at = 0
var timer = 0
var log: list<string> = []
# By the id of a request without an answer, what to call with the answer.
var pending: dict<func(dict<any>)> = {}
# By event, the functions to call: 'ready', 'ended', 'state' without arguments, or a method with its params.
var subscribers: dict<list<func>> = {}

# Calls a function at each 'ready', 'ended' or 'state', or at each notification of a method.
export def Subscribe(event: string, Callback: func)
  subscribers[event] = add(get(subscribers, event, []), Callback)
enddef

export def State(): string
  return state
enddef

export def Running(): bool
  return state == 'running'
enddef

# The unit of columns that was agreed on: 'utf-8' or 'utf-16'.
export def Encoding(): string
  return encoding
enddef

export def Log(): list<string>
  return log
enddef

export def Pid(): number
  return job == null_job ? 0 : job_info(job).process
enddef

# Starts the worker, except after it was ended or given up.
export def Start()
  if state == 'idle'
    Launch()
  endif
enddef

# Ends the worker, if it runs, and starts a new one.
export def Restart()
  Stop()
  crashes = 0
  Launch()
enddef

export def Stop()
  timer_stop(timer)
  const old = job
  job = null_job
  Enter('stopped')
  if old != null_job && job_status(old) == 'run'
    # At the end of its input the worker answers, flushes and exits by itself.
    ch_close_in(old)
    timer_start(3000, (_) => {
      if job_status(old) == 'run'
        job_stop(old)
      endif
    })
    Publish('ended')
  endif
enddef

# Sends a request and returns its id; the callback gets the whole answer, with `result` or `error`.
# 0 if the worker does not run; then the callback is never called.
export def Request(method: string, params: any, Callback: func(dict<any>)): number
  return state == 'running' ? Ask(method, params, Callback) : 0
enddef

# Has the worker execute one of its commands.
export def Execute(command: string, arguments: list<any>, Callback: func(dict<any>) = Ignored)
  Request('workspace/executeCommand', {command: command, arguments: arguments}, Callback)
enddef

def Ignored(_: dict<any>)
enddef

export def Notify(method: string, params: any)
  if state == 'running'
    Send({method: method, params: params})
  endif
enddef

# The worker asks for the settings again.
export def SettingsChanged()
  Notify('workspace/didChangeConfiguration', {settings: {runabout: settings.ForWorker()}})
enddef

def Launch()
  const path = program.Find()
  if path == ''
    Enter('absent')
    const words = program.Absent()
    message.Say(words[0], words[1])
    return
  endif
  const model: string = settings.Get('model', '')
  const command = [path, 'lsp'] + (model == '' ? [] : ['--model', model]) + settings.Get('arguments', [])
  var started: job
  started = job_start(command, {
    in_mode: 'lsp',
    out_mode: 'lsp',
    err_mode: 'nl',
    out_cb: (_, what) => Received(started, what),
    err_cb: (_, line) => Logged(line),
    exit_cb: (_, code) => Ended(started, code),
    # A worker that does not read must not stop the editor.
    noblock: 1,
  })
  job = started
  if job_status(started) != 'run'
    # The exit callback is not called for a program that could not be started at all.
    Ended(started, -1)
    return
  endif
  Enter('starting')
  pending = {}
  Ask('initialize', {
    processId: getpid(),
    clientInfo: {name: 'vim', version: printf('%d.%d', v:versionlong / 1000000, v:versionlong / 10000 % 100)},
    rootUri: null,
    capabilities: {
      general: {positionEncodings: ['utf-8', 'utf-16']},
      workspace: {configuration: true, didChangeConfiguration: {dynamicRegistration: false}, workspaceFolders: true},
      textDocument: {synchronization: {dynamicRegistration: false}, inlineCompletion: {dynamicRegistration: false}},
    },
    initializationOptions: {settings: settings.ForWorker(), notifications: true, growingItems: true},
    workspaceFolders: [],
  }, (answer) => Initialized(started, answer))
enddef

def Initialized(from: job, answer: dict<any>)
  if from != job
    return
  elseif has_key(answer, 'error')
    Stop()
    Give_up('the worker refused to start: ' .. message.Words(answer.error))
    return
  endif
  encoding = get(answer.result.capabilities, 'positionEncoding', 'utf-16')
  ready_at = localtime()
  Enter('running')
  Notify('initialized', {})
  # Where the model is by now; later changes are notified.
  Publish('runabout/status', get(get(answer.result.capabilities, 'experimental', {}), 'runabout', {state: 'ready'}))
  Publish('ready')
enddef

def Ask(method: string, params: any, Callback: func(dict<any>)): number
  try
    const to = job
    # With a callback Vim chooses an id. But it also calls it with a request of the worker that has the same id, and then
    # hands the answer to `out_cb`: so both look the id up.
    const sent = ch_sendexpr(to, {method: method, params: params}, {callback: (_, what) => Received(to, what)})
    pending[sent.id] = Callback
    return sent.id
  catch
    # The worker has just ended; the exit callback says so.
    return 0
  endtry
enddef

def Send(message_: dict<any>)
  try
    ch_sendexpr(job, message_)
  catch
  endtry
enddef

def Received(from: job, what: any)
  if from != job || type(what) != v:t_dict
    return
  elseif has_key(what, 'method') && has_key(what, 'id')
    Send(Answered(what))
  elseif has_key(what, 'method')
    Publish(what.method, get(what, 'params', {}))
  elseif has_key(pending, get(what, 'id', 0))
    call(remove(pending, what.id), [what])
  endif
enddef

# The answer to a request of the worker.
def Answered(request: dict<any>): dict<any>
  if request.method == 'workspace/configuration'
    return {id: request.id, result: mapnew(request.params.items,
      (_, item) => get(item, 'section', '') == 'runabout' ? settings.ForWorker() : null)}
  endif
  return {id: request.id, error: {code: -32601, message: 'not supported by this client'}}
enddef

def Logged(line: string)
  log->add(line)
  if len(log) > 2 * LOG_LINES
    log->remove(0, LOG_LINES)
  endif
enddef

def Ended(which: job, code: number)
  if which != job
    return
  endif
  const started = state == 'running'
  job = null_job
  if started && localtime() - ready_at > LONG_RUN_S
    crashes = 0
  endif
  crashes += 1
  if !started && code > 0
    # A wrong option, or a file that is not there: it would fail again in the same way.
    Give_up('the worker could not start: ' .. Last_words(code))
  elseif crashes >= MOST_CRASHES
    Give_up(printf('the worker has ended unexpectedly %d times in a row', crashes))
  else
    if crashes == 1
      message.Say('the worker ended unexpectedly and is started again')
    endif
    timer = timer_start(FIRST_DELAY_MS * float2nr(pow(2, crashes - 1)), (_) => Launch())
    Enter('waiting')
  endif
  Publish('ended')
enddef

# What the log says last of an error; below it the program tells how to get help.
def Last_words(code: number): string
  const errors = copy(log[-8 :])->filter((_, line) => line =~ '^\(error\|runabout\): ')
  return empty(errors) ? get(log, -1, 'exit code ' .. code) : substitute(errors[-1], '^\w\+: ', '', '')
enddef

def Give_up(reason: string)
  Enter('failed')
  message.Say(reason, '`:Runabout log` shows its log, and `:Runabout restart` starts it again.')
enddef

def Enter(to: string)
  state = to
  Publish('state')
enddef

def Publish(event: string, params: any = null)
  for Callback in get(subscribers, event, [])
    if params == null
      Callback()
    else
      Callback(params)
    endif
  endfor
enddef
