vim9script
# The default keys and colours.

import autoload 'runabout/settings.vim'

# By action, its key. They are keys that every terminal sends, and that Vim has no common use for in Insert mode.
const KEYS = {
  'accept': '<Tab>',
  'accept-word': '<C-Right>',
  'accept-line': '<C-End>',
  'next': '<C-Down>',
  'previous': '<C-Up>',
  'dismiss': '<C-]>',
}

# Maps the keys, except those that are mapped already: then the person combines the two (":help runabout-keys").
export def Map()
  Colours()
  const chosen: dict<string> = settings.Get('keys', {})
  for action in keys(KEYS)
    const key = get(chosen, action, KEYS[action])
    if key != '' && (has_key(chosen, action) || maparg(key, 'i') == '')
      execute 'imap <silent>' key '<Plug>(runabout-' .. action .. ')'
    endif
  endfor
enddef

# The colour of suggestions: grey, unless the colour scheme or the person says otherwise.
export def Colours()
  if str2nr(&t_Co) >= 256 || &termguicolors
    highlight default RunaboutGhost ctermfg=244 guifg=#808080
  else
    highlight default link RunaboutGhost Comment
  endif
enddef
