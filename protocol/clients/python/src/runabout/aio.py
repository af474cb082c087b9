"""The client for asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import time
import weakref
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Dict,
    Generic,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
)

from .errors import ClientClosed, IncompleteAnswer, RequestCancelled, RequestFailed, RequestTimedOut, WorkerEnded
from .limits import Limit
from .program import command, find_program
from .protocol import (
    CancelResult,
    ChatOptions,
    ChatResult,
    CompleteOptions,
    CompleteResult,
    DeltaParams,
    InitializeResult,
    Message,
    ModelSummary,
    NextEditOptions,
    NextEditResult,
    ProgressParams,
    StatusResult,
    TokenizeResult,
    Tool,
    WarmResult,
)
from .worker import Callback, Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack  # For type checkers: they bring it along.

Result = TypeVar("Result")
Messages = Union[str, Sequence[Message]]
OnDelta = Callable[[DeltaParams], object]
OnProgress = Callable[[ProgressParams], object]
OnNotification = Callable[[str, Any], object]

PROTOCOL_VERSION = 1
_LOAD_FAILED = 1001
# The first restart is immediate; each one after a worker that answered nothing waits twice as long as the one before.
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0


class AsyncStream(Generic[Result]):
    """A request whose text arrives piece by piece: iterate over its deltas, then ask for its result.

    Leaving its `async with` block, or dropping it, cancels the request.
    """

    def __init__(self, start: Callable[[OnDelta, Callback], Coroutine[Any, Any, Result]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._deltas: asyncio.Queue[Optional[DeltaParams]] = asyncio.Queue()
        self._sent: asyncio.Future[Callable[[], Coroutine[Any, Any, Any]]] = self._loop.create_future()
        queue, sent = self._deltas, self._sent

        def done(task: asyncio.Task[Result]) -> None:
            queue.put_nowait(None)
            sent.cancel()
            if not task.cancelled():
                task.exception()  # Not an error of asyncio if nobody asks for the result.

        self._task: asyncio.Task[Result] = self._loop.create_task(start(queue.put_nowait, sent.set_result))
        self._task.add_done_callback(done)

    def __aiter__(self) -> AsyncStream[Result]:
        return self

    async def __anext__(self) -> DeltaParams:
        delta = await self._deltas.get()
        if delta is not None:
            return delta
        self._deltas.put_nowait(None)
        if not self._task.cancelled():
            self._task.result()
        raise StopAsyncIteration

    async def result(self) -> Result:
        """Waits for the result, whether or not the deltas are read."""
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                raise RequestCancelled("the request was cancelled") from None
            raise

    async def cancel(self) -> CancelResult:
        """Stops the request at the worker; its result is then the text so far."""
        await asyncio.wait([self._sent])
        if self._sent.cancelled():
            return {"outcome": "finished", "completion_tokens": 0}
        return cast(CancelResult, await self._sent.result()())

    async def aclose(self) -> None:
        """Cancels the request unless it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def __aenter__(self) -> AsyncStream[Result]:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        task = getattr(self, "_task", None)
        if task is not None and not task.done() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(task.cancel)


class AsyncClient:
    """A worker process and its requests. The process is started by the first request, or by `start`.

    `options` are those of `runabout serve`: `{"kv_bits": 8, "offline": True}` is `--kv-bits=8 --offline`. `timeout` is
    the default time limit of a request in seconds. With `restart=False`, requests fail once the worker has ended.
    `on_notification` gets the method and the params of each notification, except for the deltas.
    """

    def __init__(
        self,
        model: Optional[str] = None,
        *,
        program: Optional[Union[str, "os.PathLike[str]"]] = None,
        options: Optional[Mapping[str, object]] = None,
        env: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        restart: bool = True,
        on_notification: Optional[OnNotification] = None,
        name: str = "runabout-python",
    ) -> None:
        self._model = model
        self._program = program
        self._options = dict(options or {})
        self._env = dict(env or {})
        self._timeout = timeout
        self._restart = restart
        self._events = _Events(on_notification)
        self._name = name
        self._worker: Optional[Worker] = None
        self._info: Optional[InitializeResult] = None
        self._limit: Optional[Limit] = None
        self._starting: Optional[asyncio.Lock] = None  # Made in the loop that it is for.
        self._closed = False
        self._counted: Optional[Worker] = None
        self._n_failures = 0
        self._restart_at = 0.0
        self._abandon: Optional[weakref.finalize[..., AsyncClient]] = None

    # ---- The worker

    async def start(self) -> InitializeResult:
        """Starts the worker unless it runs, and returns what it says of itself. It then loads its model."""
        await self._started()
        assert self._info is not None
        return self._info

    async def wait_until_ready(
        self, *, timeout: Optional[float] = None, on_progress: Optional[OnProgress] = None
    ) -> ModelSummary:
        """Waits until the model is loaded, and returns what is known of it; `on_progress` is told of the load.

        There is no need to wait: requests that need the model do it by themselves.
        """

        async def wait() -> ModelSummary:
            worker = await self._started()
            with self._events.watching(on_progress):
                while worker.ended is None:
                    changed = self._events.changed()
                    status = cast(StatusResult, await self._send(worker, "status", {}))
                    if status["state"] == "ready":
                        return status["model"]
                    if status["state"] == "failed":
                        error = cast(Dict[str, Any], status.get("error") or {})
                        raise RequestFailed(
                            _LOAD_FAILED, f"the model could not be loaded: {error.get('cause')}", error
                        )
                    await asyncio.wait([changed, worker.end], return_when=asyncio.FIRST_COMPLETED)
            raise WorkerEnded(worker.ended.exit_code, worker.ended.log)

        return await self._timed("wait_until_ready", wait(), timeout)

    @property
    def pid(self) -> Optional[int]:
        """The process id of the worker, if one was started."""
        return self._worker.pid if self._worker else None

    async def close(self) -> None:
        """Ends the worker; running requests fail or are answered with their text so far."""
        self._closed = True
        if self._worker is not None:
            await self._worker.close()

    async def __aenter__(self) -> AsyncClient:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.close()

    # ---- Requests. `timeout` is in seconds; `extra` are parameters that this version does not know.

    async def complete(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        on_delta: Optional[OnDelta] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[CompleteOptions],
    ) -> CompleteResult:
        """Generates the text at a cursor, between `prefix` and `suffix`."""
        params = _params({"prefix": prefix, "stream": on_delta is not None}, options, extra)
        return cast(CompleteResult, await self._call("complete", params, timeout, on_delta))

    def complete_stream(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[CompleteOptions],
    ) -> AsyncStream[CompleteResult]:
        """The same, piece by piece."""
        return self._stream("complete", _params({"prefix": prefix}, options, extra), timeout)

    async def chat(
        self,
        messages: Messages,
        *,
        timeout: Optional[float] = None,
        on_delta: Optional[OnDelta] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResult:
        """Generates the assistant's next turn; a string is a conversation of one message of the user."""
        first = {"messages": _messages(messages), "stream": on_delta is not None}
        return cast(ChatResult, await self._call("chat", _params(first, options, extra), timeout, on_delta))

    def chat_stream(
        self,
        messages: Messages,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> AsyncStream[ChatResult]:
        """The same, piece by piece."""
        return self._stream("chat", _params({"messages": _messages(messages)}, options, extra), timeout)

    async def chat_json(
        self,
        messages: Messages,
        json_schema: Mapping[str, Any],
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> Any:
        """The parsed value of an answer that is valid by a JSON Schema. The model does not see the schema: the messages
        should ask for it too."""
        options["response_format"] = {"type": "json_schema", "schema": json_schema}
        result = await self.chat(messages, timeout=timeout, extra=extra, **options)
        return parsed(result, result["message"].get("content"))

    async def next_edit(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[NextEditOptions],
    ) -> NextEditResult:
        """Predicts what a person changes next near a cursor."""
        params = _params({"prefix": prefix}, options, extra)
        return cast(NextEditResult, await self._call("next_edit", params, timeout))

    async def warm(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[CompleteOptions],
    ) -> WarmResult:
        """Computes the prompt of a later `complete`, so that it starts fast."""
        return cast(WarmResult, await self._call("warm", _params({"prefix": prefix}, options, extra), timeout))

    async def warm_chat(
        self,
        messages: Messages,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> WarmResult:
        """Computes the prompt of a later `chat`, so that it starts fast."""
        params = _params({"messages": _messages(messages)}, options, extra)
        return cast(WarmResult, await self._call("warm", params, timeout))

    async def tokenize(
        self,
        text: Optional[str] = None,
        *,
        messages: Optional[Messages] = None,
        tools: Optional[Sequence[Tool]] = None,
        chat_template_kwargs: Optional[Mapping[str, Any]] = None,
        return_tokens: bool = False,
        timeout: Optional[float] = None,
    ) -> TokenizeResult:
        """Counts the tokens of a text, or of messages as `chat` would render them."""
        params: Dict[str, Any] = {"return_tokens": return_tokens}
        if text is not None:
            params["text"] = text
        if messages is not None:
            params["messages"] = _messages(messages)
        if tools is not None:
            params["tools"] = tools
        if chat_template_kwargs is not None:
            params["chat_template_kwargs"] = chat_template_kwargs
        return cast(TokenizeResult, await self._call("tokenize", params, timeout))

    async def status(self, *, timeout: Optional[float] = None) -> StatusResult:
        """The state of the worker."""
        return cast(StatusResult, await self._call("status", {}, timeout))

    async def request(
        self,
        method: str,
        params: Optional[Mapping[str, Any]] = None,
        *,
        timeout: Optional[float] = None,
        on_delta: Optional[OnDelta] = None,
    ) -> Any:
        """Any request, also of a method that this version does not know."""
        return await self._call(method, dict(params or {}), timeout, on_delta)

    # ---- Inside

    def _stream(self, method: str, params: Dict[str, Any], timeout: Optional[float]) -> AsyncStream[Any]:
        return AsyncStream(lambda on_delta, on_sent: self._call(method, params, timeout, on_delta, on_sent))

    async def _call(
        self,
        method: str,
        params: Mapping[str, Any],
        timeout: Optional[float],
        on_delta: Optional[Callback] = None,
        on_sent: Optional[Callback] = None,
    ) -> Any:
        async def call() -> Any:
            worker = await self._started()
            if method not in ("complete", "chat", "next_edit"):
                return await self._send(worker, method, params)
            assert self._limit is not None
            n = params.get("n")
            with await self._limit.take(n if isinstance(n, int) else 1):
                # It may have ended while this request waited.
                worker = await self._started()
                return await self._send(worker, method, params, on_delta, on_sent)

        return await self._timed(method, call(), timeout)

    async def _timed(self, method: str, call: Coroutine[Any, Any, Result], timeout: Optional[float]) -> Result:
        limit = self._timeout if timeout is None else timeout
        if limit is None or limit == float("inf"):
            return await call
        try:
            return await asyncio.wait_for(call, limit)
        except asyncio.TimeoutError as error:
            if isinstance(error, RequestTimedOut):
                raise
            raise RequestTimedOut(method, limit) from None

    async def _send(
        self,
        worker: Worker,
        method: str,
        params: Mapping[str, Any],
        on_delta: Optional[Callback] = None,
        on_sent: Optional[Callback] = None,
    ) -> Any:
        request = worker.request(method, params, on_delta)
        if on_sent is not None:
            on_sent(lambda: self._send(worker, "cancel", {"id": request.id}))
        try:
            await worker.flush()
            return await request.answer
        except asyncio.CancelledError:
            worker.cancel(request.id)
            raise

    async def _started(self) -> Worker:
        """The running worker; starts one if there is none."""
        worker = self._worker
        if worker is not None and worker.ended is None and self._info is not None and not self._closed:
            return worker
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if self._closed:
                raise ClientClosed("the client is closed")
            worker = self._worker
            if worker is not None and worker.ended is None and self._info is not None:
                return worker
            await self._wait_before_restart(worker)
            worker = await Worker.start(
                command(find_program(self._program), self._model, self._options),
                {**os.environ, **self._env},
                self._events.take,
            )
            self._adopt(worker)
            params = {"client": {"name": self._name}, "protocol_version": PROTOCOL_VERSION}
            info = cast(InitializeResult, await self._send(worker, "initialize", params))
            if info["protocol_version"] != PROTOCOL_VERSION:
                await worker.close()
                raise RequestFailed(0, f"the worker speaks version {info['protocol_version']} of the protocol")
            worker.max_message_bytes = info["limits"]["max_frame_bytes"]
            self._limit = self._limit or Limit(info["limits"]["max_queued"])
            self._info = info
            return worker

    async def _wait_before_restart(self, ended: Optional[Worker]) -> None:
        if ended is None:
            return
        if ended.ended is None:  # Its start was cancelled.
            await ended.close()
        assert ended.ended is not None
        if not self._restart:
            raise WorkerEnded(ended.ended.exit_code, ended.ended.log)
        if ended is not self._counted:
            self._counted = ended
            self._n_failures = 1 if ended.has_served else self._n_failures + 1
            wait = min(_FIRST_WAIT_S * 2 ** (self._n_failures - 2), _LONGEST_WAIT_S)
            self._restart_at = time.monotonic() + (wait if self._n_failures > 1 else 0)
        await asyncio.sleep(max(self._restart_at - time.monotonic(), 0))

    def _adopt(self, worker: Worker) -> None:
        if self._abandon is not None:
            self._abandon.detach()
        self._worker, self._info = worker, None
        # A client that is dropped ends its worker; at the end of the program the pipe is closed anyway.
        self._abandon = weakref.finalize(self, _end, asyncio.get_running_loop(), worker)
        self._abandon.atexit = False


class _Events:
    """Who is told of notifications. The reader of a worker holds this, and so it does not hold the client."""

    def __init__(self, on_notification: Optional[OnNotification]) -> None:
        self._on_notification = on_notification
        self._on_progress: Dict[object, OnProgress] = {}
        self._change: Optional[asyncio.Future[None]] = None

    def take(self, method: str, params: Any) -> None:
        if method == "status" and self._change is not None and not self._change.done():
            self._change.set_result(None)
        if method == "progress":
            for on_progress in list(self._on_progress.values()):
                on_progress(params)
        if self._on_notification is not None:
            self._on_notification(method, params)

    def changed(self) -> asyncio.Future[None]:
        """Done at the next `status` notification."""
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        return self._change

    def watching(self, on_progress: Optional[OnProgress]) -> _Watch:
        return _Watch(self._on_progress, on_progress)


class _Watch:
    """A context in which the progress of the load is told."""

    def __init__(self, watchers: Dict[object, OnProgress], on_progress: Optional[OnProgress]) -> None:
        self._watchers = watchers
        self._on_progress = on_progress

    def __enter__(self) -> None:
        if self._on_progress is not None:
            told = self._on_progress
            self._watchers[self] = lambda params: told(params) if params.get("stage") != "prefill" else None

    def __exit__(self, *_: Tuple[Any, ...]) -> None:
        self._watchers.pop(self, None)


def _end(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(worker.close_input)


def _messages(messages: Messages) -> Sequence[Message]:
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


def _params(
    first: Dict[str, Any], options: Mapping[str, Any], extra: Optional[Mapping[str, object]]
) -> Dict[str, Any]:
    return {**first, **options, **(extra or {})}


def parsed(result: Mapping[str, Any], text: object) -> Any:
    """The value of an answer in JSON."""
    if result.get("incomplete") is None and isinstance(text, str):
        try:
            return json.loads(text)
        except ValueError:
            pass
    raise IncompleteAnswer(result)
