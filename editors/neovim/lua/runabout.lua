-- Runabout in Neovim: ghost text and chat from a language model on this machine.
-- This file is what a configuration may call. The plugin's parts are the files of the folder `runabout`; `worker` owns
-- the process, `suggestion` the ghost text, `chat` the conversation, and none of them ever waits for the worker.

local M = {}

local done = false

-- Plugin managers make the tags of `:help` for the top folder of a repository only, and this plugin is below it.
local function make_help_tags()
  local doc = vim.fs.normalize(debug.getinfo(1, "S").source:sub(2)):gsub("lua/runabout%.lua$", "doc")
  if not vim.uv.fs_stat(doc .. "/tags") then
    -- Where the folder cannot be written, there is no `:help`, and nothing else is wrong.
    pcall(vim.cmd.helptags, doc)
  end
end

--- Sets the plugin up; may be called again to change options.
---@param options table? see `:help runabout-options`
function M.setup(options)
  if vim.fn.has("nvim-0.10") == 0 then
    vim.notify("runabout needs Neovim 0.10 or later", vim.log.levels.ERROR)
    return
  end
  done = true
  make_help_tags()
  require("runabout.options").set(options)
  require("runabout.command").create()
  require("runabout.keys").create()
  require("runabout.attach").create()
end

--- Sets the plugin up with `vim.g.runabout`, unless that was done already.
function M.ensure_setup()
  if not done then
    M.setup(vim.g.runabout)
  end
end

--- Accepts the suggestion, or its next word or line. Returns false, and does nothing, where none is shown.
---@param part "all"|"word"|"line"|nil
---@return boolean
function M.accept(part)
  return require("runabout.suggestion").accept(part or "all")
end

--- Shows another suggestion; asks for one where none is shown.
---@param step integer? 1 for the next (the default), -1 for the previous
function M.cycle(step)
  require("runabout.suggestion").cycle(step or 1)
end

--- Removes the ghost text and tells the worker that it was not wanted, or removes the next edit. Returns false where
--- neither is shown.
---@return boolean
function M.dismiss()
  return require("runabout.suggestion").dismiss() or require("runabout.next_edit").dismiss()
end

--- Shows the next edit; where it is shown, goes to it, and then applies it.
function M.next_edit()
  require("runabout.next_edit").advance()
end

--- True while ghost text is shown.
---@return boolean
function M.visible()
  return require("runabout.suggestion").visible()
end

--- A few words on the state of the worker, for a statusline.
---@return string
function M.statusline()
  return require("runabout.status").statusline()
end

return M
