-- `:checkhealth runabout`.

local M = {}

---@param command string[]
local function check_version(command)
  -- The health check is run by the person and is allowed to take a moment; nothing else here waits for a process.
  local ok, result = pcall(function()
    return vim.system(vim.list_extend(vim.deepcopy(command), { "--version" }), { text = true }):wait(5000)
  end)
  if ok and result.code == 0 then
    vim.health.ok(("%s is %s"):format(command[1], vim.trim(result.stdout)))
  else
    local why = ok and (vim.trim(result.stderr or "")) or tostring(result)
    vim.health.error(("`%s --version` fails: %s"):format(table.concat(command, " "), why), {
      require("runabout.program").advice,
    })
  end
  local help_ok, help = pcall(function()
    return vim.system(vim.list_extend(vim.deepcopy(command), { "lsp", "--help" }), { text = true }):wait(5000)
  end)
  if not help_ok or help.code ~= 0 then
    vim.health.error("this program has no `runabout lsp`; it is too old for this plugin", {
      require("runabout.program").advice,
    })
  end
end

local function check_keys()
  local keys = require("runabout.options").current.keys
  if not keys then
    return vim.health.ok("no keys are mapped; `<Plug>(runabout-accept)` and others are there to be mapped")
  end
  local used = {}
  for name, key in vim.spairs(keys) do
    if key then
      table.insert(used, ("%s %s"):format(key, name))
    end
  end
  vim.health.ok("keys: " .. table.concat(used, ", "))
end

function M.check()
  vim.health.start("runabout")
  if vim.fn.has("nvim-0.10") == 1 then
    vim.health.ok("Neovim " .. tostring(vim.version()))
  else
    vim.health.error("Neovim 0.10 or later is needed")
    return
  end
  local command, problem = require("runabout.program").find()
  if command then
    check_version(command)
  else
    vim.health.error(assert(problem))
  end
  local worker = require("runabout.worker")
  local sentence = "worker: " .. require("runabout.status").sentence()
  local state = require("runabout.state").current.state
  if state == "failed" or state == "crashed" then
    vim.health.error(sentence, { "`:Runabout log` shows what the worker wrote", "`:Runabout restart` starts it again" })
  elseif state == "absent" then
    vim.health.warn("worker: it was not started, since the program was missing; `:Runabout restart` starts it")
  elseif state == "stopped" then
    vim.health.info("worker: it starts with the first file, or by `:Runabout restart`")
  else
    vim.health.ok(sentence)
  end
  local attached = 0
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    attached = attached + (worker.attached(buffer) and 1 or 0)
  end
  vim.health.info(("%d buffers are known to the worker"):format(attached))
  check_keys()
end

return M
