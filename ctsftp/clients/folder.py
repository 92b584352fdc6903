"""The clients on disk: keys/clients/<client>/ with authorized_keys and client.toml.

The server reads at each login (synchronous and small: in a thread), the command line also changes. A client whose files
cannot be trusted is there, with nothing granted and with problems that say why. Changes hold the folder's lock, so that
of two at once both count.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from ctsftp.clients.authorized_keys import (
    MAX_FILE_BYTES,
    AuthorizedKeys,
    KeyEntry,
    add_line,
    format_line,
    parse_authorized_keys,
    remove_key,
)
from ctsftp.clients.config import MAX_CONFIG_BYTES, ClientConfig, parse_config, set_enabled
from ctsftp.clients.files import (
    faults,
    locked,
    make_folder,
    read_small_file,
    write_small_file,
)
from ctsftp.clients.keys import PublicKey
from ctsftp.clients.names import check_client_name, is_client_name
from ctsftp.clients.problem import Problem
from ctsftp.durable import sync_folder
from ctsftp.errors import CtsftpError, NotFoundError, RefusedError, UntrustedFileError

KEYS_FILE: Final = "authorized_keys"
CONFIG_FILE: Final = "client.toml"

_FILE_MODE: Final = 0o640

# Every attempt to sign in asks for it: 900 keys take 30 ms, and a stranger could have them parsed as often as it likes.
_parse_keys = lru_cache(maxsize=64)(parse_authorized_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as its folder says it is at this moment."""

    name: str
    config: ClientConfig
    keys: AuthorizedKeys
    config_problems: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What in its folder grants nothing because it is not as it should be."""
        return self.config_problems + self.keys.problems


class Clients:
    """All clients below a keys folder, which need not exist yet."""

    def __init__(self, keys_dir: Path) -> None:
        self.folder = keys_dir / "clients"

    def names(self) -> list[str]:
        """Return the names of all clients, sorted."""
        return [path.name for path, is_folder in self._listing() if is_folder and is_client_name(path.name)]

    def get(self, name: str) -> Client:
        """Read a client; NotFoundError also for what cannot be a name, so that a login may ask for anything."""
        folder = self._existing(name)
        config, problems = self.config(name)
        return Client(name=name, config=config, keys=_read_keys(folder / KEYS_FILE), config_problems=problems)

    def config(self, name: str) -> tuple[ClientConfig, tuple[Problem, ...]]:
        """Read a client's client.toml alone, and what is wrong with it; NotFoundError as `get`."""
        return _read_config(self._existing(name) / CONFIG_FILE)

    def problems(self) -> list[Problem]:
        """Return everything below the folder that grants nothing because it is not as it should be."""
        found = []
        for path, is_folder in self._listing():
            if not is_client_name(path.name):
                text = "not a client's name, so it is ignored"
                found.append(Problem(path=path, text=text, do="Rename it, or move it away."))
            elif not is_folder:
                found.append(Problem(path=path, text="not a folder, so not a client", do="Move it away."))
            else:
                found.extend(self.get(path.name).problems)
        return found

    def add(self, name: str, keys: Sequence[PublicKey] = ()) -> Client:
        """Make a client; it appears with all of its keys or not at all. RefusedError where the name is taken."""
        check_client_name(name)
        make_folder(self.folder)
        with locked(self.folder):
            folder = self.folder / name
            with faults("add", folder):
                if folder.is_symlink() or folder.exists():
                    raise RefusedError(f"{folder} exists already")
                data = b""
                for key in keys:
                    data, _ = _with_key(data, key, format_line(key))
                draft = self._spare(f".{name}.new")
                make_folder(draft)
                write_small_file(draft / KEYS_FILE, data, mode=_FILE_MODE)
                draft.rename(folder)
                sync_folder(self.folder)
        return self.get(name)

    def remove(self, name: str) -> None:
        """Remove a client's folder and all that lies in it; it is gone at once, even if the disk fails halfway."""
        with self._changing(name) as folder, faults("remove", folder):
            waste = self._spare(f".{name}.old")
            folder.rename(waste)
            sync_folder(self.folder)
            shutil.rmtree(waste)

    def enable(self, name: str) -> None:
        """Let a client log in again; nothing changes where it can."""
        self._set_enabled(name, enabled=True)

    def disable(self, name: str) -> None:
        """Let a client log in no more; its keys stay. Live sessions are the server's to end."""
        self._set_enabled(name, enabled=False)

    def list_keys(self, name: str) -> AuthorizedKeys:
        """Return what a client's authorized_keys grants, and its problems."""
        return self.get(name).keys

    def add_key(
        self,
        name: str,
        key: PublicKey,
        *,
        from_cidrs: Sequence[str] = (),
        expires: datetime | None = None,
        comment: str | None = None,
    ) -> KeyEntry:
        """Append a key and return its line; `expires` is aware, and without `comment` the key's own is kept.

        RefusedError where the client has the key already, UsageError where a restriction cannot be written.
        """
        line = format_line(key, from_patterns=from_cidrs, expires=expires, comment=comment)
        with self._changing(name) as folder:
            path = folder / KEYS_FILE
            data, entry = _with_key(_read(path, MAX_FILE_BYTES), key, line)
            write_small_file(path, data, mode=_FILE_MODE)
        return entry

    def revoke(self, name: str, fingerprint: str) -> None:
        """Remove every line that holds the key; `SHA256:` in front may be left out. NotFoundError where none does."""
        wanted = "SHA256:" + fingerprint.strip().removeprefix("SHA256:").rstrip("=")
        with self._changing(name) as folder:
            path = folder / KEYS_FILE
            data = _read(path, MAX_FILE_BYTES)
            kept = remove_key(data, wanted)
            if kept == data:
                raise NotFoundError(f"{path} holds no key {wanted}: `ctsftp key list {name}` shows those it holds")
            write_small_file(path, kept, mode=_FILE_MODE)

    def _set_enabled(self, name: str, *, enabled: bool) -> None:
        with self._changing(name) as folder:
            path = folder / CONFIG_FILE
            data = _read(path, MAX_CONFIG_BYTES)
            try:
                edited = set_enabled(data, enabled=enabled)
            except RefusedError as error:
                raise RefusedError(f"{path}: {error}") from None
            if edited != data:
                write_small_file(path, edited, mode=_FILE_MODE)

    @contextmanager
    def _changing(self, name: str) -> Iterator[Path]:
        """Hold the lock and give the client's folder, which is looked for again once the lock is held.

        RefusedError where it is a link: whoever can make one could lead root's hand into another folder.
        """
        self._existing(name)
        with locked(self.folder):
            folder = self._existing(name)
            if folder.is_symlink():
                raise RefusedError(f"{folder} is a link, so it is kept elsewhere: change it there")
            yield folder

    def _existing(self, name: str) -> Path:
        folder = self.folder / name
        with faults("read", self.folder):
            if is_client_name(name) and folder.is_dir():
                return folder
        raise NotFoundError(f"There is no client {name[:60]!r} in {self.folder}: `ctsftp client list` shows them all.")

    def _spare(self, name: str) -> Path:
        """Return a hidden place in the folder; what a crash left there is nobody's any more."""
        path = self.folder / name
        if path.exists():
            shutil.rmtree(path)
        return path

    def _listing(self) -> list[tuple[Path, bool]]:
        """Return what could be a client, with whether it is a folder; the hidden is a secret store's own, or ours."""
        with faults("read", self.folder):
            if not self.folder.exists():
                return []
            return [(path, path.is_dir()) for path in sorted(self.folder.iterdir()) if not path.name.startswith(".")]


def _read(path: Path, max_bytes: int) -> bytes:
    """Read a file that may be absent; a link that leads nowhere is not absent, it is broken."""
    with faults("read", path):
        try:
            return read_small_file(path, max_bytes=max_bytes)
        except FileNotFoundError:
            if path.is_symlink():
                raise
            return b""


def _read_config(path: Path) -> tuple[ClientConfig, tuple[Problem, ...]]:
    try:
        config, problems = parse_config(_read(path, MAX_CONFIG_BYTES))
    except CtsftpError as error:
        return ClientConfig(enabled=False), (Problem(text=f"{error} (the client is disabled)", do=_mend(error, path)),)
    return config, tuple(replace(problem, path=path, do=f"Correct {path}.") for problem in problems)


def _read_keys(path: Path) -> AuthorizedKeys:
    try:
        keys = _parse_keys(_read(path, MAX_FILE_BYTES))
    except CtsftpError as error:
        return AuthorizedKeys(problems=(Problem(text=f"{error} (all of it is ignored)", do=_mend(error, path)),))
    return replace(keys, problems=tuple(replace(problem, path=path) for problem in keys.problems))


def _mend(error: CtsftpError, path: Path) -> str:
    """Say how to make a file readable to the server that is not."""
    if isinstance(error, UntrustedFileError):
        return error.do
    return f"Let {path} be a file that the server's account can read."


def _with_key(data: bytes, key: PublicKey, line: str) -> tuple[bytes, KeyEntry]:
    """Append a key's line and read the result back: what is written is what the next login will find."""
    held = parse_authorized_keys(data).find(key.blob)
    if held is not None:
        raise RefusedError(f"the key {key.fingerprint} stands on line {held.line} already: revoke it to add it anew")
    longer = add_line(data, line)
    keys = parse_authorized_keys(longer)
    entry = keys.find(key.blob)
    if entry is None:
        raise RefusedError(f"the key would not count in authorized_keys: {keys.problems[-1].text}")
    return longer, entry
