-- The options with their defaults, and their checks.
-- `settings` goes to the worker as it is: the worker checks it, and newer workers may know more of it.

local M = {}

---@class runabout.Options
M.defaults = {
  --- The program: a path or a name, or a list with options. By default it is looked for.
  ---@type string|string[]|nil
  command = nil,
  --- The model, as in `runabout serve --model`; nil is the worker's default.
  ---@type string|nil
  model = nil,
  --- Further options for `runabout lsp`, such as `{ "--offline" }`.
  ---@type string[]
  arguments = {},
  --- Whether the worker starts with the first file. If not, `:Runabout restart` starts it.
  autostart = true,
  --- Keys, of insert mode; false for a key, or for all of them, leaves it alone.
  ---@type table<string, string|false>|false
  keys = {
    accept = "<Tab>",
    accept_word = "<M-Right>",
    accept_line = "<M-C-Right>",
    next = "<M-]>",
    previous = "<M-[>",
    dismiss = "<C-]>",
    --- The only one of normal mode, too.
    next_edit = "<M-n>",
  },
  --- Whether the next edit is shown: "off", "manual" (when its key asks for it) or "automatic" (also after an edit). A model
  --- that was not made for edits, such as the default one, only adds to the last edit, where ghost text has been already;
  --- so by default nothing comes by itself.
  ---@type "off"|"manual"|"automatic"
  next_edit = "manual",
  --- How the model is asked: all but the first two go to the worker as parameters of its method `chat`, and so does what
  --- is added here, such as `temperature = 0`.
  chat = {
    --- The width of the side window, in columns or as a share of the editor's.
    width = 0.4,
    --- What the model is told before a conversation.
    system = "You are a programming assistant. Answer briefly. Put code into fenced blocks.",
    --- The length of an answer, in tokens.
    max_tokens = 1024,
  },
  --- The worker's settings; see the table in the README.
  ---@type table<string, any>
  settings = {},
}

---@type runabout.Options
M.current = vim.deepcopy(M.defaults)

local WHEN = { "off", "manual", "automatic" }

local TYPES = {
  command = { "nil", "string", "table" },
  model = { "nil", "string" },
  arguments = { "table" },
  autostart = { "boolean" },
  keys = { "table", "boolean" },
  next_edit = { "string" },
  chat = { "table" },
  settings = { "table" },
}

--- Sets the options; what is wrong or unknown is said and left at its default.
---@param options table?
function M.set(options)
  local wanted, wrong = {}, {}
  for name, value in pairs(options or {}) do
    local types = TYPES[name]
    if not types then
      table.insert(wrong, ("there is no option `%s`"):format(name))
    elseif not vim.tbl_contains(types, type(value)) then
      table.insert(wrong, ("`%s` must be a %s"):format(name, types[#types]))
    elseif name == "next_edit" and not vim.tbl_contains(WHEN, value) then
      table.insert(wrong, "`next_edit` must be off, manual or automatic")
    else
      wanted[name] = value
    end
  end
  if wanted.keys == true then
    wanted.keys = nil
  end
  M.current = vim.tbl_deep_extend("force", vim.deepcopy(M.defaults), wanted)
  if #wrong > 0 then
    table.sort(wrong)
    require("runabout.log").say(table.concat(wrong, "; ") .. " (see `:help runabout-options`)", vim.log.levels.WARN)
  end
end

return M
