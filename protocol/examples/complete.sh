#!/bin/sh
# Completes code with a local model and prints the text as it is generated.
#
#     complete.sh [PREFIX [SUFFIX]]
#
# The environment variable RUNABOUT names the program, RUNABOUT_MODEL the model.
# Requires only the standard tools.
set -eu

prefix=${1-'def fibonacci(n):
    """Return the first n Fibonacci numbers."""
    '}
suffix=${2-'

print(fibonacci(10))
'}

# Escapes text for use inside a JSON string.
encode() {
    printf '%s\n' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g' |
        awk '{ gsub(/\t/, "\\t"); gsub(/\r/, "\\r"); printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }'
}

# Unescapes the inside of a JSON string. The worker writes no surrogate pairs.
decode() {
    LC_ALL=C awk '
        BEGIN { control["n"] = 10; control["t"] = 9; control["r"] = 13; control["b"] = 8; control["f"] = 12 }
        function hex(digit) { return index("0123456789abcdef", digit) - 1 }
        function unit(i) {
            return 4096 * hex(substr($0, i, 1)) + 256 * hex(substr($0, i + 1, 1)) \
                + 16 * hex(substr($0, i + 2, 1)) + hex(substr($0, i + 3, 1))
        }
        function utf8(code) {
            if (code < 128) printf "%c", code
            else if (code < 2048) printf "%c%c", 192 + int(code / 64), 128 + code % 64
            else printf "%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64
        }
        {
            while ((i = index($0, "\\")) > 0) {
                printf "%s", substr($0, 1, i - 1)
                c = substr($0, i + 1, 1)
                if (c == "u") utf8(unit(i + 2))
                else if (c in control) printf "%c", control[c]
                else printf "%s", c
                $0 = substr($0, i + (c == "u" ? 6 : 2))
            }
            printf "%s", $0
        }'
}

pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
mkfifo "$pipes/to" "$pipes/from"
"${RUNABOUT:-runabout}" serve <"$pipes/to" >"$pipes/from" &
worker=$!
exec 3>"$pipes/to" 4<"$pipes/from"

# The text ends at the first blank line.
params='{"prefix": "%s", "suffix": "%s", "stop": ["\\n\\n"], "max_tokens": 64}'
printf '{"jsonrpc": "2.0", "id": 1, "method": "complete", "params": '"$params"'}\n' \
    "$(encode "$prefix")" "$(encode "$suffix")" >&3

status=1
while IFS= read -r message <&4; do
    case $message in
        *'"method":"delta"'*) printf '%s\n' "$message" | sed 's/.*"text":"\(.*\)"}}$/\1/' | decode ;;
        *'"id":1,"error":'*) printf '%s\n' "$message" >&2 && break ;;
        *'"id":1,"result":'*) status=0 && echo && break ;;
    esac
done

exec 3>&- # Closing its input ends the worker.
wait "$worker"
exit "$status"
