vim9script
# Lengths of texts in the units of the protocol, and names of files as URIs.

# The length of a text in UTF-8 bytes or UTF-16 units, as the worker counts it.
export def Units(text: string, encoding: string): number
  # Most lines are ASCII, and this is fast.
  if text !~ '[^\x00-\x7f]'
    return len(text)
  endif
  # Vim sends a byte that is not valid UTF-8 as the character with that number, so len(text) would be wrong for it.
  var units = 0
  for char in str2list(text)
    if encoding == 'utf-8'
      units += char < 0x80 ? 1 : char < 0x800 ? 2 : char < 0x10000 ? 3 : 4
    else
      units += char < 0x10000 ? 1 : 2
    endif
  endfor
  return units
enddef

# The index of the byte in a line at which that many units of the protocol are over.
export def Byte(line: string, units: number, encoding: string): number
  if line !~ '[^\x00-\x7f]'
    return min([units, len(line)])
  endif
  var at = 0
  var rest = units
  for char in split(line, '\zs')
    if rest <= 0
      break
    endif
    rest -= Units(char, encoding)
    at += len(char)
  endfor
  return at
enddef

# A file's URI.
export def Uri(path: string): string
  const slashes = has('win32') ? '/' .. substitute(path, '\\', '/', 'g') : path
  return 'file://' .. substitute(slashes, '[^A-Za-z0-9_.~/-]', (m) => Escaped(m[0]), 'g')
enddef

def Escaped(char: string): string
  return range(len(char))->map((_, at) => printf('%%%02X', char2nr(strpart(char, at, 1), false)))->join('')
enddef
