vim9script
# The default keys and colours.

import autoload 'runabout/settings.vim'

# By action, its key. They are keys that every terminal sends, and that Vim has no common use for in Insert mode. The last
# one is also for Normal mode.
const KEYS = {
  'accept': '<Tab>',
  'accept-word': '<C-Right>',
  'accept-line': '<C-End>',
  'next': '<C-Down>',
  'previous': '<C-Up>',
  'dismiss': '<C-]>',
  'next-edit': '<F8>',
}

# The actions that insert something, with the functions for them.
const ACCEPTING = {
  'accept': 'runabout#Accept()',
  'accept-word': 'runabout#AcceptWord()',
  'accept-line': 'runabout#AcceptLine()',
}

# Maps the keys, except those that are mapped already: then the person combines the two (":help runabout-keys").
export def Map()
  Colours()
  const chosen: dict<string> = settings.Get('keys', {})
  for action in keys(KEYS)
    const key = get(chosen, action, KEYS[action])
    if key != '' && (has_key(chosen, action) || maparg(key, 'i') == '')
      if has_key(ACCEPTING, action) && key =~ '^<'
        # Where nothing is shown, the key does what it does without this plugin.
        execute printf('inoremap <silent> <expr> %s runabout#Visible() ? %s : "\%s"', key, ACCEPTING[action], key)
      else
        execute 'imap <silent>' key '<Plug>(runabout-' .. action .. ')'
      endif
    endif
    if action == 'next-edit' && key != '' && (has_key(chosen, action) || maparg(key, 'n') == '')
      execute 'nmap <silent>' key '<Plug>(runabout-next-edit)'
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
  highlight default link RunaboutAdded DiffAdd
  highlight default link RunaboutRemoved DiffDelete
  highlight default link RunaboutPlace RunaboutGhost
enddef
