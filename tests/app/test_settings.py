"""The settings: a file, then the environment; whatever is wrong is one line that names it."""

from pathlib import Path

import pytest

from ctsftp import sources
from ctsftp.errors import SettingsError
from ctsftp.settings import Settings, read_settings, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CONFIG_PLACES", (Path("ctsftp.toml"), Path("etc.toml")))


def write(text: str, name: str = "ctsftp.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refusal(config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        read_settings(config)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_without_any_settings_the_defaults_hold_and_the_paths_are_absolute(tmp_path: Path) -> None:
    found = read_settings()
    assert (found.data_dir, found.keys_dir, found.host_keys) == (
        tmp_path / "data",
        tmp_path / "keys",
        tmp_path / "keys" / "host",
    )
    assert found.database == f"sqlite+aiosqlite:///{tmp_path}/data/ctsftp.db"
    assert (found.sftp.host, found.sftp.port, found.sftp.public_host) == ("", 2022, None)
    assert found.sftp.max_file_size_bytes == 1 << 30
    assert (found.ingest.max_rows, found.sweep.interval_s) == (50_000_000, 1200)


def test_the_file_in_the_working_folder_wins_over_that_of_the_machine_and_a_named_one_over_both() -> None:
    write("[sftp]\nport = 3", "etc.toml")
    assert read_settings().sftp.port == 3
    write("[sftp]\nport = 4")
    assert read_settings().sftp.port == 4
    assert read_settings(write("[sftp]\nport = 5", "named.toml")).sftp.port == 5


def test_the_environment_wins_over_the_file_setting_by_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    write('data_dir = "elsewhere"\n[sftp]\nport = 3\nhost = "192.0.2.1"\n[ingest.guards]\nshrunk_from = 7\n')
    monkeypatch.setenv("CTSFTP_SFTP__PORT", "4")
    monkeypatch.setenv("CTSFTP_INGEST__GUARDS__FUTURE_DAYS", "9")
    found = read_settings()
    assert (found.data_dir.name, found.sftp.port, found.sftp.host) == ("elsewhere", 4, "192.0.2.1")
    assert (found.ingest.guards.shrunk_from, found.ingest.guards.future_days) == (7, 9)
    assert found.ingest.guards.shrunk_ratio == 0.5


def test_every_setting_of_the_design_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "DATA_DIR": "/srv/data",
        "KEYS_DIR": "keys2",
        "HOST_KEYS_DIR": "/run/secrets/host",
        "DATABASE_URL": "sqlite+aiosqlite:////srv/x.db",
        "SFTP__HOST": "::1",
        "SFTP__PORT": "22",
        "SFTP__PUBLIC_HOST": "sftp.example",
        "SFTP__MAX_FILE_SIZE_BYTES": "5",
        "INGEST__MAX_ROWS": "6",
        "SWEEP__INTERVAL_S": "7.5",
    }.items():
        monkeypatch.setenv(f"CTSFTP_{name}", value)
    found = read_settings()
    assert (found.data_dir, found.keys_dir, found.host_keys) == (
        Path("/srv/data"),
        tmp_path / "keys2",
        Path("/run/secrets/host"),
    )
    assert found.database == "sqlite+aiosqlite:////srv/x.db"
    assert (found.sftp.host, found.sftp.port, found.sftp.public_host) == ("::1", 22, "sftp.example")
    assert (found.sftp.max_file_size_bytes, found.ingest.max_rows, found.sweep.interval_s) == (5, 6, 7.5)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CTSFTP_DATA_DIR", "")
    monkeypatch.setenv("CTSFTP_SFTP__PORT", "")
    assert (read_settings().data_dir, read_settings().sftp.port) == (tmp_path / "data", 2022)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data_folder = 1", "holds 'data_folder', which is not a setting. Did you mean data_dir?"),
        ("_env_prefix = 'X_'", "holds '_env_prefix', which is not a setting."),
        ("[ftp]\nport = 1", "holds 'ftp', which is not a setting. Did you mean sftp?"),
        ("port = 22", "holds 'port', which is not a setting. Did you mean sftp.port or http.port?"),
        (
            "[sftp]\nprot = 1",
            "sftp.prot in ctsftp.toml) is wrong: there is no such setting. Did you mean CTSFTP_SFTP__PORT (or sftp",
        ),
        ("[sftp]\ndata_dir = 'x'", "Did you mean CTSFTP_DATA_DIR (or data_dir)?"),
        ("[ingest.guards]\nshrunk_form = 1", "CTSFTP_INGEST__GUARDS__SHRUNK_FORM"),
        ("[sftp]\nport = 65536", "less than or equal to 65535 (it is '65536')."),
        ("[sftp]\nport = 'ssh'", "CTSFTP_SFTP__PORT (or sftp.port in ctsftp.toml) is wrong: Input should be a valid"),
        ("sftp = 5", "CTSFTP_SFTP"),
        ("data_dir = 5", "CTSFTP_DATA_DIR"),
        ("[sweep]\ninterval_s = 0", "greater than 0"),
        ("[sweep]\ninterval_s = nan", "CTSFTP_SWEEP__INTERVAL_S"),
        ("[spool]\nkeep_uploads_days = 999999", "less than or equal to 36500"),
        ("[sftp]\nport = -1\nprot = 1", "And 1 more."),
        ("port =", "ctsftp.toml is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_setting(text: str, told: str) -> None:
    write(text)
    assert told in refusal()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CTSFTP_SFTP__PORT", "ssh", "The setting CTSFTP_SFTP__PORT is wrong: Input should be a valid integer"),
        ("CTSFTP_SFTP__PORT", "ssh", "(it is 'ssh')."),
        ("CTSFTP_SFTP__PROT", "1", "CTSFTP_SFTP__PROT is not a setting. Did you mean CTSFTP_SFTP__PORT?"),
        ("CTSFTP_SFTP", '{"prot": 1}', "there is no such setting. Did you mean CTSFTP_SFTP__PORT?"),
        ("CTSFTP_SFTP_PORT", "2222", "CTSFTP_SFTP_PORT is not a setting. Did you mean CTSFTP_SFTP__PORT?"),
        ("CTSFTP_PORT", "2222", "Did you mean CTSFTP_SFTP__PORT or CTSFTP_HTTP__PORT?"),
        ("CTSFTP_DATADIR", "/srv", "Did you mean CTSFTP_DATA_DIR?"),
        ("ctsftp_keys", "/srv", "ctsftp_keys is not a setting. Did you mean CTSFTP_KEYS_DIR?"),
        ("CTSFTP_FTP__PORT", "1", "Did you mean CTSFTP_SFTP__PORT?"),
        ("CTSFTP_INGEST__SHRUNK_FROM", "1", "Did you mean CTSFTP_INGEST__GUARDS__SHRUNK_FROM?"),
        ("CTSFTP_INGEST_GUARDS_SHRUNK_FROM", "1", "Did you mean CTSFTP_INGEST__GUARDS__SHRUNK_FROM?"),
        ("CTSFTP_SPOOL__KEEP_SNAPSHOTS", "1", "Did you mean CTSFTP_SWEEP__KEEP_SNAPSHOTS?"),
        ("CTSFTP__SFTP__PORT", "1", "Did you mean CTSFTP_SFTP__PORT?"),
        ("CTSFTP_SFTP__PORT__X", "1", "CTSFTP_SFTP__PORT__X is not a setting."),
        ("CTSFTP_", "1", "CTSFTP_ is not a setting."),
        ("CTSFTP_NONSENSE", "", "CTSFTP_NONSENSE is not a setting."),
        ("CTSFTP_SFTP", "2022", "CTSFTP_SFTP"),
        ("CTSFTP_SFTP", "not json", "CTSFTP_SFTP cannot be read. Groups are set"),
        ("CTSFTP_HTTP__ALLOWED_HOSTS", "a.example", "CTSFTP_HTTP__ALLOWED_HOSTS cannot be read. Groups are set"),
        ("CTSFTP_INGEST__GUARDS__SHRUNK_RATIO", "2", "CTSFTP_INGEST__GUARDS__SHRUNK_RATIO"),
    ],
)
def test_a_wrong_variable_is_refused_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    assert told in refusal()


def test_a_named_file_must_be_there_and_be_readable(tmp_path: Path) -> None:
    assert "nowhere.toml cannot be read: No such file" in refusal(Path("nowhere.toml"))
    assert "cannot be read: Is a directory" in refusal(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'data_dir = "\xe4"')
    assert "is not TOML" in refusal(Path("latin.toml"))


def test_a_place_of_the_machine_that_may_not_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CONFIG_PLACES", (Path("/" + "x" * 300),))
    assert "(File name too long): be root" in refusal()


def test_a_working_folder_that_cannot_be_looked_into_holds_no_settings_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[sftp]\nport = 3", "etc.toml")
    monkeypatch.setattr(sources, "CONFIG_PLACES", (Path("x" * 300), Path("etc.toml")))
    assert read_settings().sftp.port == 3


def test_a_working_folder_that_is_gone_is_no_fault_where_the_paths_are_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "The working folder is gone" in refusal()
    assert "CTSFTP_DATA_DIR" in refusal()
    monkeypatch.setenv("CTSFTP_DATA_DIR", "/srv/data")
    monkeypatch.setenv("CTSFTP_KEYS_DIR", "/srv/keys")
    assert read_settings().data_dir == Path("/srv/data")


def test_variables_that_look_like_settings_and_are_none_are_found() -> None:
    names = [
        "CTSFTP_SFTP_PORT",
        "CTSFTP_DATADIR",
        "ctsftp_keys",
        "CTSFTP_FTP__PORT",
        "CTSFTP_SFTP__PROT",
        "CTSFTP_HTTP__PORT",
        "CTSFTP_DATA_DIR",
        "ctsftp_sftp__port",
        "CTSFTP_SFTP__PORT",
        "CTSFTP_SFTP",
        "CTSFTP_INGEST__GUARDS__FUTURE_DAYS",
        "PATH",
        "XCTSFTP_DATADIR",
        "_CTSFTP_COMPLETE",
        "CTSFTP_TESTS_NO_SKIP",
    ]
    wrong = ["CTSFTP_DATADIR", "CTSFTP_FTP__PORT", "CTSFTP_SFTP_PORT", "CTSFTP_SFTP__PROT", "ctsftp_keys"]
    assert unknown_variables(dict.fromkeys(names, "1")) == wrong


def test_what_kubernetes_sets_for_a_service_called_ctsftp_is_nobodys_mistake() -> None:
    links = {
        "CTSFTP_SERVICE_HOST": "10.0.0.7",
        "CTSFTP_SERVICE_PORT": "2022",
        "CTSFTP_SERVICE_PORT_SFTP": "2022",
        "CTSFTP_PORT": "tcp://10.0.0.7:2022",
        "CTSFTP_PORT_2022_TCP": "tcp://10.0.0.7:2022",
        "CTSFTP_PORT_2022_TCP_PROTO": "tcp",
        "CTSFTP_PORT_2022_TCP_PORT": "2022",
        "CTSFTP_PORT_2022_TCP_ADDR": "10.0.0.7",
        "CTSFTP_HTTP_SERVICE_HOST": "10.0.0.8",
        "CTSFTP_HTTP_PORT": "tcp://10.0.0.8:8022",
    }
    assert unknown_variables(links) == []
    assert unknown_variables({"CTSFTP_HTTP_PORT": "8022"}) == ["CTSFTP_HTTP_PORT"]


def test_settings_do_not_change() -> None:
    found = Settings()
    for group in (found, found.sftp, found.ingest, found.ingest.guards, found.sweep, found.spool):
        field = next(iter(type(group).model_fields))
        with pytest.raises(ValueError, match="frozen"):
            setattr(group, field, getattr(group, field))
