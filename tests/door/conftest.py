"""A real server under attack, and a good sender that must get its file in meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import asyncssh
import pytest
import uvloop

from ..e2e.conftest import box, host_keys
from ..sftp.conftest import host_key, key_file, require_program, room, rsa_key, stock, user_key
from ..sftp.room import Room
from ..sftp.stock import StockSftp
from .attacker import Attacker

__all__ = ["box", "host_key", "host_keys", "key_file", "require_program", "room", "rsa_key", "stock", "user_key"]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], object]]:
    return {"uvloop": uvloop.new_event_loop}


class GoodSender:
    """Sends with the stock sftp; each put is to end well."""

    def __init__(self, room: Room, stock: StockSftp) -> None:
        self._room = room
        self._stock = stock
        self._count = 0

    async def gets_a_file_in(self) -> None:
        self._count += 1
        name = f"Good_20261101_{self._count:04}.csv"
        data = b"CTUserID\n%d\n" % self._count
        self._stock.file(name, data)
        done = await self._stock.batch(f"put {name}")
        assert done.code == 0, done.err
        assert self._room.home(name) == data


@pytest.fixture
def good_sender(room: Room, stock: StockSftp) -> GoodSender:
    return GoodSender(room, stock)


@pytest.fixture
def attacker(room: Room) -> Iterator[Attacker]:
    """An attacker at 127.0.0.2, which is not trusted."""
    attacker = Attacker(room)
    yield attacker
    attacker.leave()


@pytest.fixture(scope="session")
def strange_keys() -> list[asyncssh.SSHKey]:
    return [asyncssh.generate_private_key("ssh-ed25519") for _ in range(20)]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file beside the spool that no client may reach."""
    place = tmp_path / "secret.txt"
    place.write_text("secret")
    return place
