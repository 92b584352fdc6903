"""What ctsftp says to people, wherever it says it: one member, two members; and for whom a setting is to be set."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "ctsftp"
NOUN = re.compile(
    r"(addresses|bytes|characters|clients|columns|connections|days|deliveries|duplicates|events|fields|files|folders"
    r"|hooks|ids|keys|lines|members|messages|minutes|names|problems|rows|seconds|segments|sessions|snapshots|tokens"
    r"|uploads)$"
)
# What is counted by a limit, or is known to be more than one where the sentence is said.
NEVER_ONE = re.compile(
    r"some\(|[A-Z_]+$|.*\b(MAX|MIN|LOAD|PATIENCE|GROUP)_|.*\.?(most|limit|length|max_\w+|_max_\w+|floor_bytes|_view_bytes)$"
    r"|allowance\.|deaths|.*_bytes$"
)
# Sentences that are said of two and more, with another beside them for one; and those of things that never go wrong.
GUARDED = {
    "admin/doctor.py: minutes minutes",
    "admin/doctor.py: pending events",
    "cli/backup.py: size bytes",
    "clients/keys.py: len(lines) + len(blocks) keys",
    "contract/reader.py: line bytes",
    "ingest/reading.py: len(members) ids",
    "notify/message.py: known messages",
    "sftp/attempts.py: len(refused.keys) keys",
    "sftp/proxy.py: size bytes",
    "spool/checks.py: len(alone) files",
    "store/copying.py: row['members'] members",
    "store/postgres.py: parsed.render_as_string() names",
    "store/publishing.py: members members",
    "store/sqlite.py: orphan[0] names",
}
# The settings that a message names, alone or in a list of several.
SETTING = re.compile(r"CTSFTP_[A-Z]+(__)?[A-Z_]+")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "console" not in path.parts)


def docstrings(tree: ast.AST) -> set[ast.AST]:
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return {node for node in found if isinstance(node, ast.Constant)}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every text in a module, docstrings apart; what is filled in stands in it as {}."""
    tree = ast.parse(path.read_text("utf-8"))
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {tree}
    inner = {part for part in parts if not isinstance(part, ast.JoinedStr)} | docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield node.lineno, node.value


def counts(path: Path) -> Iterator[tuple[int, str, str]]:
    """Every number that is followed by a noun for many: its line, what is counted, and the noun."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for number, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant):
                after = re.match(r" (?:of [a-z]+ )?((?:[a-z]+ )?[a-z]+)\b", str(text.value))
                nouns = [word for word in after[1].split() if NOUN.match(word)] if after else []
                if nouns and not NEVER_ONE.match(ast.unparse(number.value)):
                    yield number.lineno, ast.unparse(number.value), nouns[0]


def test_no_sentence_counts_one_members() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {what} {noun}"
        for path in modules()
        if path.parts[-2] != "demo"  # its own lists are longer
        for _, what, noun in counts(path)
    }
    assert found - GUARDED == set()


def test_a_message_that_names_a_setting_says_for_whom_and_whether_to_restart() -> None:
    said = [(f"{path.name}:{line}", text) for path in modules() for line, text in texts(path)]
    naming = [(place, text) for place, text in said if SETTING.search(text) and " " in text]
    assert len(naming) > 10
    for place, text in naming:
        for_command = re.search(r"for (this command|commands)", text)
        for_server = re.search(r"for the server", text) and re.search(r"\b(re)?start\b", text)
        is_syntax = text.startswith("Groups are set as")
        assert for_command or for_server or is_syntax, (place, text)


def test_no_message_names_a_file_that_only_the_repository_has() -> None:
    pages = [f"{path.name}:{line}" for path in modules() for line, text in texts(path) if "deploy/" in text]
    assert pages == []
