-- Draws what edits would do to a buffer: what goes is marked, and what comes stands beside it or in lines of its own.
-- Where the first of them is not in the window, a note behind the cursor's line says where it is.

local text = require("runabout.text")

local M = {}

local namespace = vim.api.nvim_create_namespace("runabout.preview")

local function define_highlights()
  vim.api.nvim_set_hl(0, "RunaboutAdded", { default = true, link = "DiffAdd" })
  vim.api.nvim_set_hl(0, "RunaboutRemoved", { default = true, link = "DiffDelete" })
  vim.api.nvim_set_hl(0, "RunaboutPlace", { default = true, link = "NonText" })
end
define_highlights()
-- A colour scheme clears what it does not define itself.
vim.api.nvim_create_autocmd("ColorScheme", {
  group = vim.api.nvim_create_augroup("runabout.preview", {}),
  callback = define_highlights,
})

---@param buffer integer
---@param row integer
---@return string
local function line_of(buffer, row)
  return vim.api.nvim_buf_get_lines(buffer, row, row + 1, false)[1] or ""
end

---@param lines string[]
---@return table[] virtual lines
local function virtual(lines)
  return vim.tbl_map(function(line)
    -- A line without a cell would not be seen.
    return { { line == "" and " " or line, "RunaboutAdded" } }
  end, lines)
end

---@param buffer integer
---@param change runabout.Change
local function show_change(buffer, change)
  local function set(row, column, details)
    -- What is shown belongs to this moment: an undo must not bring it back.
    details.undo_restore = false
    vim.api.nvim_buf_set_extmark(buffer, namespace, row, column, details)
  end
  if change.end_row > change.row or change.end_column > change.column then
    set(change.row, change.column, {
      end_row = change.end_row,
      end_col = change.end_column,
      hl_group = "RunaboutRemoved",
      hl_eol = true,
      -- Above what colours the code.
      priority = 4000,
    })
  end
  if change.new == "" then
    return
  end
  local row, column = change.end_row, change.end_column
  if column == 0 and vim.endswith(change.new, "\n") then
    -- Whole lines before this one.
    local lines = virtual(text.display_lines(change.new:sub(1, -2), 0, vim.bo[buffer].tabstop))
    -- Neovim does not scroll to what is above the first line.
    return row > 0 and set(row - 1, 0, { virt_lines = lines }) or set(0, 0, { virt_lines = lines, virt_lines_above = true })
  end
  local at = vim.fn.strdisplaywidth(line_of(buffer, row):sub(1, column))
  local lines = text.display_lines(change.new, at, vim.bo[buffer].tabstop)
  set(row, column, {
    virt_text = lines[1] ~= "" and { { lines[1], "RunaboutAdded" } } or nil,
    virt_text_pos = "inline",
    virt_lines = virtual(vim.list_slice(lines, 2)),
  })
end

--- Shows what changes would do, in place of what was shown before.
---@param buffer integer the current one
---@param changes runabout.Change[]
function M.show(buffer, changes)
  M.clear(buffer)
  for _, change in ipairs(changes) do
    show_change(buffer, change)
  end
  local row, first, last = changes[1].row + 1, vim.fn.line("w0"), vim.fn.line("w$")
  if row < first or row > last then
    local note = (" %s next edit in line %d"):format(row < first and "↑" or "↓", row)
    vim.api.nvim_buf_set_extmark(buffer, namespace, vim.fn.line(".") - 1, 0, {
      virt_text = { { note, "RunaboutPlace" } },
      undo_restore = false,
    })
  end
end

---@param buffer integer
function M.clear(buffer)
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
  end
end

return M
