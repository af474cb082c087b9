-- The next edit: what the worker thinks will be changed next, which may be some lines away. It is shown where it is, as
-- `preview` draws it; the key that asked for it then goes there, and then applies it. It belongs to the text that it was
-- computed for, so any other change of the buffer removes it, and nothing is applied to another text.

local log = require("runabout.log")
local options = require("runabout.options")
local plain = require("runabout.plain")
local preview = require("runabout.preview")
local state = require("runabout.state")
local status = require("runabout.status")
local suggestion = require("runabout.suggestion")
local text = require("runabout.text")
local worker = require("runabout.worker")

local M = {}

local INVOKED, AUTOMATIC = 1, 2

-- For so long nobody may type before an edit is asked for by itself: it takes the model's time from suggestions.
local PAUSE_MS = 500

--- A piece of text to be put in the place of another; rows and columns from 0, columns in bytes.
---@class runabout.Change
---@field row integer
---@field column integer
---@field end_row integer
---@field end_column integer
---@field new string

---@class runabout.NextEdit
---@field buffer integer
---@field tick integer the buffer's text is that for which the edits were computed, as long as its tick is this
---@field changes runabout.Change[] from the beginning of the buffer on

---@type runabout.NextEdit?
local shown
---@type integer? the newest request, and whether the person has made it
local request
local invoked = false
-- Counts requests: an answer to an older one than the newest is not wanted any more.
local newest = 0
---@type table<integer, integer> the tick of each buffer when it was last looked at
local ticks = {}
---@type table<integer, integer> the tick of each buffer for which an edit was last asked for by itself
local asked = {}

--- Called when an edit appears and when it goes.
---@type fun(buffer: integer, visible: boolean)
M.on_visible = function() end

---@param buffer integer
---@return integer
local function tick_of(buffer)
  return vim.api.nvim_buf_get_changedtick(buffer)
end

---@param buffer integer
---@param row integer
---@return string
local function line_of(buffer, row)
  return vim.api.nvim_buf_get_lines(buffer, row, row + 1, false)[1] or ""
end

local function forget_request()
  newest = newest + 1
  worker.cancel(request)
  request = nil
end

local function hide()
  if shown then
    local buffer = shown.buffer
    shown = nil
    preview.clear(buffer)
    M.on_visible(buffer, false)
  end
end

--- The changes that edits of the worker make.
---@param buffer integer
---@param edits table[]
---@param encoding string
---@return runabout.Change[]
local function changes_of(buffer, edits, encoding)
  local last = vim.api.nvim_buf_line_count(buffer) - 1
  local function place(position)
    -- The protocol has a line behind the last line end; Neovim has not.
    local row = math.min(position.line, last)
    local line = line_of(buffer, row)
    return row, position.line > last and #line or text.byte_offset(line, position.character, encoding)
  end
  return vim.tbl_map(function(edit)
    local row, column = place(edit.range.start)
    local end_row, end_column = place(edit.range["end"])
    local new = edit.newText:gsub("\r\n?", "\n")
    if edit.range["end"].line > last then
      new = new:gsub("\n$", "")
      if edit.range.start.line > last then
        new = "\n" .. new
      elseif edit.newText == "" and column == 0 and row > 0 then
        -- The last lines go with the line break before them.
        row = row - 1
        column = #line_of(buffer, row)
      end
    end
    return { row = row, column = column, end_row = end_row, end_column = end_column, new = new }
  end, edits)
end

--- Whether the cursor is at the lines that are changed.
---@return boolean
local function near()
  local row = vim.api.nvim_win_get_cursor(0)[1] - 1
  return row >= shown.changes[1].row and row <= shown.changes[#shown.changes].end_row
end

local function draw()
  preview.show(shown.buffer, shown.changes)
end

--- Shows the edits of an answer.
---@param buffer integer
---@param tick integer the buffer's tick when they were asked for
---@param edits table[]
---@param encoding string
---@return boolean whether they still belong to the text
function M.offer(buffer, tick, edits, encoding)
  if buffer ~= vim.api.nvim_get_current_buf() or tick ~= tick_of(buffer) then
    return false
  end
  hide()
  suggestion.left()
  shown = { buffer = buffer, tick = tick, changes = changes_of(buffer, edits, encoding) }
  ticks[buffer] = tick
  draw()
  M.on_visible(buffer, true)
  return true
end

--- Says why there is none.
local function explain()
  worker.execute("runabout.info", {}, function(err, info)
    local said = not err and type(info.nextEdit) == "table" and info.nextEdit.message
    log.say(err and plain.error(err) or said or "there is no next edit here")
  end)
end

--- Whether the person has asked for this text already; to ask once more would only begin anew.
---@return boolean
local function awaited()
  local buffer = vim.api.nvim_get_current_buf()
  return request ~= nil and invoked and asked[buffer] == tick_of(buffer)
end

---@param kind integer
local function ask(kind)
  local buffer = vim.api.nvim_get_current_buf()
  local client = worker.attached(buffer) and worker.client()
  if not client then
    if kind == INVOKED then
      status.why()
    end
    return
  end
  forget_request()
  local number, tick, encoding = newest, tick_of(buffer), client.offset_encoding
  asked[buffer], invoked = tick, kind == INVOKED
  local params = vim.lsp.util.make_position_params(0, encoding)
  params.context = { triggerKind = kind }
  request = worker.execute("runabout.nextEdit", { params }, function(err, result)
    if number ~= newest then
      return
    end
    request = nil
    if err then
      log.add("next edit: " .. plain.error(err))
      return kind == INVOKED and log.say(plain.error(err), vim.log.levels.WARN)
    elseif type(result) == "table" and #result.edits > 0 then
      if result.version == vim.lsp.util.buf_versions[buffer] then
        M.offer(buffer, tick, result.edits, encoding)
      end
    elseif kind == INVOKED then
      explain()
    end
  end)
end

--- Asks when the person pauses, where that is wanted and the text is another one than the last time.
local function ask_by_itself()
  local buffer = vim.api.nvim_get_current_buf()
  if options.current.next_edit ~= "automatic" or not suggestion.wanted(buffer) then
    return
  end
  local tick = tick_of(buffer)
  vim.defer_fn(function()
    local is_same = vim.api.nvim_get_current_buf() == buffer and tick_of(buffer) == tick
    if is_same and asked[buffer] ~= tick and not suggestion.visible() then
      ask(AUTOMATIC)
    end
  end, PAUSE_MS)
end

--- Goes to the edit.
local function jump()
  local change = shown.changes[1]
  vim.cmd("mark '")
  if change.row + 1 < vim.fn.line("w0") or change.row + 1 > vim.fn.line("w$") then
    -- In the middle, so that there is room for lines below it, for which Neovim would not scroll.
    vim.fn.winrestview({ topline = math.max(1, change.row + 1 - math.floor(vim.api.nvim_win_get_height(0) / 2)) })
  end
  vim.api.nvim_win_set_cursor(0, { change.row + 1, change.column })
  pcall(vim.cmd, "silent! .foldopen!")
  draw()
end

--- Applies the edits as one step of undo, and puts the cursor behind them.
local function apply()
  local buffer, changes = shown.buffer, shown.changes
  hide()
  if not vim.bo[buffer].modifiable then
    return log.say("the buffer cannot be changed", vim.log.levels.WARN)
  end
  -- Setting 'undolevels' closes the step of undo that typing had begun.
  vim.bo.undolevels = vim.bo.undolevels
  -- Those that come before it move the last change, whose end stays as far from the end of the buffer.
  local last = changes[#changes]
  local n_below = vim.api.nvim_buf_line_count(buffer) - last.end_row
  local n_behind = #line_of(buffer, last.end_row) - last.end_column
  for i = #changes, 1, -1 do
    local change = changes[i]
    local lines = vim.split(change.new, "\n", { plain = true })
    vim.api.nvim_buf_set_text(buffer, change.row, change.column, change.end_row, change.end_column, lines)
  end
  vim.bo.undolevels = vim.bo.undolevels
  local row = vim.api.nvim_buf_line_count(buffer) - n_below
  vim.api.nvim_win_set_cursor(0, { row + 1, #line_of(buffer, row) - n_behind })
  ticks[buffer] = tick_of(buffer)
  ask_by_itself()
end

--- Removes what is shown. Returns false where nothing is.
---@return boolean
function M.dismiss()
  local visible = shown ~= nil
  forget_request()
  hide()
  return visible
end

---@return boolean
function M.visible()
  return shown ~= nil
end

--- Goes to the edit that is shown, or applies it if the cursor is there. Returns false where none is shown.
---@return boolean
function M.accept()
  if not shown or shown.buffer ~= vim.api.nvim_get_current_buf() then
    return false
  end
  if shown.tick ~= tick_of(shown.buffer) then
    hide()
    log.say("the text has changed since, so nothing was applied")
  elseif near() then
    apply()
  else
    jump()
  end
  return true
end

--- The key: shows the next edit, goes to it, applies it.
function M.advance()
  if options.current.next_edit == "off" then
    log.say("next edits are switched off by the option `next_edit`")
  elseif not M.accept() and not awaited() then
    ask(INVOKED)
  end
end

--- The text or the cursor may have changed: removes what does not belong to the text any more.
---@param by_itself boolean? whether this is a moment to ask
function M.changed(by_itself)
  local buffer = vim.api.nvim_get_current_buf()
  local tick = tick_of(buffer)
  if shown and (shown.buffer ~= buffer or shown.tick ~= tick) then
    hide()
  elseif shown then
    draw()
  end
  if request and asked[buffer] ~= tick then
    forget_request()
  end
  if by_itself and (ticks[buffer] or tick) ~= tick then
    local undo = vim.fn.undotree()
    -- Who has taken something back does not want it proposed.
    if undo.seq_cur == undo.seq_last then
      ask_by_itself()
    end
  end
  if by_itself or not ticks[buffer] then
    ticks[buffer] = tick
  end
end

--- The buffer was written, which counts as one change in its tick, though its text is the same.
---@param buffer integer
function M.written(buffer)
  local tick = tick_of(buffer)
  if shown and shown.buffer == buffer and shown.tick + 1 == tick then
    shown.tick, ticks[buffer] = tick, tick
  end
end

--- The buffer was left.
function M.left()
  forget_request()
  hide()
end

---@param buffer integer
function M.forget(buffer)
  ticks[buffer], asked[buffer] = nil, nil
end

-- While an edit is shown, the cursor may go anywhere without ghost text coming in its way.
suggestion.hindered = function(buffer)
  return shown ~= nil and shown.buffer == buffer and shown.tick == tick_of(buffer)
end

state.on("silent", ask_by_itself)
state.on("ended", function()
  request = nil
  newest = newest + 1
  asked = {}
  hide()
end)

return M
