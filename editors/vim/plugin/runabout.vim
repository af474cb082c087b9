vim9script
# Commands, keys and events of the runabout plugin. Everything else is in autoload/ and is loaded at its first use.

if exists('g:loaded_runabout')
  finish
endif
g:loaded_runabout = true

if !has('patch-9.0.1378') || !has('job') || !has('channel') || !has('timers') || !has('textprop')
  # A person who shares one vimrc between machines should not see an error on each start: only the command complains.
  command! -nargs=* Runabout echohl WarningMsg | echo 'runabout needs Vim 9.0.1378 or later with +channel and +textprop' | echohl None
  finish
endif

import autoload 'runabout/command.vim'
import autoload 'runabout/documents.vim'
import autoload 'runabout/suggestion.vim'
import autoload 'runabout/nextedit.vim'
import autoload 'runabout/keys.vim'

command -nargs=* -range -complete=customlist,command.Complete Runabout command.Run(<q-args>, <range>, <line1>, <line2>)

inoremap <silent> <expr> <Plug>(runabout-accept) runabout#Accept()
inoremap <silent> <expr> <Plug>(runabout-accept-word) runabout#AcceptWord()
inoremap <silent> <expr> <Plug>(runabout-accept-line) runabout#AcceptLine()
inoremap <silent> <Plug>(runabout-next) <Cmd>call runabout#Next()<CR>
inoremap <silent> <Plug>(runabout-previous) <Cmd>call runabout#Previous()<CR>
inoremap <silent> <Plug>(runabout-dismiss) <Cmd>call runabout#Dismiss()<CR>
inoremap <silent> <Plug>(runabout-next-edit) <Cmd>call runabout#NextEdit()<CR>
nnoremap <silent> <Plug>(runabout-next-edit) <Cmd>call runabout#NextEdit()<CR>

augroup runabout
  autocmd!
  autocmd InsertEnter * suggestion.Entered()
  autocmd TextChangedI * suggestion.Changed()
  autocmd CursorMovedI * suggestion.Moved()
  autocmd TextChangedP * suggestion.Hidden()
  autocmd InsertLeave,BufLeave * suggestion.Left()
  # CTRL-C leaves Insert mode without InsertLeave.
  autocmd ModeChanged i*:n suggestion.Left()
  autocmd TextChangedI,TextChangedP,CursorMoved,CursorMovedI,WinScrolled * nextedit.Changed()
  autocmd TextChanged,InsertLeave * nextedit.Paused()
  autocmd BufWritePost * nextedit.Written()
  autocmd BufLeave * nextedit.Left()
  autocmd BufEnter * documents.Entered(expand('<abuf>')->str2nr())
  autocmd BufReadPost * documents.Reread(expand('<abuf>')->str2nr())
  autocmd BufWritePost * documents.Written(expand('<abuf>')->str2nr())
  autocmd FileType,BufFilePost * documents.Renamed(expand('<abuf>')->str2nr())
  autocmd BufUnload * documents.Unloaded(expand('<abuf>')->str2nr())
  autocmd OptionSet fileformat documents.Reread(bufnr())
  autocmd ColorScheme * keys.Colours()
augroup END

if v:vim_did_enter
  keys.Map()
else
  # At the end of the start-up, so that the person's own mappings, and other plugins', come first.
  autocmd runabout VimEnter * ++once keys.Map()
endif
