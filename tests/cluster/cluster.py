"""Three real nodes behind HAProxy, over one PostgreSQL that each reaches by a line of its own, which can be cut."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ctsftp.admin.work import perform
from ctsftp.model.commands import RetryUpload, Sweep
from ctsftp.settings import Settings
from tests.crash.oracle import Fault, Journal, faults
from tests.e2e.conftest import PATIENCE_S, Box, wait_until
from tests.postgres import Postgres

CLIENTS = ("acme", "bravo")
COMMON = """
defaults
  mode tcp
  retries 5
  option redispatch
  timeout connect 2s
  # A check that is not answered in `inter` would take a node that is merely slow for a dead one.
  timeout check 5s
  timeout client 60s
  timeout server 60s
"""
# As deploy/docs/nodes.md has it: a node that does not answer gets no more senders.
BALANCER = """
listen sftp
  bind 127.0.0.1:{port}
  balance roundrobin
  default-server check inter 100ms fall 1 rise 1 on-marked-down shutdown-sessions send-proxy-v2 check-send-proxy
"""


class HAProxy:
    """One HAProxy with a configuration; killed, it breaks every connection through it."""

    def __init__(self, folder: Path, name: str, config: str, *, port: int) -> None:
        self._file = folder / f"{name}.cfg"
        self._file.write_text(COMMON + config)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(self._file)])
        wait_until(self._listens)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None

    def _listens(self) -> bool:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self._port)):
            return True
        return False


class Node(Box):
    """A node: its own folder and its own line to the database; keys, database and balancer are the cluster's."""

    def __init__(self, folder: Path, *, keys: Path, postgres: Postgres, database: str) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.port, line_port = free_port(), free_port()
        self.line = HAProxy(
            folder,
            "line",
            f"listen line\n  bind 127.0.0.1:{line_port}\n  server postgres 127.0.0.1:{postgres.port}\n",
            port=line_port,
        )
        self.env |= {
            "CTSFTP_KEYS_DIR": str(keys),
            "CTSFTP_DATABASE_URL": f"postgresql+psycopg://ctsftp@127.0.0.1:{line_port}/{database}",
            "CTSFTP_SFTP__PORT": str(self.port),
            "CTSFTP_SFTP__PROXY_ADDRESSES": '["127.0.0.0/8"]',
            "CTSFTP_SWEEP__INTERVAL_S": "1",
            "CTSFTP_INGEST__RETRY_MOST_S": "1",
        }

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def settings(self) -> Settings:
        return Settings(
            data_dir=self.data,
            keys_dir=Path(self.env["CTSFTP_KEYS_DIR"]),
            database_url=self.env["CTSFTP_DATABASE_URL"],
        )


class Cluster:
    """The nodes, and the door that senders know."""

    def __init__(self, folder: Path, postgres: Postgres, database: str, host_keys: Path) -> None:
        self.postgres = postgres
        self.database = database
        self.front = Box(folder)  # what senders and admins see
        keys = folder / "keys"
        shutil.copytree(host_keys, keys / "host")
        self.nodes = [
            Node(folder / f"node-{number}", keys=keys, postgres=postgres, database=database) for number in (1, 2, 3)
        ]
        port = free_port()
        servers = "".join(f"  server {node.folder.name} 127.0.0.1:{node.port}\n" for node in self.nodes)
        self.balancer = HAProxy(folder, "balancer", BALANCER.format(port=port) + servers, port=port)
        self.front.serve = SimpleNamespace(port=port)  # type: ignore[assignment]

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.line.kill)
                node.line.start()
            stack.callback(self.balancer.kill)
            for node in self.nodes:
                stack.callback(self._kill, node)
                node.start()
            self.balancer.start()
            yield

    def drain(self) -> int:
        """Wait until every stored upload has ended; give how many an admin had to send on after three deaths."""
        retried, best, deadline = 0, -1, time.monotonic() + PATIENCE_S
        while True:
            with closing(Outside(self.postgres, self.database)) as db:
                died = db.execute("SELECT id FROM uploads WHERE state = 'failed' AND retry_at IS NULL").fetchall()
                [(ended,)] = db.execute("SELECT count(*) FROM uploads WHERE finished_at IS NOT NULL").fetchall()
                [(going,)] = db.execute("SELECT count(*) FROM uploads WHERE finished_at IS NULL").fetchall()
            for (upload_id,) in died:
                perform(self.nodes[retried % 3].settings(), RetryUpload(upload_id=upload_id))
                retried += 1
            stored = sum(1 for node in self.nodes for _ in (node.data / "clients").glob("*/uploads/*"))
            if not died and not going and ended >= stored:
                for node in self.nodes:  # what broken loads left behind is the sweep's
                    perform(node.settings(), Sweep())
                return retried
            if ended > best:
                best, deadline = ended, time.monotonic() + PATIENCE_S
            assert time.monotonic() < deadline, f"{going} uploads come to no end, {ended} of {stored} ended"
            time.sleep(0.1)

    def faults(self, journal: Journal) -> list[Fault]:
        with closing(Outside(self.postgres, self.database)) as db:
            return faults(db, [node.data for node in self.nodes], journal)

    @staticmethod
    def _kill(node: Node) -> None:
        if node.serve:
            node.serve.stop(signal.SIGKILL)


class Outside:
    """Plain SQL past ctsftp, as the oracle writes it."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self._conn = postgres.connect(database)

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self._conn.execute(query.replace("?", "%s"), values)

    def close(self) -> None:
        self._conn.close()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port
