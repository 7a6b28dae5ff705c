"""An asyncio server in a thread: aiosmtpd is written for asyncio, we are not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class EventLoop:
    """Listens on 127.0.0.1 with its own loop; both calls block for a moment."""

    def __init__(self, connected: Callable[[], asyncio.Protocol]) -> None:
        self._connected = connected
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self, port: int) -> int:
        """Listen; the port that it became."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._listen(port), self._loop).result()

    def stop(self) -> None:
        """End every connection, and the thread."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, port: int) -> int:
        self._server = await self._loop.create_server(
            self._connected, "127.0.0.1", port
        )
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def _drop(self) -> None:
        self._server.close()
        current = asyncio.current_task()
        for task in asyncio.all_tasks():
            if task is not current:
                task.cancel()
