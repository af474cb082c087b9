-- The worker process: one for the whole editor, since it holds the model. Starts it as a language server, starts it
-- again after a crash, and sends it requests. Nothing here waits for an answer.

local log = require("runabout.log")
local options = require("runabout.options")
local state = require("runabout.state")

local M = {}

-- The pauses before restarts, in milliseconds; after the last one it is given up.
local PAUSES = { 500, 1000, 2000, 5000, 10000, 30000 }
-- A worker that lived this long has recovered: the next crash is the first one again.
local RECOVERED_MS = 120000

-- With these exit codes the worker says that it could not start, or that its command line is wrong. A further try would
-- end in the same way.
local CANNOT_START = { [1] = true, [2] = true }

---@type integer?
local client_id
---@type table<integer, true> the buffers that the worker knows, or will know once it is back
local buffers = {}
local started_at, crashes = 0, 0
-- Of the running worker: the time in words, its program, and whether it has answered `initialize`.
local started_time, program, answered = "", "", false
-- Counts starts and stops, so that a restart that was planned before one of them does not happen.
local epoch = 0

--- Calls a method of a client; those of Neovim 0.10 take no `self`.
---@param client vim.lsp.Client
---@param method string
local function call(client, method, ...)
  if vim.fn.has("nvim-0.11") == 1 then
    return client[method](client, ...)
  end
  return client[method](...)
end

--- The client, if the worker runs and has answered `initialize`.
---@return vim.lsp.Client?
function M.client()
  local client = client_id and vim.lsp.get_client_by_id(client_id)
  if client and client.initialized and not call(client, "is_stopped") then
    return client
  end
end

---@param buffer integer
---@return string?
local function root_of(buffer)
  return vim.fs.root(buffer, { ".git", ".hg", ".svn" })
end

---@return string[]? command
---@return string? problem
local function command_line()
  local command, problem = require("runabout.program").find()
  if not command then
    return nil, problem
  end
  table.insert(command, "lsp")
  if options.current.model then
    vim.list_extend(command, { "--model", options.current.model })
  end
  return vim.list_extend(command, options.current.arguments)
end

--- The worker's settings as an object: an empty Lua table would become an empty array.
---@return table
local function settings()
  local wanted = options.current.settings
  return next(wanted) and wanted or vim.empty_dict()
end

---@param id integer the client that ended
---@param code integer
---@param signal integer
local function ended(id, code, signal)
  if id ~= client_id then
    return
  end
  client_id = nil
  state.tell("ended", {})
  if code == 0 and (signal == 0 or signal == 15) then
    log.add("the worker ended")
    state.set({ state = "stopped" })
    return
  end
  if vim.uv.now() - started_at > RECOVERED_MS then
    crashes = 0
  end
  crashes = crashes + 1
  if CANNOT_START[code] and not answered then
    local said = log.stderr(program, started_time)[1]
    local why = said and said:gsub("^runabout: ", ""):gsub("^error: ", "") or ("exit code %d"):format(code)
    state.set({ state = "crashed", message = why })
    return log.say("the worker could not start: " .. why, vim.log.levels.ERROR)
  end
  local how = signal ~= 0 and ("signal %d"):format(signal) or ("exit code %d"):format(code)
  local pause = PAUSES[crashes]
  if not pause then
    state.set({ state = "crashed", message = "it ended " .. crashes .. " times in a row" })
    log.say(
      ("the worker keeps ending (%s) and stays off; see `:Runabout log`"):format(how),
      vim.log.levels.ERROR
    )
    return
  end
  state.set({ state = "crashed", message = how })
  local text = ("the worker ended unexpectedly (%s) and is being restarted"):format(how)
  -- Only the first crash of a series is a message: the others are the same news.
  if crashes == 1 then
    log.say(text, vim.log.levels.WARN)
  else
    log.add(text)
  end
  local planned = epoch
  vim.defer_fn(function()
    if planned == epoch and not client_id then
      M.start()
    end
  end, pause)
end

--- True until the worker is started for the first time: only then does a file start it.
---@return boolean
function M.untouched()
  return epoch == 0
end

--- Starts the worker, unless it runs.
function M.start()
  if client_id then
    return
  end
  epoch = epoch + 1
  local command, problem = command_line()
  if not command then
    -- Once is enough: the state stays visible, and `:checkhealth runabout` says it again.
    if state.current.state ~= "absent" then
      log.say("the program is missing; `:checkhealth runabout` tells how to get it", vim.log.levels.WARN)
      log.add(assert(problem))
    end
    state.set({ state = "absent", message = problem })
    return
  end
  local buffer = next(buffers)
  started_time, program, answered = os.date("%Y-%m-%d %H:%M:%S"), command[1], false
  local id, failure
  local start = vim.fn.has("nvim-0.11") == 1 and vim.lsp.start or vim.lsp.start_client
  local ok, result = pcall(start, {
    name = "runabout",
    -- A function, because Neovim has a message of its own for a process that ends with an error, which would say a second
    -- time what `ended` says. It gets a clean end.
    cmd = function(dispatchers)
      local on_exit = dispatchers.on_exit
      local started, rpc = pcall(vim.lsp.rpc.start, command, vim.tbl_extend("force", dispatchers, {
        on_exit = function(code, signal)
          on_exit(0, 0)
          vim.schedule(function()
            ended(id, code, signal)
          end)
        end,
      }))
      failure = not started and rpc
      return started and rpc or error(rpc)
    end,
    root_dir = buffer and root_of(buffer),
    handlers = require("runabout.handlers"),
    settings = { runabout = settings() },
    init_options = { notifications = true, growingItems = true, settings = settings() },
    get_language_id = function(_, filetype)
      return filetype
    end,
    on_init = function(client, result)
      answered = true
      local about = vim.tbl_get(result, "capabilities", "experimental", "runabout") or {}
      log.add(("runabout %s is running"):format(vim.tbl_get(result, "serverInfo", "version") or "?"))
      if state.current.state == "starting" then
        state.set({ state = about.state or "loading", model = about.model })
      end
      -- Neovim 0.12 can show inline completions itself; two ghost texts would be one too many.
      if vim.lsp.inline_completion then
        vim.lsp.inline_completion.enable(false, { client_id = client.id })
      end
      vim.schedule(function()
        for attached in pairs(buffers) do
          M.add_folder(root_of(attached))
        end
      end)
    end,
  }, {
    attach = false,
    silent = true,
    reuse_client = function()
      return false
    end,
  })
  if not ok or not result then
    failure = tostring(failure or result)
    state.set({ state = "crashed", message = failure })
    log.say(("the worker could not be started: %s"):format(failure), vim.log.levels.ERROR)
    return
  end
  id, client_id, started_at = result, result, vim.uv.now()
  log.add("starting " .. table.concat(command, " "))
  state.set({ state = "starting" })
  for attached in pairs(buffers) do
    M.attach(attached)
  end
end

--- Ends the worker; it stays off until `start`.
---@param done fun()? called when it is gone
function M.stop(done)
  epoch = epoch + 1
  local client = client_id and vim.lsp.get_client_by_id(client_id)
  client_id = nil
  state.set({ state = "stopped" })
  state.tell("ended", {})
  if not client then
    return done and done()
  end
  call(client, "stop")
  -- `stop` asks the worker to end, which it does within a second; a worker that does not answer is ended by force.
  local tries = 0
  local function look()
    tries = tries + 1
    if not vim.lsp.get_client_by_id(client.id) then
      return done and done()
    end
    if tries == 20 then
      call(client, "stop", true)
    end
    vim.defer_fn(look, 100)
  end
  look()
end

--- Ends the worker and starts a new one.
function M.restart()
  crashes = 0
  M.stop(function()
    M.start()
  end)
end

--- Makes a buffer known to the worker.
---@param buffer integer
function M.attach(buffer)
  buffers[buffer] = true
  if not client_id or not vim.api.nvim_buf_is_loaded(buffer) or vim.lsp.buf_is_attached(buffer, client_id) then
    return
  end
  vim.lsp.buf_attach_client(buffer, client_id)
  M.add_folder(root_of(buffer))
end

--- Tells the worker of a project folder that it does not know yet.
---@param folder string?
function M.add_folder(folder)
  local client = M.client()
  if not folder or not client then
    return
  end
  client.workspace_folders = client.workspace_folders or {}
  for _, known in ipairs(client.workspace_folders) do
    if known.name == folder then
      return
    end
  end
  local added = { uri = vim.uri_from_fname(folder), name = folder }
  table.insert(client.workspace_folders, added)
  M.notify("workspace/didChangeWorkspaceFolders", { event = { added = { added }, removed = {} } })
end

--- Forgets a buffer.
---@param buffer integer
function M.detach(buffer)
  buffers[buffer] = nil
end

---@param buffer integer
---@return boolean
function M.attached(buffer)
  return client_id ~= nil and vim.lsp.buf_is_attached(buffer, client_id)
end

--- Sends a request. `answered` gets the error or the result, unless the worker ends before.
---@param method string
---@param params table?
---@param answered fun(err: table?, result: any)
---@param buffer integer?
---@return integer? id nil if the worker cannot be asked
function M.request(method, params, answered, buffer)
  local client = M.client()
  if not client then
    return nil
  end
  -- Not 0: for that, Neovim would not send the changes that it still holds back, and the worker would answer for the text
  -- of before.
  local ok, id = call(client, "request", method, params, answered, buffer or vim.api.nvim_get_current_buf())
  return ok and id or nil
end

---@param method string
---@param params table?
function M.notify(method, params)
  local client = M.client()
  if client then
    call(client, "notify", method, params)
  end
end

--- Tells the worker that a request's answer is not wanted any more.
---@param id integer?
function M.cancel(id)
  local client = id and M.client()
  if client then
    call(client, "cancel_request", id)
  end
end

--- Runs a command of the worker.
---@param name string
---@param arguments any[]
---@param answered fun(err: table?, result: any)?
---@return integer?
function M.execute(name, arguments, answered)
  return M.request("workspace/executeCommand", { command = name, arguments = arguments }, answered or function() end)
end

return M
