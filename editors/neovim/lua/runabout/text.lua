-- Rules about text, without any state: what the next word and line are, and lengths in UTF-16 units.
-- Inside the plugin a suggestion has "\n" as its line end and positions are bytes, as in Neovim.

local M = {}

--- The number of UTF-16 units of UTF-8 text: one for each character, and one more for each beyond U+FFFF.
---@param text string
---@return integer
function M.utf16_length(text)
  local _, characters = text:gsub("[^\128-\191]", "")
  local _, long = text:gsub("[\240-\247]", "")
  return characters + long
end

--- The byte in `line` at a position that the worker counted in `encoding`.
---@param line string
---@param units integer
---@param encoding string "utf-8", "utf-16" or "utf-32"
---@return integer
function M.byte_offset(line, units, encoding)
  if encoding == "utf-8" then
    return math.min(units, #line)
  end
  local at = 0
  for character in line:gmatch("[^\128-\191][\128-\191]*") do
    if units <= 0 then
      return at
    end
    units = units - ((encoding == "utf-16" and #character == 4) and 2 or 1)
    at = at + #character
  end
  return at
end

-- White space, then one run of keyword characters or of other ones. `\k` follows 'iskeyword', so that words are the same
-- as for Neovim's own `w`. It is not `\S`, which a line break is, too.
local WORD = [[^\_s*\%(\k\+\|\%(\k\@![^ \t\n]\)\+\)]]

--- What accepting a word takes from the beginning of `text`: the white space before the word, and the word.
---@param text string
---@return string
function M.next_word(text)
  local word = vim.fn.matchstr(text, WORD)
  return word ~= "" and word or text
end

--- What accepting a line takes from the beginning of `text`: line breaks before the line, and the line without its end.
---@param text string
---@return string
function M.next_line(text)
  local breaks = text:match("^[\n]*")
  return breaks .. text:sub(#breaks + 1):match("^[^\n]*")
end

--- The lines of `text` with tabs as the spaces that they take where `text` begins at column `column`.
--- Virtual text shows a tab as `^I` or as a single cell, depending on Neovim's version.
---@param text string
---@param column integer
---@param tabstop integer
---@return string[]
function M.display_lines(text, column, tabstop)
  local lines = vim.split(text, "\n", { plain = true })
  for i, line in ipairs(lines) do
    local at = i == 1 and column or 0
    local parts = {}
    for piece, tab in line:gmatch("([^\t]*)(\t?)") do
      at = at + vim.fn.strdisplaywidth(piece)
      table.insert(parts, piece)
      if tab ~= "" then
        local width = tabstop - at % tabstop
        at = at + width
        table.insert(parts, (" "):rep(width))
      end
    end
    lines[i] = table.concat(parts)
  end
  return lines
end

--- A line in pieces of at most `width` cells: Neovim cuts virtual lines off where the window ends.
---@param line string
---@param width integer
---@return string[]
function M.wrap(line, width)
  if width < 1 or vim.fn.strdisplaywidth(line) <= width then
    return { line }
  end
  local pieces, piece, at = {}, {}, 0
  for character in line:gmatch("[^\128-\191][\128-\191]*") do
    local cells = vim.fn.strdisplaywidth(character)
    if at + cells > width then
      table.insert(pieces, table.concat(piece))
      piece, at = {}, 0
    end
    table.insert(piece, character)
    at = at + cells
  end
  table.insert(pieces, table.concat(piece))
  return pieces
end

--- The first fenced code block of a Markdown text that ends behind line `from`, or the last one if `from` is nil.
---@param lines string[]
---@param from integer?
---@return string[]? code
function M.code_block(lines, from)
  local found, code, fence
  for i, line in ipairs(lines) do
    local mark = line:match("^%s*(```+)") or line:match("^%s*(~~~+)")
    if fence and mark and vim.trim(line) == mark and #mark >= #fence and mark:sub(1, 1) == fence:sub(1, 1) then
      found, fence = code, nil
      if from and i >= from then
        return found
      end
    elseif not fence and mark then
      fence, code = mark, {}
    elseif fence then
      table.insert(code, line)
    end
  end
  if from then
    return nil
  end
  -- An answer that was cut short may lack the closing fence.
  return fence and #code > 0 and code or found
end

---@param lines string[]
---@return string
local function common_indent(lines)
  local common
  for _, line in ipairs(lines) do
    if line:find("%S") then
      local indent = line:match("^[ \t]*")
      if not common then
        common = indent
      end
      while indent:sub(1, #common) ~= common do
        common = common:sub(1, -2)
      end
    end
  end
  return common or ""
end

--- `code` moved to the indentation of `original`: models often answer without the indentation of a selection.
---@param code string[]
---@param original string[]
---@return string[]
function M.reindent(code, original)
  local from, to = common_indent(code), common_indent(original)
  return vim.tbl_map(function(line)
    return line:find("%S") and to .. line:sub(#from + 1) or ""
  end, code)
end

return M
