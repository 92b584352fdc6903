"""Tells systemd how the server is (sd_notify(3)): ready, reloading, stopping, alive. Without systemd, nothing."""

import asyncio
import os
import time

from sdnotify import SystemdNotifier

# Half of what the watchdog allows, as sd_watchdog_enabled(3) advises.
BEATS_A_TIMEOUT = 2


class Supervisor:
    """The one who started this process, if it listens."""

    def __init__(self) -> None:
        # Where nobody listens, the library would leave a socket open.
        self._notifier = SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None

    def ready(self) -> None:
        """Say that the server serves."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the settings are read again; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the server drains."""
        self._tell("STOPPING=1")

    async def beat(self) -> None:
        """Say now and then that the event loop turns, where a watchdog asks for that; until cancelled."""
        timeout_s = _watchdog_s()
        while timeout_s:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(timeout_s / BEATS_A_TIMEOUT)

    def close(self) -> None:
        """Say no more."""
        if self._notifier and self._notifier.socket:
            self._notifier.socket.close()
        self._notifier = None

    def _tell(self, state: str) -> None:
        if self._notifier:
            self._notifier.notify(state)


def _watchdog_s() -> float:
    """Read how long the watchdog waits for a beat; 0 if there is none, or it means another process."""
    try:
        if int(os.environ.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return 0
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return 0
