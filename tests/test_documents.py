"""The documents say what the code does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from ctsftp.clients.config import ClientConfig
from ctsftp.contract.codes import HELD, PAGES, Code
from ctsftp.contract.states import State, render_diagram
from ctsftp.contract.verdict import Guards
from ctsftp.pages import NAMES
from ctsftp.settings import Settings

TOP = Path(__file__).parent.parent
KIB = 1024
PACKAGE = TOP / "ctsftp"
README = (TOP / "README.md").read_text("utf-8")
MAP = (PACKAGE / "README.md").read_text("utf-8")


def settings_rows() -> dict[str, tuple[str, str]]:
    """Give each setting's default, as the page writes it, and what it is."""
    return dict(_rows("CTSFTP_", Settings))


def _rows(
    prefix: str, group: type[BaseModel], defaults: BaseModel | None = None
) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, field in group.model_fields.items():
        default = getattr(defaults, name) if defaults else field.get_default()
        if isinstance(default, BaseModel):
            yield from _rows(f"{prefix}{name.upper()}__", type(default), default)
        else:
            yield f"{prefix}{name.upper()}", (_shown(name, default), str(field.description))


def _shown(name: str, default: object) -> str:
    """Write a default for people: bytes in their unit, too; nothing for none."""
    if name.endswith("_bytes") and isinstance(default, int) and default >= KIB:
        power = min((default.bit_length() - 1) // 10, 3)
        return f"{default} ({default / KIB**power:g} {' KMG'[power]}iB)"
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def test_the_page_of_settings_lists_each_once_with_its_default_and_what_it_is() -> None:
    text = (TOP / "deploy" / "docs" / "settings.md").read_text("utf-8")
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `CTSFTP_")]
    listed = [(name.strip("`"), (default.strip(), what)) for name, default, what, *_ in cells]
    assert sorted(listed) == sorted(settings_rows().items())


def test_the_settings_that_an_operator_may_need_say_when_to_change_them() -> None:
    text = (TOP / "deploy" / "docs" / "settings.md").read_text("utf-8")
    by_task = text.partition("## Rarely needed")[0]
    rows = [line for line in by_task.splitlines() if line.startswith("| `CTSFTP_")]
    assert 35 <= len(rows) <= 45
    assert all(row.count(" | ") == 3 for row in rows)


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
    assert render_diagram() in MAP


def test_the_map_has_each_module_once_and_in_its_room() -> None:
    parts = re.split(r"^### (.+)\n", MAP.partition("\n## Modules\n")[2], flags=re.MULTILINE)[1:]
    listed = [
        (room if room.endswith("/") else "") + module
        for room, lines in zip(parts[::2], parts[1::2], strict=True)
        for module in re.findall(r"^- `(\w+\.py)`: ", lines, re.MULTILINE)
    ]
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert sorted(listed) == sorted(str(path) for path in paths if path.parent.name != "versions")


def defined(module: Path) -> set[str]:
    """Name what a module defines, and what its classes do as `Class.name`."""
    found: set[str] = set()
    for node in ast.parse(module.read_text("utf-8")).body:
        names = _names(node)
        inner = node.body if isinstance(node, ast.ClassDef) else []
        found |= names | {f"{name}.{one}" for name in names for inside in inner for one in _names(inside)}
    return found


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_every_place_that_the_map_names_is_there() -> None:
    places = re.findall(r"`(\w[\w/]*\.py)`(?:\s+`(\w[\w.]*)`)?", MAP.partition("\n## Modules\n")[0])
    assert len(places) > 100
    for module, name in places:
        assert (PACKAGE / module).is_file(), module
        assert not name or name in defined(PACKAGE / module), (module, name)
    everything = {name for path in PACKAGE.rglob("*.py") for name in defined(path)}
    assert [name for name in re.findall(r"`([A-Z][a-z]\w+\.\w+)`", MAP) if name not in everything] == []


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    words = re.findall(r"^- \*\*(.+?)\*\*: ", MAP.partition("\n## Glossary\n")[2], re.MULTILINE)
    assert len(words) > 50
    assert words == sorted(set(words))
