vim9script
# The functions that a person's vimrc may call; see ":help runabout-functions".

import autoload 'runabout/suggestion.vim'
import autoload 'runabout/nextedit.vim'
import autoload 'runabout/status.vim'

# For an <expr> mapping: the keys that insert what is left of the suggestion, or go to the next edit or apply it; '' if
# neither is shown.
export def Accept(): string
  return !suggestion.Visible() && nextedit.Visible() ? "\<Cmd>call runabout#NextEdit()\<CR>" : suggestion.Accept('all')
enddef

# Shows the next edit; where it is shown, goes to it, and then applies it.
export def NextEdit()
  nextedit.Advance()
enddef

# For an <expr> mapping: the keys that insert the suggestion's next word.
export def AcceptWord(): string
  return suggestion.Accept('word')
enddef

# For an <expr> mapping: the keys that insert the suggestion's next line.
export def AcceptLine(): string
  return suggestion.Accept('line')
enddef

# Shows the next alternative, or asks for suggestions if none is shown.
export def Next()
  suggestion.Cycle(1)
enddef

# Shows the previous alternative, or asks for suggestions if none is shown.
export def Previous()
  suggestion.Cycle(-1)
enddef

# Removes the next edit, or the suggestion, and tells the worker that it was not wanted.
export def Dismiss()
  if !nextedit.Dismiss()
    suggestion.Dismiss()
  endif
enddef

# Whether a suggestion or the next edit is shown, so that Accept() has something to do.
export def Visible(): bool
  return suggestion.Visible() || nextedit.Visible()
enddef

# A short text for 'statusline', such as "runabout: ready".
export def Statusline(): string
  return status.Line()
enddef
