"""Where a command finds the server that it means, without reading the settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from ctsftp import sources
from ctsftp.settings import Settings, read_settings
from ctsftp.sources import TOP_NAMES, data_dir_of_server


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "CONFIG_PLACES", (Path("ctsftp.toml"), Path("etc.toml")))


def test_all_settings_at_the_top_are_known() -> None:
    assert set(Settings.model_fields) == TOP_NAMES


@pytest.mark.parametrize(
    ("toml", "variables"),
    [
        ("", {}),
        ("", {"CTSFTP_DATA_DIR": "elsewhere"}),
        ("", {"ctsftp_data_dir": "elsewhere"}),
        ("", {"CTSFTP_DATA_DIR": "/srv/data"}),
        ('data_dir = "of the file"', {}),
        ('data_dir = "of the file"', {"CTSFTP_DATA_DIR": "of the variable"}),
        ('data_dir = "of the file"', {"CTSFTP_DATA_DIR": ""}),
        ('keys_dir = "keys"\n[sftp]\nport = 3', {"CTSFTP_SFTP__HOST": "::1"}),
        ("", {"CTSFTP_TESTS_NO_SKIP": "1", "CTSFTP_HTTP_PORT": "tcp://10.0.0.7:8022"}),
    ],
)
def test_the_folder_is_the_one_that_the_settings_have(
    monkeypatch: pytest.MonkeyPatch, toml: str, variables: dict[str, str]
) -> None:
    Path("ctsftp.toml").write_text(toml)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data_dir_of_server(None) == read_settings().data_dir


@pytest.mark.parametrize(
    ("toml", "variables"),
    [
        ("data_dir = 3", {}),
        ('data-dir = "data"', {}),
        ("data_dir = ", {}),
        ("", {"CTSFTP_DATADIR": "elsewhere"}),
        ("", {"CTSFTP_STFP__PORT": "3"}),
    ],
)
def test_what_is_odd_is_left_to_those_who_read_the_settings(
    monkeypatch: pytest.MonkeyPatch, toml: str, variables: dict[str, str]
) -> None:
    Path("ctsftp.toml").write_text(toml)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data_dir_of_server(None) is None


def test_the_file_that_is_named_counts(tmp_path: Path) -> None:
    Path("ctsftp.toml").write_text('data_dir = "no"')
    (tmp_path / "named.toml").write_text('data_dir = "yes"')
    assert data_dir_of_server(tmp_path / "named.toml") == tmp_path / "yes"
    assert data_dir_of_server(tmp_path / "missing.toml") is None


def test_it_costs_next_to_nothing() -> None:
    code = "import sys, ctsftp.sources; print([m for m in ('pydantic', 'asyncio', 'click') if m in sys.modules])"
    house = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=house)
    assert found.stdout.strip() == "[]"
