-- The command `:Runabout` with its subcommands and their completion.

local M = {}

---@class runabout.Subcommand
---@field run fun(rest: string, arguments: vim.api.keyset.create_user_command.command_args)
---@field words string[]? what can follow

---@param enabled boolean
---@return fun(rest: string)
local function switch(enabled)
  return function(rest)
    if rest == "buffer" then
      vim.b.runabout_enabled = enabled
    elseif rest == "" then
      vim.g.runabout_enabled = enabled
    else
      return vim.notify("runabout: `buffer`, or nothing, can follow here", vim.log.levels.ERROR)
    end
    if enabled and vim.g.runabout_enabled == false then
      vim.notify("runabout: suggestions are still switched off in all buffers; `:Runabout enable` changes that")
    end
    if not enabled then
      require("runabout.suggestion").left()
    end
    vim.cmd.redrawstatus()
  end
end

---@param arguments table
local function selected(arguments)
  if arguments.range > 0 then
    local buffer = vim.api.nvim_get_current_buf()
    local selection = require("runabout.selection").of(buffer, arguments.line1, arguments.line2)
    require("runabout.chat").about(selection)
  end
end

---@type table<string, runabout.Subcommand>
local SUBCOMMANDS = {
  status = { run = function() require("runabout.status").show() end },
  why = { run = function() require("runabout.status").why() end },
  log = { run = function() require("runabout.status").open_log() end },
  enable = { run = switch(true), words = { "buffer" } },
  disable = { run = switch(false), words = { "buffer" } },
  restart = {
    run = function()
      require("runabout.attach").all()
      require("runabout.worker").restart()
    end,
  },
  stats = {
    run = function(rest)
      local status = require("runabout.status")
      return rest == "reset" and status.reset_statistics() or status.statistics()
    end,
    words = { "reset" },
  },
  ["next-edit"] = { run = function() require("runabout.next_edit").advance() end },
  chat = {
    run = function(rest, arguments)
      selected(arguments)
      require("runabout.chat").open(arguments.bang, true)
      if rest ~= "" then
        require("runabout.chat").ask(rest)
      end
    end,
  },
  ask = {
    run = function(rest, arguments)
      selected(arguments)
      require("runabout.chat").open(arguments.bang, false)
      require("runabout.chat").ask(rest)
    end,
  },
  apply = { run = function(_, arguments) require("runabout.chat").apply(arguments.bang) end },
  stop = { run = function() require("runabout.chat").stop() end },
}

---@param words string[]
---@param beginning string
---@return string[]
local function beginning_with(words, beginning)
  local found = vim.tbl_filter(function(word)
    return vim.startswith(word, beginning)
  end, words)
  table.sort(found)
  return found
end

---@param _ string
---@param line string
---@return string[]
local function complete(_, line)
  local name, rest = line:match("Runabout!?%s+(%S+)%s+(.*)$")
  if name then
    local subcommand = SUBCOMMANDS[name]
    return subcommand and beginning_with(subcommand.words or {}, rest) or {}
  end
  return beginning_with(vim.tbl_keys(SUBCOMMANDS), line:match("Runabout!?%s+(%S*)$") or "")
end

function M.create()
  vim.api.nvim_create_user_command("Runabout", function(arguments)
    local name, rest = arguments.args:match("^(%S*)%s*(.-)%s*$")
    local subcommand = SUBCOMMANDS[name == "" and "status" or name]
    if not subcommand then
      local names = vim.tbl_keys(SUBCOMMANDS)
      table.sort(names)
      local words = ("there is no `:Runabout %s`; there are %s"):format(name, table.concat(names, ", "))
      return vim.notify("runabout: " .. words, vim.log.levels.ERROR)
    end
    subcommand.run(rest, arguments)
  end, { nargs = "*", range = true, bang = true, complete = complete, desc = "Local code completion and chat" })
end

return M
