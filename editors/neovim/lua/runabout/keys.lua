-- The keys. Those that act on ghost text, or on the next edit, are mapped only while it is shown, so that `<Tab>` and the
-- others are otherwise what they were; where a menu of completions is open, they stay what they were, too.

local menu = require("runabout.menu")
local next_edit = require("runabout.next_edit")
local options = require("runabout.options")
local suggestion = require("runabout.suggestion")

local M = {}

local ACTIONS = {
  accept = {
    "Accept the suggestion, or go to the next edit and apply it",
    function() return suggestion.accept("all") or next_edit.accept() end,
  },
  accept_word = { "Accept the suggestion's next word", function() return suggestion.accept("word") end },
  accept_line = { "Accept the suggestion's next line", function() return suggestion.accept("line") end },
  dismiss = { "Dismiss the suggestion", function() return suggestion.dismiss() or next_edit.dismiss() end },
  next = { "Next suggestion, or ask for one", function() suggestion.cycle(1) return true end },
  previous = { "Previous suggestion, or ask for one", function() suggestion.cycle(-1) return true end },
  next_edit = { "Show the next edit, go to it, apply it", function() next_edit.advance() return true end },
}
-- These also ask for a suggestion where none is shown, so they are mapped all the time.
local ALWAYS = { next = { "i" }, previous = { "i" }, next_edit = { "i", "n" } }
local WHILE_SHOWN = { "accept", "accept_word", "accept_line", "dismiss" }
-- In normal mode this removes the next edit.
local ESCAPE = "<Esc>"

---@type integer? the buffer whose keys are mapped
local mapped
---@type table<string, table> by key of insert mode, what it was mapped to before
local before = {}
---@type { buffer: integer, mapping: table }? where the escape key of normal mode is mapped, and what it was mapped to
local escape

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

---@param buffer integer
---@param mode string
---@param key string
---@param mapping table what it was mapped to before
local function restore(buffer, mode, key, mapping)
  pcall(vim.keymap.del, mode, key, { buffer = buffer })
  if mapping.buffer == 1 then
    vim.api.nvim_buf_call(buffer, function()
      vim.fn.mapset(mode, false, mapping)
    end)
  end
end

local function unmap()
  local buffer = mapped
  mapped = nil
  if not buffer or not vim.api.nvim_buf_is_valid(buffer) then
    return
  end
  for key, mapping in pairs(before) do
    restore(buffer, "i", key, mapping)
  end
  before = {}
end

local function map_escape(buffer)
  escape = { buffer = buffer, mapping = vim.fn.maparg(ESCAPE, "n", false, true) }
  vim.keymap.set("n", ESCAPE, next_edit.dismiss, { buffer = buffer, desc = "Remove the next edit" })
end

local function unmap_escape()
  if escape and vim.api.nvim_buf_is_valid(escape.buffer) then
    restore(escape.buffer, "n", ESCAPE, escape.mapping)
  end
  escape = nil
end

--- Maps the keys that are there all the time, unless the person uses them for something else.
---@param buffer integer
function M.attach(buffer)
  for name, modes in pairs(ALWAYS) do
    local key = key_of(name)
    local unwanted = name == "next_edit" and options.current.next_edit == "off"
    for _, mode in ipairs(key and not unwanted and modes or {}) do
      if vim.fn.maparg(key, mode) == "" then
        vim.keymap.set(mode, key, ACTIONS[name][2], { buffer = buffer, desc = ACTIONS[name][1] })
      end
    end
  end
end

function M.create()
  for name, action in pairs(ACTIONS) do
    vim.keymap.set(ALWAYS[name] or "i", ("<Plug>(runabout-%s)"):format(name:gsub("_", "-")), function()
      action[2]()
    end, { desc = action[1] })
  end
  local function update(buffer)
    local visible = suggestion.visible() or next_edit.visible()
    if visible and mapped ~= buffer then
      unmap()
      map(buffer)
    elseif not visible then
      unmap()
    end
  end
  suggestion.on_visible = update
  next_edit.on_visible = function(buffer, visible)
    update(buffer)
    unmap_escape()
    if visible and key_of("dismiss") then
      map_escape(buffer)
    end
  end
end

return M
