-- Which buffers the worker gets to see, and the events that the plugin follows in them.

local next_edit = require("runabout.next_edit")
local options = require("runabout.options")
local suggestion = require("runabout.suggestion")
local worker = require("runabout.worker")

local M = {}

--- Files, and what becomes one; not terminals, prompts, help or the windows of other plugins.
---@param buffer integer
---@return boolean
function M.suits(buffer)
  return vim.api.nvim_buf_is_loaded(buffer)
    and vim.bo[buffer].buftype == ""
    and vim.bo[buffer].buflisted
    and vim.bo[buffer].modifiable
    -- Neovim gives all buffers without a name the same URI, and the worker would take them for one document.
    and vim.api.nvim_buf_get_name(buffer) ~= ""
    -- Neovim itself keeps a copy of every line for a language server; beyond this, that is felt.
    and vim.api.nvim_buf_get_offset(buffer, vim.api.nvim_buf_line_count(buffer)) < 20 * 1024 * 1024
end

---@param buffer integer
local function consider(buffer)
  if not M.suits(buffer) then
    return
  end
  if not worker.attached(buffer) then
    worker.attach(buffer)
    require("runabout.keys").attach(buffer)
  end
  if options.current.autostart and worker.untouched() then
    worker.start()
  end
end

--- All buffers that suit, for a worker that is started by hand.
function M.all()
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if M.suits(buffer) then
      worker.attach(buffer)
      require("runabout.keys").attach(buffer)
    end
  end
end

function M.create()
  local group = vim.api.nvim_create_augroup("runabout", {})
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, callback = callback })
  end
  -- FileType comes when a buffer's language is known, InsertEnter for buffers that never get one.
  on({ "FileType", "InsertEnter" }, function(event)
    -- A buffer is often set up while it is filled, and only then is it known what it is for.
    vim.schedule(function()
      consider(event.buf)
    end)
  end)
  on("BufEnter", function(event)
    if worker.attached(event.buf) then
      worker.notify("textDocument/didFocus", { textDocument = { uri = vim.uri_from_bufnr(event.buf) } })
    end
  end)
  on("BufDelete", function(event)
    worker.detach(event.buf)
    next_edit.forget(event.buf)
  end)
  on({ "TextChangedI", "TextChangedP", "CursorMovedI", "CompleteChanged" }, function()
    if vim.v.event.completed_item then
      -- The text must not be looked at while the menu changes it.
      vim.schedule(suggestion.changed)
    else
      suggestion.changed()
    end
  end)
  on("InsertEnter", function()
    -- The cursor gets to its place after this event.
    vim.schedule(suggestion.changed)
  end)
  on({ "InsertLeave", "BufLeave" }, suggestion.left)
  on({ "TextChangedI", "TextChangedP", "CursorMovedI", "CursorMoved", "WinScrolled", "BufEnter" }, function()
    next_edit.changed()
  end)
  on({ "TextChanged", "InsertLeave" }, function()
    next_edit.changed(true)
  end)
  on("BufLeave", next_edit.left)
  on("BufWritePost", function(event)
    next_edit.written(event.buf)
  end)
  -- Set up after the first file was opened, as plugin managers do.
  if vim.v.vim_did_enter == 1 then
    for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
      if vim.bo[buffer].filetype ~= "" then
        consider(buffer)
      end
    end
  end
end

return M
