-- What the worker says by itself, by method: notifications of the dialect, and native ones on the same connection.

local log = require("runabout.log")
local state = require("runabout.state")

local M = {}

M["runabout/status"] = function(_, params)
  if params.state ~= state.current.state or params.message ~= state.current.message then
    log.add(("%s: %s%s"):format(params.model or "model", params.state, params.message and (": " .. params.message) or ""))
    if params.state == "failed" then
      log.say("the model could not be loaded" .. (params.message and (": " .. params.message) or ""), vim.log.levels.ERROR)
    end
  end
  state.set({
    state = params.state,
    model = params.model,
    message = params.message,
    percentage = params.percentage,
  })
end

M["runabout/completion"] = function(_, params)
  -- Such a request was overtaken by the person, and says nothing on what the model thinks.
  if params.reason ~= "superseded" and params.reason ~= "cancelled" then
    state.current.last = params
  end
  state.tell("completion", params)
end

M["delta"] = function(_, params)
  state.tell("delta", params)
end

-- The native notifications of the same worker; `runabout/status` has told the same already.
M["status"] = function() end
M["progress"] = function() end

M["window/logMessage"] = function(_, params)
  log.add(params.message)
end

M["window/showMessage"] = function(_, params)
  -- Types 1 and 2 are errors and warnings.
  log.say(params.message, params.type <= 2 and vim.log.levels.WARN or vim.log.levels.INFO)
end

M["$/progress"] = function(err, params, context)
  if type(params.token) == "string" and vim.startswith(params.token, "runabout/partial/") then
    state.tell("partial", params)
    return
  end
  return vim.lsp.handlers["$/progress"](err, params, context)
end

return M
