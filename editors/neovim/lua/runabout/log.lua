-- The plugin's own log: what `:Runabout log` shows. It is kept in memory and bounded.
-- It has no text of the person's files.

local M = {}

local LIMIT = 500

---@type string[]
M.lines = {}

--- Adds an entry.
---@param text string
function M.add(text)
  for line in vim.gsplit(text, "\n", { plain = true, trimempty = true }) do
    table.insert(M.lines, os.date("%H:%M:%S ") .. line)
  end
  while #M.lines > LIMIT do
    table.remove(M.lines, 1)
  end
end

--- Adds an entry and shows it to the person. A message that comes by itself must fit into one line: Neovim stops for a
--- key after a longer one, and that key may be one that the person meant to type.
---@param text string
---@param level integer? one of `vim.log.levels`
function M.say(text, level)
  M.add(text)
  vim.schedule(function()
    local message = ("runabout: " .. text):gsub("%s*\n%s*", "; ")
    local room = vim.v.echospace - 1
    if vim.fn.strdisplaywidth(message) > room then
      local more = "... (:Runabout log)"
      message = vim.fn.strcharpart(message, 0, math.max(0, room - #more)) .. more
    end
    vim.notify(message, level or vim.log.levels.INFO)
  end)
end

--- The file in which Neovim keeps what language servers write to stderr.
---@return string
function M.path()
  return vim.lsp.log and vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
end

--- What a program has written to stderr lately.
---@param program string
---@param since string? only what came then or later, as in `2026-01-31 23:59:59`
---@return string[]
function M.stderr(program, since)
  local file = io.open(M.path(), "rb")
  if not file then
    return {}
  end
  file:seek("set", math.max(0, file:seek("end") - 100000))
  local content = file:read("*a") or ""
  file:close()
  local parts = {}
  for line in vim.gsplit(content, "\n", { plain = true, trimempty = true }) do
    local time, said = line:match('^%[%u+%]%[([%d-]+ [%d:]+)%].-"stderr"%s+"(.*)"$')
    if said and line:find(program, 1, true) and (not since or time >= since) then
      -- Neovim writes it as a Lua string, in the pieces in which it came, which need not be lines.
      table.insert(parts, (said:gsub("\\n", "\n"):gsub("\\t", "\t"):gsub('\\(["\\])', "%1")))
    end
  end
  return vim.split(table.concat(parts), "\n", { plain = true, trimempty = true })
end

return M
