vim9script
# What the worker is doing, and why nothing was suggested.

import autoload 'runabout/worker.vim'
import autoload 'runabout/settings.vim'
import autoload 'runabout/message.vim'

# The last `runabout/status` and `runabout/completion` of the worker.
var model: dict<any> = {}
var last: dict<any> = {}
# The alternative that is shown, and how many there are; 0 if none.
var alternative = [0, 0]

var watching = false

# Begins to follow what the worker says of itself.
export def Watch()
  if watching
    return
  endif
  watching = true
  worker.Subscribe('runabout/status', Changed)
  worker.Subscribe('runabout/completion', Completed)
  worker.Subscribe('ended', () => {
    model = {}
  })
  worker.Subscribe('state', () => {
    redrawstatus
  })
enddef

# The model's state has changed. What takes long or stops everything is also said.
def Changed(params: dict<any>)
  const before = get(model, 'state', '')
  model = copy(params)
  redrawstatus
  if params.state == before
    return
  elseif params.state == 'downloading'
    message.Say('the model is being downloaded; `:Runabout why` says how far it is')
  elseif params.state == 'failed' && has_key(params, 'message')
    message.Say('the model could not be loaded', params.message)
  elseif params.state == 'failed'
    # It had failed before the connection began.
    worker.Execute('runabout.info', [], (answer) => {
      model.message = get(get(answer, 'result', {}), 'message', 'See `:Runabout log`.')
      message.Say('the model could not be loaded', model.message)
    })
  endif
enddef

def Completed(params: dict<any>)
  if ['superseded', 'cancelled']->index(get(params, 'reason', '')) >= 0
    # The person has overtaken this request, so it says nothing on what the model thinks.
    return
  endif
  last = params
  # It may have changed before the worker began to notify of changes.
  if get(model, 'state', 'ready') != 'ready' && get(params, 'outcome', '') == 'offered'
    Changed({state: 'ready'})
  elseif get(model, 'state', '') =~ 'loading' && get(params, 'reason', '') == 'failed'
    Changed({state: 'failed', message: get(params, 'message', '')})
  endif
enddef

# A short text for the status line.
export def Line(): string
  return 'runabout: ' .. Short()
enddef

def Short(): string
  const process = {idle: 'not started', stopped: 'stopped', starting: 'starting', waiting: 'restarting', absent: 'not found', failed: 'failed'}
    ->get(worker.State(), '')
  if process != ''
    return process
  endif
  const state = get(model, 'state', 'ready')
  if state == 'failed'
    return 'no model'
  elseif state != 'ready'
    return state .. (has_key(model, 'percentage') ? printf(' %d%%', float2nr(1.0 * model.percentage)) : '')
  elseif !settings.Automatic(bufnr())
    return 'off'
  elseif alternative[1] > 1
    return printf('%d/%d', alternative[0], alternative[1])
  endif
  return 'ready'
enddef

# Why the last request suggested nothing, or what it suggested, in one sentence.
export def Why(): string
  if worker.State() != 'running'
    return 'The worker does not run: ' .. Short() .. '.'
  elseif get(model, 'state', 'ready') != 'ready'
    return get(model, 'message', 'The model is not ready: ' .. Short() .. '.')
  elseif empty(last)
    return settings.Automatic(bufnr()) ? 'Nothing was asked for yet.' : 'Suggestions are switched off.'
  elseif get(last, 'message', '') != ''
    return last.message
  elseif get(last, 'outcome', '') == 'offered'
    return 'A suggestion was offered.'
  endif
  return 'Nothing was suggested: ' .. substitute(get(last, 'reason', 'no reason given'), '_', ' ', 'g') .. '.'
enddef

# The lines of `:Runabout status`, from the worker's answer to `runabout.info`.
export def Lines(info: dict<any>): list<string>
  var lines = ['State: ' .. Short()]
  for [name, label] in [['model', 'Model'], ['device', 'Device'], ['message', 'Message']]
    if get(info, name, '') != ''
      lines->add(label .. ': ' .. info[name])
    endif
  endfor
  if get(info, 'memoryBytes', 0) > 0
    lines->add(printf('Memory: %d MiB', info.memoryBytes / 1024 / 1024))
  endif
  lines->add('Last: ' .. Why())
  var figures: list<string> = []
  for [name, format] in [['confidence', 'confidence %.2f'], ['firstTokenMs', 'first token after %.0f ms'],
      ['totalMs', '%.0f ms in all'], ['tokensPerSecond', '%.0f tokens per second']]
    const value = get(last, name, null)
    if type(value) == v:t_number || type(value) == v:t_float
      figures->add(printf(format, 1.0 * value))
    endif
  endfor
  for [name, format] in [['completionTokens', '%d tokens generated'], ['promptTokens', '%d tokens in the prompt'],
      ['cachedTokens', '%d of them from the cache']]
    const value = get(last, name, null)
    if type(value) == v:t_number
      figures->add(printf(format, value))
    endif
  endfor
  if !empty(figures)
    lines->add('      ' .. join(figures, ', '))
  endif
  return lines
enddef

# A request failed; the reason is shown by `:Runabout why`.
export def Failed(reason: string)
  last = {outcome: 'nothing', message: toupper(reason[0]) .. reason[1 :] .. '.'}
enddef

export def Alternatives(which: number, among: number)
  if alternative != [which, among]
    alternative = [which, among]
    redrawstatus
  endif
enddef
