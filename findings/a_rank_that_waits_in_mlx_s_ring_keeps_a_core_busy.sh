#!/usr/bin/env bash
# What meets: two ranks of MLX 0.32.2's ring over TCP on this machine; one takes part in a sum four seconds after the other.
# Guess: the rank that waits sleeps in the kernel until bytes come, and takes next to no processor time.
# Seen: it reads from a socket that does not block, again and again, and takes processor time for the whole wait. So a server
#   must not let its ranks wait in the ring for the next request.
# Fails if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "mlx[cpu]==0.32.2"
cat > "$folder/rank.py" <<'PYTHON'
import time

import mlx.core as mx

mx.set_default_device(mx.cpu)
group = mx.distributed.init(strict=True, backend="ring")
x = mx.ones((1024,))
mx.eval(mx.distributed.all_sum(x, group=group))
if group.rank() == 0:
    time.sleep(4)
began, used = time.monotonic(), time.process_time()
total = mx.distributed.all_sum(x, group=group)
mx.eval(total)
waited, used = time.monotonic() - began, time.process_time() - used
if group.rank() == 1:
    print("sum:", total[0].item())
    print("waited at least 3 seconds:", waited >= 3)
    print("of that, at least a tenth of a second with the processor:", used >= 0.1)
PYTHON
python3 - > "$folder/hosts.json" <<'PYTHON'
import json
import socket

sockets = [socket.socket() for _ in range(2)]
for it in sockets:
    it.bind(("127.0.0.1", 0))
print(json.dumps([[f"127.0.0.1:{it.getsockname()[1]}"] for it in sockets]))
PYTHON
export MLX_HOSTFILE="$folder/hosts.json"
MLX_RANK=0 "$folder/venv/bin/python" "$folder/rank.py" &
MLX_RANK=1 timeout 120 "$folder/venv/bin/python" "$folder/rank.py" > "$folder/seen"
wait
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
sum: 2.0
waited at least 3 seconds: True
of that, at least a tenth of a second with the processor: True
EXPECTED
