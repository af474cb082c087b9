-- Lines of a file that a conversation is about. They keep their place while the file is edited, and can be replaced.

local M = {}

local namespace = vim.api.nvim_create_namespace("runabout.selection")

---@class runabout.Selection
---@field buffer integer
---@field mark integer the extmark that follows the lines
---@field lines string[] what the lines were
---@field name string the file, as the person should see it
---@field filetype string

---@param buffer integer
---@param first integer from 0
---@param last integer
---@param mark integer?
---@return integer
local function set_mark(buffer, first, last, mark)
  local line = vim.api.nvim_buf_get_lines(buffer, last, last + 1, false)[1] or ""
  return vim.api.nvim_buf_set_extmark(buffer, namespace, first, 0, {
    id = mark,
    end_row = last,
    end_col = #line,
    right_gravity = false,
    end_right_gravity = true,
  })
end

--- The lines `first` to `last` (from 1) of a buffer.
---@param buffer integer
---@param first integer
---@param last integer
---@return runabout.Selection
function M.of(buffer, first, last)
  local name = vim.api.nvim_buf_get_name(buffer)
  return {
    buffer = buffer,
    mark = set_mark(buffer, first - 1, last - 1),
    lines = vim.api.nvim_buf_get_lines(buffer, first - 1, last, false),
    name = name ~= "" and vim.fn.fnamemodify(name, ":~:.") or "a file without a name",
    filetype = vim.bo[buffer].filetype,
  }
end

--- Where the lines are now, from 0; nil if their buffer is gone.
---@param selection runabout.Selection
---@return integer? first
---@return integer? last
function M.range(selection)
  if not vim.api.nvim_buf_is_loaded(selection.buffer) then
    return nil
  end
  local mark = vim.api.nvim_buf_get_extmark_by_id(selection.buffer, namespace, selection.mark, { details = true })
  if #mark == 0 then
    return nil
  end
  return mark[1], mark[3].end_row
end

--- The place of the lines in words, such as `lines 3 to 9 of stats.py`.
---@param selection runabout.Selection
---@return string
function M.describe(selection)
  local first, last = M.range(selection)
  if not first or not last then
    return selection.name
  end
  return first == last and ("line %d of %s"):format(first + 1, selection.name)
    or ("lines %d to %d of %s"):format(first + 1, last + 1, selection.name)
end

--- Replaces the lines. Where they changed since, that takes `force`.
---@param selection runabout.Selection
---@param lines string[]
---@param force boolean
---@return string? problem
function M.replace(selection, lines, force)
  local first, last = M.range(selection)
  if not first or not last then
    return "the file of the selection is not open any more"
  end
  local now = vim.api.nvim_buf_get_lines(selection.buffer, first, last + 1, false)
  if not force and not vim.deep_equal(now, selection.lines) then
    return "the selected lines have changed since; `:Runabout! apply` replaces them all the same"
  end
  if not vim.bo[selection.buffer].modifiable then
    return "the file of the selection cannot be changed"
  end
  vim.api.nvim_buf_set_lines(selection.buffer, first, last + 1, false, lines)
  set_mark(selection.buffer, first, first + math.max(#lines, 1) - 1, selection.mark)
  selection.lines = lines
end

return M
