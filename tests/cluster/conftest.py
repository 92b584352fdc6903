"""A cluster of three nodes with two clients, not started yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import host_keys, require_program
from tests.postgres import Postgres

from .cluster import CLIENTS, Cluster

__all__ = ["host_keys"]


@pytest.fixture
def cluster(postgres: Postgres, postgres_template: str, tmp_path: Path, host_keys: Path) -> Iterator[Cluster]:
    for program in ("haproxy", "ssh-keygen"):
        require_program(program)
    with postgres.database(template=postgres_template) as url:
        made = Cluster(tmp_path, postgres, url.rpartition("/")[2], host_keys)
        for client in CLIENTS:
            made.front.add_client(client)
        yield made
