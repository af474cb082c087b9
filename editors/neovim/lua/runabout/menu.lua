-- Neovim's pop-up menu of completions and those of two widespread plugins: what is selected, and whether one is open.

local M = {}

--- True while a menu is open that has its own use for the keys.
---@return boolean
function M.open()
  if vim.fn.pumvisible() == 1 then
    return true
  end
  local cmp, blink = package.loaded["cmp"], package.loaded["blink.cmp"]
  local ok, visible = pcall(function()
    return (cmp and cmp.visible()) or (blink and blink.is_menu_visible())
  end)
  return ok and visible or false
end

--- The entry that is selected in Neovim's menu but not inserted yet, and where it would begin (a byte, from 0).
---@param before string the text before the cursor
---@return string? word
---@return integer? column
function M.selected(before)
  if vim.fn.pumvisible() == 0 then
    return nil
  end
  local info = vim.fn.complete_info({ "selected", "items" })
  local entry = info.selected >= 0 and info.items[info.selected + 1]
  if not entry or entry.word == "" or vim.endswith(before, entry.word) then
    return nil
  end
  -- Neovim does not tell where the completion began: it is the longest end of the text that begins the entry.
  for length = math.min(#before, #entry.word - 1), 1, -1 do
    if before:sub(-length) == entry.word:sub(1, length) then
      return entry.word, #before - length
    end
  end
  return nil
end

return M
