-- The conversation: a side window whose text streams in, about a selection if there is one, and the code of an answer put
-- in the selection's place. The worker keeps no conversations, so each question carries what was said before; the worker
-- has that in its cache.

local log = require("runabout.log")
local options = require("runabout.options")
local plain = require("runabout.plain")
local selection = require("runabout.selection")
local state = require("runabout.state")
local text = require("runabout.text")
local worker = require("runabout.worker")

local M = {}

local HINT = "<CR> ask  a apply  <C-c> stop  q close%<"

---@type integer? the buffer of the conversation
local buffer
---@type table[] what was said
local messages = {}
---@type runabout.Selection? what the next question is about, and what `apply` replaces
local target
-- Whether the next question is the first about `target`, so that it must bring the lines along.
local target_is_new = false
---@type { id: integer, text: string, from: integer }? the answer that is being written; `from` is its first line
local answer

---@return integer? window
local function window()
  return buffer and vim.fn.bufwinid(buffer) ~= -1 and vim.fn.bufwinid(buffer) or nil
end

--- Replaces the lines of the conversation from `from` (from 0) on, and scrolls the windows that look at its end.
---@param from integer
---@param lines string[]
local function write(from, lines)
  if not buffer or not vim.api.nvim_buf_is_valid(buffer) then
    return
  end
  local followers = vim.tbl_filter(function(win)
    return vim.api.nvim_win_get_cursor(win)[1] >= vim.api.nvim_buf_line_count(buffer)
  end, vim.fn.win_findbuf(buffer))
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, from, -1, false, lines)
  vim.bo[buffer].modifiable = false
  for _, win in ipairs(followers) do
    vim.api.nvim_win_set_cursor(win, { vim.api.nvim_buf_line_count(buffer), 0 })
  end
end

---@param lines string[]
---@return integer from the first of them, from 0
local function append(lines)
  local count = vim.api.nvim_buf_line_count(buffer)
  local empty = count == 1 and vim.api.nvim_buf_get_lines(buffer, 0, 1, false)[1] == ""
  local from = empty and 0 or count
  write(from, lines)
  return from
end

local function create_buffer()
  if buffer and vim.api.nvim_buf_is_valid(buffer) then
    return
  end
  buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buffer, "runabout://chat")
  vim.bo[buffer].filetype = "markdown"
  vim.bo[buffer].bufhidden = "hide"
  vim.bo[buffer].modifiable = false
  local function map(key, action, description)
    vim.keymap.set("n", key, action, { buffer = buffer, nowait = true, desc = description })
  end
  map("<CR>", function()
    M.ask(nil)
  end, "Ask")
  map("a", function()
    M.apply(false)
  end, "Put the code in the selection's place")
  map("<C-c>", M.stop, "Stop the answer")
  map("q", function()
    vim.cmd.close()
  end, "Close the conversation's window")
end

--- Shows the conversation in a window at the side.
---@param focus boolean whether the cursor goes there
local function open(focus)
  create_buffer()
  local win = window()
  if not win then
    local width = options.current.chat.width
    width = math.max(20, width < 1 and math.floor(vim.o.columns * width) or width)
    local before = vim.api.nvim_get_current_win()
    vim.cmd(("botright vertical %dsplit"):format(width))
    win = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(win, buffer)
    local set = vim.wo[win][0]
    set.wrap, set.linebreak, set.number, set.relativenumber, set.signcolumn = true, true, false, false, "no"
    set.winfixwidth, set.spell, set.winbar = true, false, HINT
    vim.api.nvim_win_set_cursor(win, { vim.api.nvim_buf_line_count(buffer), 0 })
    vim.api.nvim_set_current_win(before)
  end
  if focus then
    vim.api.nvim_set_current_win(win)
  end
end

--- Ends the answer that is being written.
---@param note string? a sentence below it
local function finish(note)
  if not answer then
    return
  end
  local lines = vim.split(answer.text, "\n", { plain = true })
  if note then
    vim.list_extend(lines, { "", ("*%s*"):format(note) })
  end
  table.insert(lines, "")
  write(answer.from, lines)
  answer = nil
end

---@param question string
---@return string
local function content_of(question)
  if not target or not target_is_new then
    return question
  end
  target_is_new = false
  -- The fence must be longer than any in the code.
  local fence = "```"
  local code = table.concat(target.lines, "\n")
  while code:find(fence, 1, true) do
    fence = fence .. "`"
  end
  return ("%s\n\n%s:\n%s%s\n%s\n%s"):format(question, selection.describe(target), fence, target.filetype, code, fence)
end

local ENDS = {
  length = "The answer reached its longest length; ask to continue.",
  cancelled = "Stopped.",
}

---@param question string
local function send(question)
  if answer then
    return log.say("an answer is being written; `:Runabout stop` stops it", vim.log.levels.WARN)
  end
  if not worker.client() then
    return log.say("no question can be asked now: " .. require("runabout.status").sentence(), vim.log.levels.WARN)
  end
  create_buffer()
  local about = target and target_is_new and (" (%s)"):format(selection.describe(target)) or ""
  local heading = { "## You" .. about, "" }
  vim.list_extend(heading, vim.split(question, "\n", { plain = true }))
  vim.list_extend(heading, { "", "## Runabout", "", "" })
  local from = append(heading) + #heading - 1
  local message = { role = "user", content = content_of(question) }
  table.insert(messages, message)
  local sent = vim.deepcopy(messages)
  local system = options.current.chat.system
  if system and system ~= "" then
    table.insert(sent, 1, { role = "system", content = system })
  end
  local params = vim.tbl_extend("force", options.current.chat, { messages = sent })
  params.width, params.system = nil, nil
  local id = worker.request("chat", params, function(err, result)
    if err then
      -- What failed is not part of the conversation, so that the next question does not fail with it.
      table.remove(messages)
      target_is_new = target ~= nil
      return finish(plain.error(err))
    end
    if answer then
      answer.text = result.message.content or answer.text
    end
    table.insert(messages, { role = "assistant", content = result.message.content or "" })
    finish(ENDS[result.finish_reason])
  end)
  answer = id and { id = id, text = "", from = from } or nil
end

state.on("delta", function(params)
  if not answer or params.id ~= answer.id then
    return
  end
  -- Only the last line changes, and what comes after it: a long answer is not written again with each token.
  local line = select(2, answer.text:gsub("\n", ""))
  answer.text = answer.text .. params.text
  local lines = vim.split(answer.text, "\n", { plain = true })
  write(answer.from + line, vim.list_slice(lines, line + 1))
end)

state.on("ended", function()
  if answer then
    table.remove(messages)
    target_is_new = target ~= nil
    finish("The worker ended before the answer was complete.")
  end
end)

--- What the next question is about.
---@param about runabout.Selection
function M.about(about)
  target, target_is_new = about, true
end

--- Opens the conversation, or begins a new one.
---@param new boolean
---@param focus boolean
function M.open(new, focus)
  if new then
    M.stop()
    messages, target_is_new = {}, target ~= nil
    answer = nil
    create_buffer()
    write(0, { "" })
  end
  open(focus)
end

--- Asks a question; without one, the person is asked for it.
---@param question string?
function M.ask(question)
  if question and question:find("%S") then
    return send(question)
  end
  local prompt = target and target_is_new and ("Ask about %s: "):format(selection.describe(target)) or "Ask: "
  vim.ui.input({ prompt = prompt }, function(input)
    if input and input:find("%S") then
      send(input)
    end
  end)
end

--- True while an answer is being written.
---@return boolean
function M.answering()
  return answer ~= nil
end

--- Stops the answer that is being written; what there is of it stays.
function M.stop()
  if answer then
    worker.notify("cancel", { id = answer.id })
  end
end

--- Puts the code of the answer at the cursor, or else of the last one, in the selection's place.
---@param force boolean even if the selection has changed since
function M.apply(force)
  if not target then
    return log.say("there is no selection to replace: select lines, then `:Runabout ask`", vim.log.levels.WARN)
  end
  local lines = buffer and vim.api.nvim_buf_is_valid(buffer) and vim.api.nvim_buf_get_lines(buffer, 0, -1, false) or {}
  local at = vim.api.nvim_get_current_buf() == buffer and vim.api.nvim_win_get_cursor(0)[1] or nil
  local code = at and text.code_block(lines, at) or text.code_block(lines)
  if not code then
    return log.say("the answer has no code block to apply", vim.log.levels.WARN)
  end
  local problem = selection.replace(target, text.reindent(code, target.lines), force)
  if problem then
    return log.say(problem, vim.log.levels.WARN)
  end
  log.say(("replaced %s; `u` there takes it back"):format(selection.describe(target)))
end

return M
