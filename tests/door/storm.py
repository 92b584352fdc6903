"""A storm of strangers, in a process of its own: `python -m tests.door.storm PORT KIND NUMBER COUNT SECONDS`.

Each of COUNT strangers has an address of its own (127.NUMBER.x.y), says the same again and again, and comes again when
it is disconnected.
"""

import socket
import sys
import threading
import time

from .bursts import BURSTS

GREETING = b"SSH-2.0-storm\r\n"


def rage(address: str, port: int, burst: bytes, end_s: float) -> None:
    while time.monotonic() < end_s:
        try:
            with socket.socket() as sock:
                sock.settimeout(1)
                sock.bind((address, 0))
                sock.connect(("127.0.0.1", port))
                sock.sendall(GREETING)
                while burst and time.monotonic() < end_s:
                    sock.sendall(burst)
        except OSError:
            time.sleep(0.02)


def main(port: str, kind: str, number: str, count: str, seconds: str) -> None:
    end_s = time.monotonic() + float(seconds)
    strangers = [
        threading.Thread(
            target=rage, args=(f"127.{number}.{one // 250}.{one % 250 + 1}", int(port), BURSTS[kind], end_s)
        )
        for one in range(int(count))
    ]
    for stranger in strangers:
        stranger.start()
    print("raging", flush=True)  # noqa: T201  for who waits for it
    for stranger in strangers:
        stranger.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
