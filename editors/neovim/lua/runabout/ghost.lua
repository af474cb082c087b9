-- Draws ghost text: the first line at the cursor, the others as lines below. Knows nothing of where the text comes from.

local text = require("runabout.text")

local M = {}

local namespace = vim.api.nvim_create_namespace("runabout.ghost")

local function define_highlights()
  vim.api.nvim_set_hl(0, "RunaboutGhost", { default = true, link = "NonText" })
  vim.api.nvim_set_hl(0, "RunaboutCount", { default = true, link = "NonText" })
end
define_highlights()
-- A colour scheme clears what it does not define itself.
vim.api.nvim_create_autocmd("ColorScheme", {
  group = vim.api.nvim_create_augroup("runabout.ghost", {}),
  callback = define_highlights,
})

--- Shows `content` at a position, in place of what was shown before.
---@param buffer integer
---@param row integer from 0
---@param column integer in bytes, from 0
---@param content string
---@param note string? a few words at the end of the first line
function M.show(buffer, row, column, content, note)
  local line = vim.api.nvim_buf_get_lines(buffer, row, row + 1, false)[1] or ""
  local at = vim.fn.strdisplaywidth(line:sub(1, column))
  local lines = text.display_lines(content, at, vim.bo[buffer].tabstop)
  local virtual = {}
  local window = vim.fn.getwininfo(vim.api.nvim_get_current_win())[1]
  local width = vim.wo.wrap and window.width - window.textoff or math.huge
  for i = 2, #lines do
    for _, piece in ipairs(text.wrap(lines[i], width)) do
      table.insert(virtual, { { piece, "RunaboutGhost" } })
    end
  end
  local first = { { lines[1], "RunaboutGhost" } }
  if note then
    table.insert(first, { note, "RunaboutCount" })
  end
  M.clear(buffer)
  vim.api.nvim_buf_set_extmark(buffer, namespace, row, column, {
    virt_text = first,
    virt_text_pos = "inline",
    virt_lines = virtual,
    hl_mode = "combine",
    -- The text belongs to this moment: an undo must not bring it back.
    undo_restore = false,
  })
end

--- Removes what is shown in a buffer.
---@param buffer integer
function M.clear(buffer)
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
  end
end

return M
