"""One server a worker; an account of its own for each test."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctsftp.clients.hostkeys import load_or_create_host_keys

from ..e2e.conftest import Box
from .post import Account, KeyFiles, Post


@pytest.fixture(scope="session")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    folder = tmp_path_factory.mktemp("post")
    load_or_create_host_keys(folder / "keys" / "host")
    (folder / "senders").mkdir()
    post = Post(Box(folder), KeyFiles.make(folder / "senders"))
    yield post
    assert post.serve.stop(signal.SIGTERM) == 0
    shutil.rmtree(folder / "data")


@pytest.fixture
def account(post: Post, tmp_path: Path) -> Account:
    return post.open_account(tmp_path)
