"""The client for scripts without asyncio: it runs `AsyncClient` on a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Generic, Mapping, Optional, Sequence, Type, TypeVar, Union

from .aio import AsyncClient, AsyncStream, Messages, OnDelta, OnNotification, OnProgress
from .errors import ClientClosed
from .protocol import (
    CancelResult,
    ChatOptions,
    ChatResult,
    CompleteOptions,
    CompleteResult,
    DeltaParams,
    InitializeResult,
    ModelSummary,
    NextEditOptions,
    NextEditResult,
    StatusResult,
    TokenizeResult,
    Tool,
    WarmResult,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack  # For type checkers: they bring it along.

Result = TypeVar("Result")
Waited = TypeVar("Waited")


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="runabout", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def submit(self, work: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Waits for `work`; an exception that ends the wait, such as `KeyboardInterrupt`, cancels it."""
        if self._loop.is_closed():
            work.close()
            raise ClientClosed("the client is closed")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()


class Stream(Generic[Result]):
    """A request whose text arrives piece by piece: iterate over its deltas, then ask for its result.

    Leaving its `with` block, or dropping it, cancels the request.
    """

    def __init__(self, loop: Loop, inner: AsyncStream[Result]) -> None:
        self._loop = loop
        self._inner = inner

    def __iter__(self) -> Stream[Result]:
        return self

    def __next__(self) -> DeltaParams:
        delta = self._wait(self._next())
        if delta is None:
            raise StopIteration
        return delta

    async def _next(self) -> Optional[DeltaParams]:
        async for delta in self._inner:
            return delta
        return None

    def _wait(self, work: Coroutine[Any, Any, Waited]) -> Waited:
        try:
            return self._loop.run(work)
        except KeyboardInterrupt:
            self.close()
            raise

    def result(self) -> Result:
        """Waits for the result, whether or not the deltas are read."""
        return self._wait(self._inner.result())

    def cancel(self) -> CancelResult:
        """Stops the request at the worker; its result is then the text so far."""
        return self._loop.run(self._inner.cancel())

    def close(self) -> None:
        """Cancels the request unless it has ended."""
        self._loop.run(self._inner.aclose())

    def __enter__(self) -> Stream[Result]:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()


class Client:
    """A worker process and its requests. The process is started by the first request, or by `start`.

    `options` are those of `runabout serve`: `{"kv_bits": 8, "offline": True}` is `--kv-bits=8 --offline`. `timeout` is
    the default time limit of a request in seconds. With `restart=False`, requests fail once the worker has ended.
    `on_notification` gets the method and the params of each notification, except for the deltas, on another thread.
    Any number of threads may use a client at the same time.
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
        self._loop = Loop()

        async def make() -> AsyncClient:
            return AsyncClient(
                model,
                program=program,
                options=options,
                env=env,
                timeout=timeout,
                restart=restart,
                on_notification=on_notification,
                name=name,
            )

        self._inner = self._loop.run(make())
        self._abandon = weakref.finalize(self, _end, self._loop, self._inner)
        self._abandon.atexit = False

    # ---- The worker

    def start(self) -> InitializeResult:
        """Starts the worker unless it runs, and returns what it says of itself. It then loads its model."""
        return self._loop.run(self._inner.start())

    def wait_until_ready(
        self, *, timeout: Optional[float] = None, on_progress: Optional[OnProgress] = None
    ) -> ModelSummary:
        """Waits until the model is loaded, and returns what is known of it; `on_progress` is told of the load, on
        another thread.

        There is no need to wait: requests that need the model do it by themselves.
        """
        return self._loop.run(self._inner.wait_until_ready(timeout=timeout, on_progress=on_progress))

    @property
    def pid(self) -> Optional[int]:
        """The process id of the worker, if one was started."""
        return self._inner.pid

    def close(self) -> None:
        """Ends the worker; running requests fail or are answered with their text so far."""
        if self._abandon.detach() is not None:
            self._loop.run(self._inner.close())
            self._loop.stop()

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    # ---- Requests. `timeout` is in seconds; `extra` are parameters that this version does not know.

    def complete(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        on_delta: Optional[OnDelta] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[CompleteOptions],
    ) -> CompleteResult:
        """Generates the text at a cursor, between `prefix` and `suffix`."""
        if on_delta is not None:
            return _told(self.complete_stream(prefix, timeout=timeout, extra=extra, **options), on_delta)
        return self._loop.run(self._inner.complete(prefix, timeout=timeout, extra=extra, **options))

    def complete_stream(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[CompleteOptions],
    ) -> Stream[CompleteResult]:
        """The same, piece by piece."""
        return self._stream(lambda: self._inner.complete_stream(prefix, timeout=timeout, extra=extra, **options))

    def chat(
        self,
        messages: Messages,
        *,
        timeout: Optional[float] = None,
        on_delta: Optional[OnDelta] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResult:
        """Generates the assistant's next turn; a string is a conversation of one message of the user."""
        if on_delta is not None:
            return _told(self.chat_stream(messages, timeout=timeout, extra=extra, **options), on_delta)
        return self._loop.run(self._inner.chat(messages, timeout=timeout, extra=extra, **options))

    def chat_stream(
        self,
        messages: Messages,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> Stream[ChatResult]:
        """The same, piece by piece."""
        return self._stream(lambda: self._inner.chat_stream(messages, timeout=timeout, extra=extra, **options))

    def chat_json(
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
        return self._loop.run(
            self._inner.chat_json(messages, json_schema, timeout=timeout, extra=extra, **options)
        )

    def next_edit(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[NextEditOptions],
    ) -> NextEditResult:
        """Predicts what a person changes next near a cursor."""
        return self._loop.run(self._inner.next_edit(prefix, timeout=timeout, extra=extra, **options))

    def warm(
        self,
        prefix: str,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[CompleteOptions],
    ) -> WarmResult:
        """Computes the prompt of a later `complete`, so that it starts fast."""
        return self._loop.run(self._inner.warm(prefix, timeout=timeout, extra=extra, **options))

    def warm_chat(
        self,
        messages: Messages,
        *,
        timeout: Optional[float] = None,
        extra: Optional[Mapping[str, object]] = None,
        **options: Unpack[ChatOptions],
    ) -> WarmResult:
        """Computes the prompt of a later `chat`, so that it starts fast."""
        return self._loop.run(self._inner.warm_chat(messages, timeout=timeout, extra=extra, **options))

    def tokenize(
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
        return self._loop.run(
            self._inner.tokenize(
                text,
                messages=messages,
                tools=tools,
                chat_template_kwargs=chat_template_kwargs,
                return_tokens=return_tokens,
                timeout=timeout,
            )
        )

    def status(self, *, timeout: Optional[float] = None) -> StatusResult:
        """The state of the worker."""
        return self._loop.run(self._inner.status(timeout=timeout))

    def request(
        self, method: str, params: Optional[Mapping[str, Any]] = None, *, timeout: Optional[float] = None
    ) -> Any:
        """Any request, also of a method that this version does not know."""
        return self._loop.run(self._inner.request(method, params, timeout=timeout))

    # ---- Inside

    def _stream(self, start: Callable[[], AsyncStream[Result]]) -> Stream[Result]:
        async def started() -> AsyncStream[Result]:
            return start()

        return Stream(self._loop, self._loop.run(started()))


def _told(stream: Stream[Result], on_delta: OnDelta) -> Result:
    """The result of a stream; `on_delta` is called on the caller's thread, so that it may use the client."""
    with stream:
        for delta in stream:
            on_delta(delta)
        return stream.result()


def _end(loop: Loop, inner: AsyncClient) -> None:
    """Ends a client that was dropped, on its own thread."""

    async def end() -> None:
        await inner.close()
        loop.stop()

    loop.submit(end())
