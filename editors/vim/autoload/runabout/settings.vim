vim9script
# The settings: what the person has written into g:runabout, with the defaults of what is left out.

# The settings that the worker interprets; they are sent to it as they are. `nextEditFormat` is `nextEdit` there: here that
# says when a next edit is shown.
const OF_WORKER = ['enabled', 'languages', 'minConfidence', 'multiline', 'maxTokens', 'alternatives', 'context', 'ahead',
  'completionList', 'nextEditFormat', 'statistics']

# Those of them that are true or false, which many write as 1 or 0 in Vim.
const SWITCHES = ['enabled', 'ahead', 'completionList', 'statistics']

# The value of a setting of this plugin, or the default.
export def Get(name: string, default: any): any
  return get(get(g:, 'runabout', {}), name, default)
enddef

# Changes a setting for this session.
export def Set(name: string, value: any)
  if !exists('g:runabout')
    g:runabout = {}
  endif
  g:runabout[name] = value
enddef

# Whether suggestions appear by themselves in a buffer.
export def Automatic(buffer: number): bool
  return Truth(Get('enabled', true)) && Truth(getbufvar(buffer, 'runabout_enabled', true))
enddef

# When the next edit is shown: 'off', 'manual' or 'automatic'. A model that was not made for edits, such as the default
# one, only adds to the last edit, where a suggestion has been already; so by default nothing comes by itself.
export def NextEdit(): string
  const value = Get('nextEdit', 'manual')
  return ['off', 'manual', 'automatic']->index(value) < 0 ? 'manual' : value
enddef

# The settings for the worker. Those that are not set are left out, because the worker has the defaults.
export def ForWorker(): dict<any>
  var found: dict<any> = {}
  for name in OF_WORKER
    const value = Get(name, null)
    if value == null
      continue
    elseif name == 'nextEditFormat'
      found.nextEdit = value
    elseif SWITCHES->index(name) >= 0
      found[name] = Truth(value)
    elseif name == 'languages' && type(value) == v:t_dict
      found[name] = mapnew(value, (_, it) => Truth(it))
    else
      found[name] = value
    endif
  endfor
  return found
enddef

def Truth(value: any): bool
  return type(value) == v:t_number ? value != 0 : type(value) == v:t_bool ? value : true
enddef
