-- What the person sees of the worker: the statusline, `:Runabout status`, `why` and `stats`.

local log = require("runabout.log")
local plain = require("runabout.plain")
local state = require("runabout.state")
local worker = require("runabout.worker")

local M = {}

local STATES = {
  stopped = "the worker is off",
  absent = "the program is missing",
  starting = "the worker is starting",
  downloading = "the model is being downloaded",
  loading = "the model is being loaded",
  ready = "ready",
  failed = "the model could not be loaded",
  crashed = "the worker ended unexpectedly",
}

---@return boolean
local function enabled()
  return vim.g.runabout_enabled ~= false and vim.b.runabout_enabled ~= false
end

--- A few words for a statusline, such as `runabout` or `runabout: loading 40%`.
---@return string
function M.statusline()
  local now = state.current
  if now.state == "ready" then
    return enabled() and "runabout" or "runabout: off"
  end
  local percentage = now.percentage and (" %d%%"):format(now.percentage) or ""
  return "runabout: " .. now.state .. percentage
end

--- What is so about the worker, in one sentence.
---@return string
function M.sentence()
  local now = state.current
  local model = now.model and now.state == "ready" and (": " .. now.model) or ""
  local percentage = now.percentage and (" (%d%%)"):format(now.percentage) or ""
  return STATES[now.state] .. model .. percentage .. (now.message and (": " .. now.message) or "")
end

---@param bytes number
---@return string
local function megabytes(bytes)
  return ("%d MB"):format(math.floor(bytes / 1e6 + 0.5))
end

---@param completion table
---@return string
local function figures(completion)
  local parts = {}
  local function add(form, value)
    if type(value) == "number" then
      table.insert(parts, form:format(value))
    end
  end
  add("first token after %.0f ms", completion.firstTokenMs)
  add("all after %.0f ms", completion.totalMs)
  add("%d tokens generated", completion.completionTokens)
  add("%.0f tokens per second", completion.tokensPerSecond)
  if completion.promptTokens and completion.cachedTokens then
    table.insert(parts, ("%d of %d prompt tokens cached"):format(completion.cachedTokens, completion.promptTokens))
  end
  add("confidence %.2f", completion.confidence)
  return table.concat(parts, ", ")
end

---@param completion table
---@return string
local function last_sentence(completion)
  return completion.outcome == "offered" and "a suggestion was offered"
    or ("nothing was suggested: " .. plain.reason(completion))
end

--- Says why nothing was suggested last.
function M.why()
  local now = state.current
  local text
  if not worker.client() or now.state ~= "ready" then
    text = M.sentence()
  elseif vim.g.runabout_enabled == false then
    text = "suggestions are switched off; `:Runabout enable` switches them on"
  elseif vim.b.runabout_enabled == false then
    text = "suggestions are switched off in this buffer; `:Runabout enable buffer` switches them on"
  elseif not worker.attached(vim.api.nvim_get_current_buf()) then
    text = "this buffer is not a file, so nothing is suggested here; `:write` or `:file` gives it a name"
  elseif not now.last then
    text = "nothing was asked for yet: suggestions come in insert mode"
  else
    text = last_sentence(now.last)
  end
  log.say(text)
end

--- Shows several lines until the cursor moves. They come when the worker has answered, so they must not be a message: for
--- one of several lines, Neovim stops and takes the next key.
---@param lines string[]
local function float(lines)
  vim.lsp.util.open_floating_preview(lines, "", { border = "rounded", title = " runabout ", focus = false, wrap = true })
end

--- Shows the state of the worker.
function M.show()
  local sent = worker.execute("runabout.info", {}, function(err, info)
    if err then
      return log.say(plain.error(err), vim.log.levels.WARN)
    end
    local lines = { M.sentence() }
    local machine = {}
    if info.device then
      table.insert(machine, "device " .. info.device)
    end
    if type(info.memoryBytes) == "number" then
      table.insert(machine, "memory " .. megabytes(info.memoryBytes))
    end
    if #machine > 0 then
      table.insert(lines, table.concat(machine, ", "))
    end
    if not enabled() then
      table.insert(lines, "suggestions are switched off")
    end
    if type(info.last) == "table" then
      local numbers = figures(info.last)
      table.insert(lines, "last: " .. last_sentence(info.last) .. (numbers ~= "" and (" (%s)"):format(numbers) or ""))
    end
    float(lines)
  end)
  if not sent then
    log.say(M.sentence())
  end
end

--- `shownToAcceptMs` as `shown to accept ms`.
---@param name string
---@return string
local function spaced(name)
  return (name:gsub("%u", function(letter)
    return " " .. letter:lower()
  end))
end

---@param value any
---@return string
local function shown_value(value)
  if type(value) == "number" then
    return value % 1 == 0 and ("%d"):format(value) or ("%.2f"):format(value)
  end
  return tostring(value)
end

---@param counts table
---@param name string
---@param lines string[]
local function add_counts(counts, name, lines)
  local names = vim.tbl_keys(counts)
  table.sort(names)
  for _, key in ipairs(names) do
    local label = vim.trim(name .. " " .. spaced(tostring(key)))
    if type(counts[key]) == "table" then
      add_counts(counts[key], label, lines)
    elseif counts[key] ~= vim.NIL then
      table.insert(lines, ("%-32s %s"):format(label, shown_value(counts[key])))
    end
  end
end

--- Shows the worker's counts of shown and accepted suggestions, which stay on this machine.
function M.statistics()
  local sent = worker.execute("runabout.statistics", {}, function(err, counts)
    if err then
      return log.say(plain.error(err), vim.log.levels.WARN)
    end
    local lines = {}
    add_counts(counts or {}, "", lines)
    float(#lines > 0 and lines or { "nothing was counted yet" })
  end)
  if not sent then
    log.say(M.sentence())
  end
end

--- Sets the counts to zero.
function M.reset_statistics()
  worker.execute("runabout.resetStatistics", {}, function(err)
    log.say(err and plain.error(err) or "the counts begin at zero")
  end)
end

--- Opens the plugin's log, and what the worker wrote to stderr, which Neovim keeps in its own file.
function M.open_log()
  local lines = vim.deepcopy(log.lines)
  vim.list_extend(lines, { "", "The worker's stderr, from the end of " .. log.path() .. ":" })
  local command = require("runabout.program").find()
  vim.list_extend(lines, command and log.stderr(command[1]) or {})
  vim.cmd("botright new")
  vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.swapfile, vim.bo.modifiable = "nofile", "wipe", false, false
  vim.cmd("normal! G")
end

return M
