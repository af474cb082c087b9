vim9script
# Says something to the person without ever waiting for a key.

# Shows one line at the bottom of the screen, and keeps it in ":messages"; the details, if any, are in a pop-up for a while.
export def Say(line: string, details = '')
  const text = 'runabout: ' .. line
  echohl WarningMsg
  # A longer one would wait for ENTER.
  echomsg strcharpart(text, 0, max([20, v:echospace]))
  echohl None
  if details != '' || strchars(text) > v:echospace
    popup_notification([text] + (details == '' ? [] : [details]),
      {time: 12000, highlight: 'WarningMsg', maxwidth: max([20, &columns - 10]), wrap: true, line: 2})
  endif
enddef

# What an error of the worker means, in plain words.
export def Words(error: dict<any>): string
  const data = type(get(error, 'data', {})) == v:t_dict ? get(error, 'data', {}) : {}
  const kind = get(data, 'kind', '')
  const hint = get(data, 'hint', '') == '' ? '' : ' (' .. data.hint .. ')'
  if kind == 'model_load_failed'
    return 'the model could not be loaded: ' .. get(data, 'cause', get(error, 'message', '')) .. hint
  elseif kind == 'prompt_too_long'
    return printf('the text is too long for the model: %s tokens, and it takes %s',
      get(data, 'prompt_tokens', '?'), get(data, 'limit', '?'))
  elseif kind == 'overloaded'
    return 'the worker is busy; try again in a moment'
  elseif kind == 'out_of_memory'
    return 'there is not enough memory for this request'
  elseif kind == 'generation_failed'
    return 'the model failed on this request'
  elseif kind == 'unsupported'
    return 'the model cannot do this: ' .. get(error, 'message', '')
  elseif kind == 'shutting_down'
    return 'the worker is ending'
  endif
  return substitute(get(error, 'message', 'an error without a message'), '\n', '; ', 'g')
enddef
