-- The keys of insert mode. Those that act on ghost text are mapped only while it is shown, so that `<Tab>` and the others
-- are otherwise what they were; where a menu of completions is open, they stay what they were, too.

local menu = require("runabout.menu")
local options = require("runabout.options")
local suggestion = require("runabout.suggestion")

local M = {}

local ACTIONS = {
  accept = { "Accept the suggestion", function() return suggestion.accept("all") end },
  accept_word = { "Accept the suggestion's next word", function() return suggestion.accept("word") end },
  accept_line = { "Accept the suggestion's next line", function() return suggestion.accept("line") end },
  dismiss = { "Dismiss the suggestion", suggestion.dismiss },
  next = { "Next suggestion, or ask for one", function() suggestion.cycle(1) return true end },
  previous = { "Previous suggestion, or ask for one", function() suggestion.cycle(-1) return true end },
}
-- These also ask for a suggestion where none is shown, so they are mapped all the time.
local ALWAYS = { "next", "previous" }
local WHILE_SHOWN = { "accept", "accept_word", "accept_line", "dismiss" }

---@type integer? the buffer whose keys are mapped
local mapped
---@type table<string, table> by key, what it was mapped to before
local before = {}

---@param keys string
local function feed(keys, mode)
  vim.api.nvim_feedkeys(vim.keycode(keys), mode, false)
end

--- Does what a key would do without this plugin.
---@param key string
local function fall_back(key)
  local mapping = before[key]
  if not mapping or vim.tbl_isempty(mapping) then
    return feed(key, "n")
  end
  local mode = mapping.noremap == 1 and "n" or "m"
  if mapping.callback then
    local keys = mapping.callback()
    if mapping.expr == 1 and type(keys) == "string" then
      vim.api.nvim_feedkeys(mapping.replace_keycodes == 1 and vim.keycode(keys) or keys, mode, false)
    end
  elseif mapping.expr == 1 then
    feed(vim.api.nvim_eval(mapping.rhs), mode)
  else
    feed(mapping.rhs, mode)
  end
end

---@param name string
---@return string?
local function key_of(name)
  local keys = options.current.keys
  return keys and keys[name] or nil
end

---@param buffer integer
local function map(buffer)
  mapped = buffer
  for _, name in ipairs(WHILE_SHOWN) do
    local key = key_of(name)
    if key then
      before[key] = vim.fn.maparg(key, "i", false, true)
      vim.keymap.set("i", key, function()
        if menu.open() or not ACTIONS[name][2]() then
          fall_back(key)
        end
      end, { buffer = buffer, desc = ACTIONS[name][1] })
    end
  end
end

local function unmap()
  local buffer = mapped
  mapped = nil
  if not buffer or not vim.api.nvim_buf_is_valid(buffer) then
    return
  end
  for key, mapping in pairs(before) do
    pcall(vim.keymap.del, "i", key, { buffer = buffer })
    if mapping.buffer == 1 then
      vim.api.nvim_buf_call(buffer, function()
        vim.fn.mapset("i", false, mapping)
      end)
    end
  end
  before = {}
end

--- Maps the keys that are there all the time, unless the person uses them for something else.
---@param buffer integer
function M.attach(buffer)
  for _, name in ipairs(ALWAYS) do
    local key = key_of(name)
    if key and vim.fn.maparg(key, "i") == "" then
      vim.keymap.set("i", key, ACTIONS[name][2], { buffer = buffer, desc = ACTIONS[name][1] })
    end
  end
end

function M.create()
  for name, action in pairs(ACTIONS) do
    vim.keymap.set("i", ("<Plug>(runabout-%s)"):format(name:gsub("_", "-")), function()
      action[2]()
    end, { desc = action[1] })
  end
  suggestion.on_visible = function(buffer, visible)
    if visible and mapped ~= buffer then
      unmap()
      map(buffer)
    elseif not visible then
      unmap()
    end
  end
end

return M
