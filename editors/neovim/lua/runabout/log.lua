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

return M
