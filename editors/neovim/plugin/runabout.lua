-- Sets the plugin up when Neovim loads its plugins, with the options in `vim.g.runabout` if there are any.
-- A configuration that calls `require("runabout").setup()` itself comes first, and then this file does nothing.

if vim.g.loaded_runabout then
  return
end
vim.g.loaded_runabout = 1

require("runabout").ensure_setup()
