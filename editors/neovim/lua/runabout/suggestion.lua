-- The suggestion at the cursor: asks the worker at each change of insert mode, keeps what is shown while the person types
-- it, and inserts all of it or a part. The worker waits for pauses and drops what a newer request replaces, so nothing
-- here delays a request, and an answer that comes late is simply compared with the text as it then is.

local ghost = require("runabout.ghost")
local log = require("runabout.log")
local plain = require("runabout.plain")
local state = require("runabout.state")
local text = require("runabout.text")
local worker = require("runabout.worker")

local M = {}

local INVOKED, AUTOMATIC = 1, 2

--- Where a suggestion belongs: the text around the cursor when it was asked for.
---@class runabout.Place
---@field buffer integer
---@field row integer from 0
---@field column integer where the suggestion's text begins, in bytes
---@field before string the line before that
---@field after string the line behind the cursor

---@class runabout.Shown
---@field place runabout.Place
---@field items table[] the alternatives, as the worker sent them
---@field index integer
---@field rest string what of it is not in the buffer yet
---@field chosen boolean whether the person chose among alternatives, so that automatic ones do not replace it

---@type runabout.Shown?
local shown
---@type integer? the newest request
local request
-- Counts requests; answers up to the number `unwanted` come too late, because insert mode ended or the person said no.
local newest, unwanted = 0, 0
---@type string? the place of the newest request, so that two events for one keystroke ask once
local asked
---@type { token: string, received: fun(items: table[], unfinished: boolean?) }? takes what comes before the answer
local arriving
---@type string? the item whose showing was reported last
local reported

--- Called when ghost text appears and when it goes; `keys` maps its keys in between.
---@type fun(buffer: integer, visible: boolean)
M.on_visible = function() end

--- Whether something else is shown in a buffer, so that no automatic suggestion may come.
---@type fun(buffer: integer): boolean
M.hindered = function()
  return false
end

---@return boolean
local function inserting()
  return vim.api.nvim_get_mode().mode:sub(1, 1) == "i"
end

---@param item table
---@return string the item's text with Neovim's line ends
local function text_of(item)
  local content = type(item.insertText) == "table" and item.insertText.value or item.insertText
  return (content:gsub("\r\n", "\n"))
end

---@param item table
---@return string?
local function id_of(item)
  return vim.tbl_get(item, "command", "arguments", 1)
end

local function hide()
  if shown then
    local buffer = shown.place.buffer
    shown = nil
    ghost.clear(buffer)
    M.on_visible(buffer, false)
  end
end

--- What of `content` is still to be inserted at the cursor; nil if the text since does not agree with it.
---@param place runabout.Place
---@param content string
---@return string?
local function rest_of(place, content)
  if vim.api.nvim_get_current_buf() ~= place.buffer then
    return nil
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  row = row - 1
  if row < place.row or (row == place.row and column < place.column) then
    return nil
  end
  -- More rows than the content has lines cannot agree, however far the cursor went.
  if row - place.row > select(2, content:gsub("\n", "")) then
    return nil
  end
  local lines = vim.api.nvim_buf_get_lines(place.buffer, place.row, row + 1, false)
  if #lines ~= row - place.row + 1 or lines[1]:sub(1, place.column) ~= place.before then
    return nil
  end
  if lines[#lines]:sub(column + 1) ~= place.after then
    return nil
  end
  lines[#lines] = lines[#lines]:sub(1, column)
  lines[1] = lines[1]:sub(place.column + 1)
  local typed = table.concat(lines, "\n")
  if not vim.startswith(content, typed) or #typed == #content then
    return nil
  end
  return content:sub(#typed + 1)
end

local function report_shown()
  local item = shown.items[shown.index]
  local id = id_of(item)
  if id and tostring(id) ~= reported then
    reported = tostring(id)
    worker.notify("textDocument/didShowCompletion", { item = item })
  end
end

--- Draws what is shown as the text now is. Returns false if it does not agree with the text any more.
---@return boolean
local function draw()
  local rest = shown and inserting() and rest_of(shown.place, text_of(shown.items[shown.index]))
  if not rest then
    hide()
    return false
  end
  shown.rest = rest
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local note = shown.chosen and #shown.items > 1 and ("  %d/%d"):format(shown.index, #shown.items) or nil
  ghost.show(shown.place.buffer, row - 1, column, rest, note)
  M.on_visible(shown.place.buffer, true)
  report_shown()
  return true
end

--- Shows the first of `items` that agrees with the text, if there is one.
---@param place runabout.Place
---@param items table[]
---@param chosen boolean
local function offer(place, items, chosen)
  local agreeing = vim.tbl_filter(function(item)
    return rest_of(place, text_of(item)) ~= nil
  end, items)
  if #agreeing == 0 or not inserting() then
    return
  end
  -- The alternative that is shown stays the first one, if it is among the new ones.
  local index = 1
  if chosen and shown then
    for i, item in ipairs(agreeing) do
      if rest_of(place, text_of(item)) == shown.rest then
        index = i
        break
      end
    end
  end
  shown = { place = place, items = agreeing, index = index, rest = "", chosen = chosen }
  draw()
end

--- Whether the person wants to see in this buffer what comes by itself.
---@param buffer integer
---@return boolean
function M.wanted(buffer)
  if vim.g.runabout_enabled == false or vim.b[buffer].runabout_enabled == false then
    return false
  end
  -- A macro has to do the same each time.
  return vim.fn.reg_executing() == ""
end

--- Asks the worker for a suggestion at the cursor.
---@param kind integer
---@param done fun(err: table?)? called after the answer was shown
local function ask(kind, done)
  local buffer = vim.api.nvim_get_current_buf()
  local client = worker.attached(buffer) and worker.client()
  if not client then
    return
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  row = row - 1
  local line = vim.api.nvim_get_current_line()
  local place = {
    buffer = buffer,
    row = row,
    column = column,
    before = line:sub(1, column),
    after = line:sub(column + 1),
  }
  local encoding = client.offset_encoding
  local params = vim.lsp.util.make_position_params(0, encoding)
  params.context = { triggerKind = kind }
  local word, start = require("runabout.menu").selected(place.before)
  if word then
    local begin = vim.deepcopy(params.position)
    begin.character = vim.lsp.util.character_offset(buffer, row, start, encoding)
    params.context.selectedCompletionInfo = { range = { start = begin, ["end"] = params.position }, text = word }
  end
  newest = newest + 1
  local number = newest
  -- Alternatives come one by one, and a long suggestion may come line by line, as the same item with more text.
  params.partialResultToken = "runabout/partial/" .. number
  local parts, index_of = {}, {}
  local function received(items, unfinished)
    if number <= unwanted then
      return
    end
    for _, item in ipairs(items) do
      local id = id_of(item)
      local index = id and index_of[id] or #parts + 1
      parts[index] = item
      if id then
        index_of[id] = index
      end
      if item.range then
        local begin = item.range.start
        local column_of_item = text.byte_offset(line, begin.character, encoding)
        if begin.line == row and column_of_item <= #place.before then
          place.column = column_of_item
          place.before = line:sub(1, column_of_item)
        end
      end
    end
    if #parts == 0 then
      return
    end
    if kind == AUTOMATIC and shown then
      local rest = unfinished and rest_of(place, text_of(parts[1]))
      -- What the person chose stays, and what is shown does not shrink while the same text arrives again.
      if shown.chosen or (rest and vim.startswith(shown.rest, rest)) then
        return
      end
    end
    offer(place, parts, kind == INVOKED)
  end
  arriving = { token = params.partialResultToken, received = received }
  request = worker.request("textDocument/inlineCompletion", params, function(err, result)
    if number == newest then
      request = nil
    end
    if err then
      log.add("inline completion: " .. plain.error(err))
    else
      received(result and (result.items or result) or {}, false)
      if number == newest and kind == AUTOMATIC and not shown and inserting() then
        state.tell("silent", {})
      end
    end
    if done then
      done(err)
    end
  end, buffer)
end

state.on("partial", function(params)
  if arriving and params.token == arriving.token then
    arriving.received(params.value.items or params.value, true)
  end
end)

state.on("ended", function()
  request, asked = nil, nil
  hide()
end)

--- The text or the cursor changed in insert mode: keeps or removes what is shown, and asks anew.
function M.changed()
  if shown then
    draw()
  end
  local buffer = vim.api.nvim_get_current_buf()
  if not inserting() or not M.wanted(buffer) or M.hindered(buffer) then
    return
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local selected = vim.fn.pumvisible() == 1 and vim.fn.complete_info({ "selected" }).selected or ""
  local key = table.concat({ buffer, vim.b[buffer].changedtick, row, column, selected }, " ")
  if key ~= asked then
    asked = key
    ask(AUTOMATIC)
  end
end

state.on("changed", function(now)
  -- Who waits in insert mode for the model to be ready gets a suggestion without another key.
  if now.state == "ready" and inserting() then
    asked = nil
    vim.schedule(M.changed)
  end
end)

--- Insert mode ended: nothing is shown, and no answer is awaited.
function M.left()
  worker.cancel(request)
  request, asked = nil, nil
  unwanted = newest
  hide()
end

--- Inserts text at the cursor, as one step of undo.
---@param content string
local function insert(content)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = vim.split(content, "\n", { plain = true })
  -- Setting 'undolevels' closes the step of undo that typing had begun.
  vim.bo.undolevels = vim.bo.undolevels
  vim.api.nvim_buf_set_text(0, row - 1, column, row - 1, column, lines)
  vim.api.nvim_win_set_cursor(0, { row + #lines - 1, (#lines == 1 and column or 0) + #lines[#lines] })
  vim.bo.undolevels = vim.bo.undolevels
end

--- Accepts what is shown, or a part of it.
---@param part "all"|"word"|"line"
---@return boolean
function M.accept(part)
  if not shown or not draw() then
    return false
  end
  local item, rest = shown.items[shown.index], shown.rest
  local taken = part == "word" and text.next_word(rest) or part == "line" and text.next_line(rest) or rest
  if #taken == #rest then
    hide()
    insert(taken)
    if item.command then
      worker.execute(item.command.command, item.command.arguments or {})
    end
  else
    insert(taken)
    draw()
    local content = text_of(item)
    local accepted = content:sub(1, #content - #rest + #taken)
    local length = text.utf16_length(accepted)
    -- The worker counts its own text, which has the document's line ends.
    if item.insertText ~= content then
      length = length + select(2, accepted:gsub("\n", ""))
    end
    worker.notify("textDocument/didPartiallyAcceptCompletion", { item = item, acceptedLength = length })
  end
  return true
end

--- Shows the next alternative, and asks for alternatives where there are none yet.
---@param step integer
function M.cycle(step)
  if shown and shown.chosen and draw() then
    shown.index = (shown.index - 1 + step) % #shown.items + 1
    draw()
    return
  end
  if not inserting() then
    return
  end
  if not worker.attached(vim.api.nvim_get_current_buf()) or not worker.client() then
    require("runabout.status").why()
    return
  end
  local first = shown and shown.rest
  ask(INVOKED, function(err)
    if err then
      log.say(plain.error(err), vim.log.levels.WARN)
    elseif shown and shown.chosen and #shown.items > 1 and shown.rest == first then
      -- The key asks for another one than the one that was there already.
      M.cycle(step)
    end
  end)
end

---@return boolean
function M.dismiss()
  if not shown then
    return false
  end
  local id = id_of(shown.items[shown.index])
  worker.cancel(request)
  request = nil
  unwanted = newest
  hide()
  if id then
    worker.execute("runabout.reject", { id })
  end
  return true
end

---@return boolean
function M.visible()
  return shown ~= nil
end

return M
