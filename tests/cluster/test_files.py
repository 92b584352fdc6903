"""What deploy/ says of several nodes holds: the settings exist, and HAProxy takes its configuration."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ctsftp.settings import Settings
from tests.e2e.conftest import require_program

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parent.parent.parent / "deploy"


def compose() -> dict[str, dict[str, str]]:
    text = (DEPLOY / "compose-cluster.yaml").read_text().replace("${POSTGRES_PASSWORD:?set it}", "secret")
    found: dict[str, dict[str, str]] = yaml.safe_load(text)
    return found


def kubernetes() -> dict[str, str]:
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    [nodes] = [part for part in parts if part["kind"] == "StatefulSet"]
    [container] = nodes["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "postgresql+psycopg://ctsftp@db/ctsftp") for one in container["env"]}


@pytest.mark.parametrize(
    "environment", [compose()["x-node"]["environment"], kubernetes()], ids=["compose", "kubernetes"]
)
def test_every_setting_is_one(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.database.startswith("postgresql+psycopg://")
    assert settings.data_dir == Path("/data")
    known = {name.removeprefix("CTSFTP_").partition("__")[0].lower() for name in environment}
    assert known <= Settings.model_fields.keys()


def configurations() -> list[str]:
    [in_page] = re.findall(r"## HAProxy\n\n```\n(.*?)```", (DEPLOY / "docs" / "nodes.md").read_text(), flags=re.DOTALL)
    return [compose()["configs"]["haproxy"]["content"], in_page]  # type: ignore[index]


@pytest.mark.parametrize("configuration", configurations(), ids=["compose", "page"])
def test_haproxy_takes_its_configuration(tmp_path: Path, configuration: str) -> None:
    place = tmp_path / "haproxy.cfg"
    place.write_text(re.sub(r"node-(\d):", r"127.0.0.\1:", configuration))  # names that are known there only
    done = subprocess.run(
        [require_program("haproxy"), "-c", "-q", "-f", str(place)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
