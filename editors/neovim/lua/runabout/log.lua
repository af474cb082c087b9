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

--- Adds an entry and shows it to the person.
---@param text string
---@param level integer? one of `vim.log.levels`
function M.say(text, level)
  M.add(text)
  vim.schedule(function()
    vim.notify("runabout: " .. text, level or vim.log.levels.INFO)
  end)
end

return M
