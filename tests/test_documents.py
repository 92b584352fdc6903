"""The documents say what the code does."""

import os
from pathlib import Path

from pydantic import BaseModel

from ctsftp.contract.states import State, render_diagram
from ctsftp.settings import Settings
from tests.e2e.forked import run_forked

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text("utf-8")


def settings_table() -> str:
    """The table of settings; print it with `python -m tests.test_documents` after a change."""
    return "\n".join(["| setting | default | |", "|---|---|---|", *_rows("CTSFTP_", Settings)]) + "\n"


def _rows(prefix: str, group: type[BaseModel]) -> list[str]:
    rows: list[str] = []
    for name, field in group.model_fields.items():
        default = field.get_default()
        if isinstance(default, BaseModel):
            rows += _rows(f"{prefix}{name.upper()}__", type(default))
        else:
            rows.append(f"| `{prefix}{name.upper()}` | {'' if default is None else default} | {field.description} |")
    return rows


def test_the_page_of_settings_lists_each_with_its_default() -> None:
    assert settings_table() in (TOP / "deploy" / "docs" / "settings.md").read_text("utf-8")


def test_the_readme_names_every_state() -> None:
    for state in State:
        assert f"`{state}`" in README


def test_the_map_shows_the_states_as_the_table_has_them() -> None:
    assert render_diagram() in (TOP / "ctsftp" / "README.md").read_text("utf-8")


def test_the_map_names_every_room() -> None:
    text = (TOP / "ctsftp" / "README.md").read_text("utf-8")
    for place in (TOP / "ctsftp").iterdir():
        if place.is_dir() and (place / "__init__.py").exists():
            assert f"**{place.name}/**" in text


def test_every_command_that_the_readme_lists_is_there() -> None:
    listed = README.split("```\nctsftp serve")[1].split("```")[0]
    nouns = {line.split()[1] for line in ("ctsftp serve" + listed).splitlines() if line.startswith("ctsftp ")}
    for noun in sorted(nouns):
        done = run_forked([noun, "--help"], folder=TOP, env=os.environ, stdin=None, timeout=60)
        assert done.returncode == 0, noun


if __name__ == "__main__":
    print(settings_table())  # noqa: T201
