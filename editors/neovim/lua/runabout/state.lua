-- What is known of the worker, and who wants to know when it changes: the part of the plugin that the others listen to.

local M = {}

--- What the person should know of the worker; `status` shows it.
---@class runabout.State
---@field state "stopped"|"absent"|"starting"|"downloading"|"loading"|"ready"|"failed"|"crashed"
---@field model string?
---@field message string?
---@field percentage integer?
---@field last table? the last notification `runabout/completion`
M.current = { state = "stopped" }

---@alias runabout.Event
---| "changed"     the state changed
---| "completion"  the worker said what became of a request for a suggestion
---| "partial"     one of several alternatives is done
---| "silent"      a request that came by itself got no suggestion
---| "delta"       a piece of an answer's text
---| "ended"       the worker is gone, and with it all requests

---@type table<runabout.Event, fun(params: table)[]>
local listeners = {}

--- Calls `listener` at each event of this kind.
---@param event runabout.Event
---@param listener fun(params: table)
function M.on(event, listener)
  listeners[event] = listeners[event] or {}
  table.insert(listeners[event], listener)
end

---@param event runabout.Event
---@param params table
function M.tell(event, params)
  for _, listener in ipairs(listeners[event] or {}) do
    listener(params)
  end
end

--- Replaces the state; the model and the last completion stay known.
---@param change table
function M.set(change)
  M.current = vim.tbl_extend("keep", change, { model = M.current.model, last = M.current.last })
  M.tell("changed", M.current)
  vim.api.nvim_exec_autocmds("User", { pattern = "RunaboutStatus", modeline = false })
  vim.cmd.redrawstatus()
end

return M
