"""What can go wrong, all below `RunaboutError`."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

_HINT = "\nhint: "


class RunaboutError(Exception):
    """The base of all errors of this package."""


class ProgramNotFound(RunaboutError):
    """There is no `runabout` to start."""


class ClientClosed(RunaboutError):
    """The client was closed before the request was answered."""


class WorkerEnded(RunaboutError):
    """The worker ended before it answered. The next request starts another one, unless the client has `restart=False`.

    `exit_code` is negative if a signal ended it; `log` are the last lines of its log.
    """

    def __init__(self, exit_code: Optional[int], log: Sequence[str] = ()) -> None:
        self.exit_code = exit_code
        self.log = list(log)
        how = "" if exit_code is None else f" with exit code {exit_code}"
        if exit_code is not None and exit_code < 0:
            how = f" by signal {-exit_code}"
        super().__init__("\n".join([f"the worker ended{how} before it answered", *self.log]))


class RequestTimedOut(RunaboutError, TimeoutError):
    """There was no answer within the client's time limit; the request has been cancelled."""

    def __init__(self, method: str, timeout: float) -> None:
        self.method = method
        self.timeout = timeout
        super().__init__(f"`{method}` was not answered within {timeout:g} s")


class RequestCancelled(RunaboutError):
    """The stream of the request was closed before it ended."""


class RequestFailed(RunaboutError):
    """The worker answered with an error: branch on `code`, or on `kind` for the worker's own errors."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code = code
        self.data: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        self.message, _, hint = message.partition(_HINT)
        given = self.data.get("hint")
        self.hint: Optional[str] = given if isinstance(given, str) else hint or None
        super().__init__(self.message + (_HINT + self.hint if self.hint else ""))

    @property
    def kind(self) -> Optional[str]:
        """The kind of one of the worker's own errors, such as `prompt_too_long`; it may be one that is not known yet."""
        kind = self.data.get("kind")
        return kind if isinstance(kind, str) else None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, str(self), self.data)


class IncompleteAnswer(RunaboutError):
    """The answer was cut off before it had the form that was asked for; `result` is what there is of it."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = result
        where = result.get("incomplete") or {}
        pointer = where.get("pointer")
        inside = "" if pointer is None else f" within the value at `{pointer}`, with `{where.get('open')}` open"
        super().__init__(f"the answer is incomplete: it ended{inside}, with reason `{result.get('finish_reason')}`")
