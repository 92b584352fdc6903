"""The documents say what the code does."""

import re
from pathlib import Path

from pydantic import BaseModel

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import HELD, PAGES, Code
from ctsftp.contract.states import State, render_diagram
from ctsftp.contract.verdict import Guards
from ctsftp.pages import NAMES
from ctsftp.settings import Settings

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text("utf-8")


def settings_table() -> str:
    """The table of settings; print it with `python -m tests.test_documents` after a change."""
    return "\n".join(["| setting | default | |", "|---|---|---|", *_rows("CTSFTP_", Settings)]) + "\n"


def _rows(prefix: str, group: type[BaseModel], defaults: BaseModel | None = None) -> list[str]:
    rows: list[str] = []
    for name, field in group.model_fields.items():
        default = getattr(defaults, name) if defaults else field.get_default()
        if isinstance(default, BaseModel):
            rows += _rows(f"{prefix}{name.upper()}__", type(default), default)
        else:
            rows.append(f"| `{prefix}{name.upper()}` | {'' if default is None else default} | {field.description} |")
    return rows


def test_the_page_of_settings_lists_each_with_its_default() -> None:
    assert settings_table() in (TOP / "deploy" / "docs" / "settings.md").read_text("utf-8")


def test_the_page_on_files_names_every_state() -> None:
    text = (TOP / "deploy" / "docs" / "watch.md").read_text("utf-8")
    for state in State:
        assert f"`{state}`" in text


def test_the_readme_is_read_in_one_sitting_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 150
    for name in NAMES:
        assert f"(deploy/docs/{name}.md)" in README


def test_every_page_is_listed_and_no_other() -> None:
    assert {page.stem for page in (TOP / "deploy" / "docs").glob("*.md")} == set(NAMES)


def test_every_code_that_a_page_explains_is_there() -> None:
    held = (TOP / "deploy" / "docs" / "held.md").read_text("utf-8")
    assert {code.value for code in Code if PAGES[code].kind == HELD} <= set(
        re.findall(r"^\| `(\w+)` \|", held, re.MULTILINE)
    )


def test_the_page_on_logins_has_every_cause() -> None:
    text = (TOP / "deploy" / "docs" / "login-fails.md").read_text("utf-8")
    for cause in (
        "no such client",
        "is disabled",
        "no key was offered",
        "not in `authorized_keys`",
        "from this address",
        "expired",
        "SHA-1",
    ):
        assert cause in text


def test_the_page_on_clients_has_every_entry_of_client_toml() -> None:
    text = (TOP / "deploy" / "docs" / "onboard.md").read_text("utf-8")
    entries = ClientConfig.model_fields.keys() - {"guards", "segments"} | Guards.model_fields.keys()
    assert [entry for entry in sorted(entries) if f"`{entry}`" not in text] == []


def test_the_map_shows_the_states_as_the_table_has_them() -> None:
    assert render_diagram() in (TOP / "ctsftp" / "README.md").read_text("utf-8")


def test_the_map_names_every_room() -> None:
    text = (TOP / "ctsftp" / "README.md").read_text("utf-8")
    for place in (TOP / "ctsftp").iterdir():
        if place.is_dir() and (place / "__init__.py").exists():
            assert f"**{place.name}/**" in text


if __name__ == "__main__":
    print(settings_table())  # noqa: T201
