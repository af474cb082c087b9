vim9script
# The functions that a person's vimrc may call; see ":help runabout-functions".

import autoload 'runabout/suggestion.vim'
import autoload 'runabout/status.vim'

# For an <expr> mapping: the keys that insert what is left of the suggestion; '' if none is shown.
export def Accept(): string
  return suggestion.Accept('all')
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

# Removes the suggestion, and tells the worker that it was not wanted.
export def Dismiss()
  suggestion.Dismiss()
enddef

# Whether a suggestion is shown.
export def Visible(): bool
  return suggestion.Visible()
enddef

# A short text for 'statusline', such as "runabout: ready".
export def Statusline(): string
  return status.Line()
enddef
