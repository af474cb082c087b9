vim9script
# The command :Runabout.

import autoload 'runabout/worker.vim'
import autoload 'runabout/settings.vim'
import autoload 'runabout/status.vim'
import autoload 'runabout/message.vim'
import autoload 'runabout/suggestion.vim'
import autoload 'runabout/nextedit.vim'
import autoload 'runabout/chat.vim'

const WORDS = ['apply', 'chat', 'disable', 'enable', 'log', 'new', 'next-edit', 'restart', 'shutdown', 'stats', 'status', 'stop',
  'toggle', 'why']

export def Complete(lead: string, line: string, position: number): list<string>
  return line[: position - 1] =~ '\s\S\+\s' ? [] : copy(WORDS)->filter((_, word) => stridx(word, lead) == 0)
enddef

# Runs a subcommand. `ranges` is how many line numbers were given with it.
export def Run(words: string, ranges: number, first: number, last: number)
  status.Watch()
  const word = matchstr(words, '^\S*')
  const rest = trim(strpart(words, len(word)))
  if word == '' || word == 'status'
    Status()
  elseif word == 'why'
    echo status.Why()
  elseif word == 'next-edit'
    nextedit.Advance()
  elseif word == 'chat'
    worker.Start()
    chat.Ask(rest, ranges > 0, first, last)
  elseif word == 'new'
    chat.New()
  elseif word == 'apply'
    chat.Apply()
  elseif word == 'stop'
    chat.Stop()
  elseif word == 'enable' || word == 'disable' || word == 'toggle'
    Switch(word == 'toggle' ? !settings.Automatic(bufnr()) : word == 'enable', rest == 'buffer')
  elseif word == 'restart'
    worker.Restart()
  elseif word == 'shutdown'
    worker.Stop()
  elseif word == 'log'
    Log()
  elseif word == 'stats' && rest == ''
    Statistics()
  elseif word == 'stats'
    worker.Execute('runabout.resetStatistics', [], (_) => {
      echo 'runabout: the counts begin at zero again'
    })
  else
    message.Say('there is no `:Runabout ' .. word .. '`; the words are ' .. join(WORDS, ', '))
  endif
enddef

def Switch(on: bool, only_buffer: bool)
  if only_buffer
    b:runabout_enabled = on
  else
    settings.Set('enabled', on)
    unlet! b:runabout_enabled
    worker.SettingsChanged()
  endif
  if !on
    suggestion.Left()
  endif
  redrawstatus
enddef

def Status()
  if !worker.Running()
    Show(status.Lines({}))
    return
  endif
  worker.Execute('runabout.info', [], (answer) => {
    Show(has_key(answer, 'error') ? [message.Words(answer.error)] : status.Lines(answer.result))
  })
enddef

def Statistics()
  if !worker.Running()
    Show(['The worker does not run.'])
    return
  endif
  worker.Execute('runabout.statistics', [], (answer) => {
    Show(has_key(answer, 'error') ? [message.Words(answer.error)] : Table(answer.result, ''))
  })
enddef

# The members of a dictionary, one a line, with their names in words.
def Table(counts: dict<any>, indent: string): list<string>
  var lines: list<string> = []
  for name in sort(keys(counts))
    const label = indent .. substitute(name, '\u', ' \l\0', 'g')
    if type(counts[name]) == v:t_dict
      lines->add(label .. ':')
      lines += Table(counts[name], indent .. '  ')
    else
      lines->add(label .. ': ' .. (type(counts[name]) == v:t_string ? counts[name] : string(counts[name])))
    endif
  endfor
  return lines
enddef

def Log()
  # Without the events: the new buffer is no file, and the worker should not get it.
  noautocmd new
  setlocal buftype=nofile bufhidden=wipe noswapfile
  setline(1, empty(worker.Log()) ? ['The log is empty.'] : worker.Log())
  setlocal nomodified nomodifiable
  execute 'silent file' fnameescape('runabout log ' .. bufnr())
  normal! G
enddef

# A window over the text; any key closes it, and also does what it always does.
def Show(lines: list<string>)
  popup_create(lines, {title: ' runabout ', border: [], padding: [0, 1, 0, 1], pos: 'center', close: 'click',
    filter: (id, _) => {
      popup_close(id)
      return false
    }, mapping: false, maxwidth: &columns - 8, wrap: true})
  redraw
enddef
