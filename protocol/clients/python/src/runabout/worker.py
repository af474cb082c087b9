"""One worker process: its messages, the requests that it has not answered, and its end.

It knows nothing of restarts: a new process is a new `Worker`.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
from typing import Any, Awaitable, Callable, Deque, Dict, List, Mapping, Optional, Sequence

from .errors import ClientClosed, RequestFailed, WorkerEnded

Callback = Callable[[Any], object]

_CHUNK_BYTES = 1 << 16
_N_LOG_LINES = 20
# How long a worker may take to end by itself; by the protocol it takes less than a second.
_PATIENCE_S = 5.0
_TOO_LARGE = -32007

_log = logging.getLogger("runabout")
_worker_log = logging.getLogger("runabout.worker")


class Request:
    """A request that has been sent."""

    def __init__(self, id: int, on_delta: Optional[Callback]) -> None:
        self.id = id
        self.on_delta = on_delta
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Worker:
    """One process. `notified` is called with the method and the params of each notification."""

    def __init__(self, process: asyncio.subprocess.Process, notified: Callable[[str, Any], object]) -> None:
        self._process = process
        self._notified = notified
        self._pending: Dict[int, Request] = {}
        self._last_id = 0
        self._writing = asyncio.Lock()
        self._log: Deque[str] = collections.deque(maxlen=_N_LOG_LINES)
        self._closing = False
        self.ended: Optional[WorkerEnded] = None
        self.has_served = False
        self.max_message_bytes: Optional[int] = None
        self._tasks: List[asyncio.Task[None]] = [asyncio.ensure_future(self._read_log())]
        self.end: asyncio.Task[None] = asyncio.ensure_future(self._read(self._tasks[0]))
        self._tasks.append(self.end)

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str], notified: Callable[[str, Any], object]
    ) -> Worker:
        """Starts a process, in a session of its own: Ctrl-C ends a request or this program, but not the worker, which
        ends by itself when its input does."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
        return cls(process, notified)

    @property
    def pid(self) -> int:
        return self._process.pid

    # ---- Requests

    def request(self, method: str, params: Mapping[str, Any], on_delta: Optional[Callback] = None) -> Request:
        """Sends a request; `flush` waits until the worker has taken it."""
        if self.ended is not None:
            raise WorkerEnded(self.ended.exit_code, self.ended.log)
        self._last_id += 1
        message = self._encode({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        request = Request(self._last_id, on_delta)
        self._pending[request.id] = request
        request.answer.add_done_callback(lambda _: self._pending.pop(request.id, None))
        self._write(message)
        return request

    async def flush(self) -> None:
        assert self._process.stdin is not None
        # Before Python 3.11, only one task at a time may drain a stream.
        async with self._writing:
            try:
                await self._process.stdin.drain()
            except ConnectionError:
                pass  # The worker has ended; the reader finds out how.

    def cancel(self, id: int) -> None:
        """Asks the worker to stop a request, and does not wait."""
        if self.ended is None:
            self._write(self._encode({"jsonrpc": "2.0", "method": "cancel", "params": {"id": id}}))

    def _encode(self, message: Mapping[str, Any]) -> bytes:
        line = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        if self.max_message_bytes is not None and len(line) > self.max_message_bytes:
            # The worker could not tell whose message it was.
            data = {"max_frame_bytes": self.max_message_bytes}
            raise RequestFailed(_TOO_LARGE, f"the message has {len(line)} bytes, which is too large", data)
        return line + b"\n"

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(line)

    # ---- Messages

    async def _read(self, log: Awaitable[None]) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            rest = bytearray()
            while True:
                chunk = await stdout.read(_CHUNK_BYTES)
                if not chunk:
                    break
                # Messages end at \n alone.
                start, end = 0, chunk.find(b"\n")
                while end >= 0:
                    rest += chunk[start:end]
                    self._take(bytes(rest))
                    rest.clear()
                    start, end = end + 1, chunk.find(b"\n", end + 1)
                rest += chunk[start:]
            await self._process.wait()
            await log
        except asyncio.CancelledError:
            # The event loop ends, and nobody has closed the client.
            await asyncio.wait_for(self._end_of(stdout), _PATIENCE_S)
            raise
        finally:
            self._fail()

    async def _end_of(self, output: asyncio.StreamReader) -> None:
        """Has the process end, without interest in what it still writes."""
        self.close_input()
        while await output.read(_CHUNK_BYTES):
            pass
        await self._process.wait()

    async def _read_log(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        rest = b""
        try:
            while True:
                chunk = await stderr.read(_CHUNK_BYTES)
                *lines, rest = (rest + chunk).split(b"\n") if chunk else [rest, b""]
                for line in lines:
                    text = line.decode(errors="replace").rstrip()
                    if text:
                        self._log.append(text)
                        _worker_log.info("%s", text)
                if not chunk:
                    return
        except asyncio.CancelledError:
            await asyncio.wait_for(self._end_of(stderr), _PATIENCE_S)
            raise

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            _log.warning("the worker wrote a line that is no message: %r", line[:200])
        elif "method" in message:
            self._take_notification(message["method"], message.get("params"))
        else:
            self._take_answer(message)

    def _take_notification(self, method: str, params: Any) -> None:
        if method == "delta" and isinstance(params, dict):
            request = self._pending.get(params.get("id", 0))
            if request is not None and request.on_delta is not None and not request.answer.done():
                try:
                    request.on_delta(params)
                except Exception as error:  # It belongs to the caller of this request.
                    self.cancel(request.id)
                    request.answer.set_exception(error)
            return
        try:
            self._notified(method, params)
        except Exception:
            _log.exception("a callback for `%s` failed", method)

    def _take_answer(self, message: Dict[str, Any]) -> None:
        request = self._pending.get(message["id"]) if isinstance(message.get("id"), int) else None
        error = message.get("error")
        if request is None or request.answer.done():
            if error is not None and message.get("id") is None:
                _log.warning("the worker refused a message: %s", error)
        elif isinstance(error, dict):
            code, text = error.get("code", 0), error.get("message", "")
            request.answer.set_exception(RequestFailed(code, text, error.get("data")))
        else:
            self.has_served = self.has_served or request.id > 1
            request.answer.set_result(message.get("result"))

    # ---- The end

    def _fail(self) -> None:
        """The process has ended, or nobody reads any more: fails what is not answered."""
        self.ended = WorkerEnded(self._process.returncode, list(self._log))
        self.close_input()
        for request in list(self._pending.values()):
            if not request.answer.done():
                ended = WorkerEnded(self.ended.exit_code, self.ended.log)
                request.answer.set_exception(ClientClosed("the client was closed") if self._closing else ended)
                request.answer.exception()  # Not an error of asyncio if nobody waits for it.

    def close_input(self) -> None:
        """Makes the worker end by itself."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.close()

    async def close(self) -> None:
        """Ends the process and waits for it."""
        self._closing = True
        self.close_input()
        for force in (None, self._process.terminate, self._process.kill):
            if force is not None and self._process.returncode is None:
                force()
            _, pending = await asyncio.wait(self._tasks, timeout=_PATIENCE_S)
            if not pending:
                return
        for task in self._tasks:
            task.cancel()
