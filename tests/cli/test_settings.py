"""`ctsftp settings`: what applies, from where, and no password."""

from pathlib import Path

import pytest

from .shell import Shell

SECRET = "hunter2"  # noqa: S105  to be hidden


def told(shell: Shell, *options: str) -> dict[str, tuple[object, str]]:
    return {row["name"]: (row["value"], row["source"]) for row in shell.json(*options, "settings", "--changed")}


@pytest.fixture
def bare(empty_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell without a setting."""
    for name in ("CTSFTP_DATA_DIR", "CTSFTP_KEYS_DIR"):
        monkeypatch.delenv(name, raising=False)
    return empty_shell


def test_each_setting_has_its_value_and_where_that_comes_from(bare: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.file("ctsftp.toml", 'log_format = "json"\n[sftp]\nport = 2200\nmax_connections = 7\n[http]\nport = 1\n')
    monkeypatch.setenv("ctsftp_sftp__port", "2222")
    monkeypatch.setenv("CTSFTP_HTTP", '{"port": 8080}')
    monkeypatch.setenv("CTSFTP_INGEST__WORKERS", "")  # as if it were not there
    assert told(bare) == {
        "log_format": ("json", str(bare.folder / "ctsftp.toml")),
        "sftp.port": (2222, "ctsftp_sftp__port"),
        "sftp.max_connections": (7, str(bare.folder / "ctsftp.toml")),
        "http.port": (8080, "CTSFTP_HTTP"),
    }
    everything = {row["name"]: row for row in bare.json("settings")}
    assert everything["ingest.workers"] == {
        "name": "ingest.workers",
        "variable": "CTSFTP_INGEST__WORKERS",
        "value": 2,
        "source": "default",
    }
    assert "sftp.penalties.min_s" in everything


def test_a_file_that_is_named_is_named_back(bare: Shell, tmp_path: Path) -> None:
    place = tmp_path / "other.toml"
    place.write_text("[sftp]\nport = 1\n")
    rows = bare.json("--config", str(place), "settings", "--changed")
    assert [(row["name"], row["source"]) for row in rows] == [("sftp.port", str(place))]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ctsftp:{SECRET}@db/x", "postgresql://ctsftp:***@db/x"),
        (f"postgresql://ctsftp:{SECRET}:a/b@c@db:5432/x", "postgresql://ctsftp:***@db:5432/x"),
        (
            f"postgresql://db/x?user=u&password={SECRET}&sslmode=require",
            "postgresql://db/x?user=u&password=***&sslmode=require",
        ),
        (f"postgresql://db/x?sslPassword={SECRET}", "postgresql://db/x?sslPassword=***"),
        ("sqlite+aiosqlite:////srv/x.db", "sqlite+aiosqlite:////srv/x.db"),
    ],
)
def test_no_password_is_shown(bare: Shell, monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    monkeypatch.setenv("CTSFTP_DATABASE_URL", url)
    assert bare.json("settings", "--changed")[0]["value"] == shown
    assert SECRET not in bare.run("settings").out


def test_people_read_lists_and_nothing_as_they_write_them(bare: Shell) -> None:
    assert bare.run("settings", "--changed").out == "Every setting has its default.\n"
    lines = {line.split()[0]: line for line in bare.run("settings").lines}
    assert "127.0.0.1, ::1" in lines["sftp.trusted_addresses"]
    assert lines["database_url"].split() == ["database_url", "-", "default"]
    assert lines["http.behind_https"].split() == ["http.behind_https", "false", "default"]


def test_an_unknown_setting_stops_it_with_what_was_meant(bare: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTSFTP_SFTP__PROT", "1")
    assert "Did you mean CTSFTP_SFTP__PORT?" in bare.refused("settings", code=2)
