#!/usr/bin/env bash
# What meets: Kakoune 2022.10.31, and a hook on `BufSetOption filetype=...`, in which a `kakrc` adds a server to the list of
#   kakoune-lsp, as its documentation has it, but with `set-option -add`.
# Guess: the hook runs once for a file that is opened, as it does when a person sets the option.
# Seen: for a file it runs twice, with the same value; so what was added is there twice. (kakoune-lsp 21.0.2 then reads no
#   server from the list at all, since a table of TOML may be there only once, and says so only with `lsp_debug`.)
# Fails if the first changes. Kakoune must be installed, as Debian 12 has it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/hook.kak" <<'KAK'
declare-option str servers
hook global BufSetOption filetype=.+ %{ set-option -add buffer servers "%val{hook_param} " }
KAK
printf 'fn main() {}\n' > "$folder/a.rs"
printf 'x = 1\n' > "$folder/a.py"
added() {
    (cd "$folder" && timeout 20 kak -ui dummy -e "source hook.kak; $1; echo -to-file servers %opt{servers}; quit!")
    cat "$folder/servers"
    echo
}
{
    added "edit a.py"
    added "edit a.rs"
    added "edit -scratch; set-option buffer filetype python"
} | tee "$folder/lines"
diff --ignore-trailing-space "$folder/lines" - <<'EXPECTED'
filetype=python filetype=python
filetype=rust filetype=rust
filetype=python
EXPECTED
