"""A client for runabout, a local language model for everyday coding errands.

`Client` is for scripts, `AsyncClient` for asyncio. Both start `runabout serve` as a subprocess and speak its protocol.
"""

from .aio import AsyncClient, AsyncStream
from .errors import (
    ClientClosed,
    IncompleteAnswer,
    ProgramNotFound,
    RequestCancelled,
    RequestFailed,
    RequestTimedOut,
    RunaboutError,
    WorkerEnded,
)
from .program import find_program
from .sync import Client, Stream

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Client",
    "ClientClosed",
    "IncompleteAnswer",
    "ProgramNotFound",
    "RequestCancelled",
    "RequestFailed",
    "RequestTimedOut",
    "RunaboutError",
    "Stream",
    "WorkerEnded",
    "find_program",
]
