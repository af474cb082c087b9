"""How many requests are sent at a time: the worker refuses those that find its queue full, so the others wait here."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Optional, Type


class Limit:
    """Lets `capacity` texts be generated at a time; the others wait in the order of their arrival."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = asyncio.Semaphore(capacity)
        # One request takes all its places at once: two that wait for each other's would wait for ever.
        self._taking = asyncio.Lock()

    async def take(self, n: int) -> Places:
        places = Places(self._free)
        try:
            async with self._taking:
                for _ in range(min(n, self._capacity)):
                    await self._free.acquire()
                    places.n += 1
        except BaseException:
            places.give_back()
            raise
        return places


class Places:
    """The places that a request has taken; a context that gives them back."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self.n = 0
        self._free = free

    def give_back(self) -> None:
        while self.n > 0:
            self.n -= 1
            self._free.release()

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.give_back()
