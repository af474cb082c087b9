-- Plain words for what the worker reports: why nothing was suggested, and its errors.
-- Where the worker gives a sentence of its own, that is used; these are for what comes without one.

local M = {}

local REASONS = {
  disabled = "automatic suggestions are switched off here",
  superseded = "a newer keystroke replaced the request",
  cancelled = "the request was cancelled",
  low_confidence = "the model was not confident enough in its suggestion",
  empty = "the model had nothing to add here",
  loading = "the model is not ready yet",
  overloaded = "the worker has too much to do",
  too_long = "the text around the cursor is too long for the model",
  unknown_document = "the worker does not know this file",
  failed = "the suggestion could not be computed",
}

local KINDS = {
  model_load_failed = "the model could not be loaded",
  prompt_too_long = "the text is too long for the model",
  overloaded = "the worker has too much to do; try again in a moment",
  generation_failed = "the text could not be generated",
  unsupported = "the model cannot do this",
  shutting_down = "the worker is ending",
  out_of_memory = "there is not enough memory for this",
}

--- Why a request got no suggestion.
---@param completion table the notification `runabout/completion`
---@return string
function M.reason(completion)
  if completion.message then
    -- It stands inside a sentence here.
    local message = completion.message:gsub("%.$", "")
    return (message:gsub("^%u%l", string.lower):gsub("^A ", "a "))
  end
  return REASONS[completion.reason] or completion.reason or "no reason was given"
end

--- An error of the worker, for a message.
---@param err table a JSON-RPC error
---@return string
function M.error(err)
  local kind = type(err.data) == "table" and err.data.kind
  local words = KINDS[kind]
  local details = err.message
  if not words then
    return details or "an unknown error"
  end
  local hint = err.data.hint and ("; " .. err.data.hint) or ""
  return details and ("%s: %s%s"):format(words, details, hint) or (words .. hint)
end

return M
