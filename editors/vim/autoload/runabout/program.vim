vim9script
# Finds the program `runabout`.

import autoload 'runabout/settings.vim'

# Where installers put programs that are not always in the PATH of an editor that a desktop has started.
const PLACES = ['~/.cargo/bin', '~/.local/bin', '/opt/homebrew/bin', '/usr/local/bin']

# Where the program is after a build, if this file is in the repository.
const BUILD = resolve(expand('<sfile>:p'))->fnamemodify(':h:h:h:h:h') .. '/target/release'

# The program's path; '' if it is in none of the places.
export def Find(): string
  const name: string = settings.Get('program', '')
  if name != ''
    return exepath(expand(name))
  endif
  const found = exepath('runabout')
  if found != ''
    return found
  endif
  for place in [BUILD] + PLACES
    const path = expand(place) .. '/runabout'
    if executable(path)
      return path
    endif
  endfor
  return ''
enddef

# What to say if the program is absent: one short line, and then the remedy.
export def Absent(): list<string>
  const name: string = settings.Get('program', '')
  if name != ''
    return ['the program `' .. name .. '` is not there or cannot be run',
      'It is named by g:runabout.program. Correct that setting, then call `:Runabout restart`.']
  endif
  return ['the program `runabout` was not found',
    'It is neither in the PATH nor in ' .. join(PLACES, ', ') .. '. '
    .. 'Build it with `cargo xtask setup && cargo build --release` in the repository, '
    .. 'or name it in g:runabout.program. '
    .. 'Then call `:Runabout restart`. See `:help runabout-install`.']
enddef
