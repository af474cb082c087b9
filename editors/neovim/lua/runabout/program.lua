-- Where the program `runabout` is: in the options, in PATH, or in one of the places where builds put it.

local M = {}

--- What to do where there is none; shown in messages and by `:checkhealth`.
M.advice = "run `cargo xtask setup && cargo build --release` in the repository, and put `target/release/runabout` into PATH"
  .. " or set the option `command`"

---@return string[]
local function places()
  local places = {}
  -- This file lies in editors/neovim/lua/runabout, so a built repository has the program four folders up.
  local here = vim.fs.normalize(debug.getinfo(1, "S").source:sub(2))
  local root = vim.fn.fnamemodify(here, ":h:h:h:h:h")
  table.insert(places, root .. "/target/release/runabout")
  local cargo = vim.env.CARGO_HOME or vim.fs.normalize("~/.cargo")
  table.insert(places, cargo .. "/bin/runabout")
  table.insert(places, vim.fs.normalize("~/.local/bin/runabout"))
  table.insert(places, "/opt/homebrew/bin/runabout")
  table.insert(places, "/usr/local/bin/runabout")
  return places
end

--- The command line without options, or nil and what is wrong.
---@return string[]? command
---@return string? problem
function M.find()
  local wanted = require("runabout.options").current.command
  if wanted then
    local command = type(wanted) == "table" and vim.deepcopy(wanted) or { wanted }
    local program = vim.fn.exepath(vim.fs.normalize(command[1] or ""))
    if program == "" then
      return nil, ("the program `%s` of the option `command` cannot be run; %s"):format(command[1] or "", M.advice)
    end
    command[1] = program
    return command
  end
  local program = vim.fn.exepath("runabout")
  if program ~= "" then
    return { program }
  end
  for _, place in ipairs(places()) do
    program = vim.fn.exepath(place)
    if program ~= "" then
      return { program }
    end
  end
  return nil, "there is no program `runabout` on this machine; " .. M.advice
end

return M
