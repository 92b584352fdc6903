"""The shape of the code: no module imports another that imports it, no function is long, few values have no type."""

import ast
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

TOP = Path(__file__).parent.parent
ROOMS_OF_TYPES = ("app", "admin", "cli", "web")
MAX_ANY = 20  # where a library gives JSON or takes anything: the number only gets smaller
MAX_FUNCTION_LINES = 60

Graph = dict[str, set[str]]


def name_of(path: Path, top: Path) -> str:
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST, modules: Collection[str]) -> set[str]:
    """The modules that a statement imports: `from package import module` is that module, and not its package."""
    if isinstance(node, ast.Import):
        return {one.name for one in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        longer = (f"{node.module}.{one.name}" for one in node.names)
        return {one if one in modules else node.module for one in longer}
    return set()


def imports(top: Path, package: str) -> Graph:
    """The modules of a package and what each imports of it: in functions, and for the type checker, too."""
    paths = {name_of(path, top): path for path in (top / package).rglob("*.py")}
    found: Graph = {}
    for name, path in paths.items():
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        found[name] = {one for node in nodes for one in imported(node, paths) if one in paths and one != name}
    return found


def circle(graph: Graph) -> list[str]:
    """One circle of modules; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        found: list[str] = exc.args[1]
        return found
    return []


def test_no_modules_import_each_other() -> None:
    assert circle(imports(TOP, "ctsftp")) == []


def test_a_circle_is_found_wherever_its_imports_stand(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").touch()
    (house / "one.py").write_text("def late():\n    from house import two\n")
    (house / "two.py").write_text("if TYPE_CHECKING:\n    from house.three import Three\n")
    (house / "three.py").write_text("import house.one\n")
    assert set(circle(imports(tmp_path, "house"))) == {"house.one", "house.two", "house.three"}
    (house / "three.py").write_text("import sys\n")
    assert circle(imports(tmp_path, "house")) == []


def trees(*rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    for room in rooms:
        for path in sorted((TOP / "ctsftp" / room).rglob("*.py")):
            yield path, ast.parse(path.read_text("utf-8"))


def test_few_values_of_the_rooms_that_people_ask_have_no_type() -> None:
    """In signatures and behind names of their own: an alias hides none."""
    found = [
        f"{path.relative_to(TOP)}:{node.lineno}"
        for path, tree in trees(*ROOMS_OF_TYPES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "Any"
    ]
    assert len(found) <= MAX_ANY, found


def test_no_function_is_longer_than_a_screen() -> None:
    found = [
        f"{path.relative_to(TOP)}: {node.name}"
        for path, tree in trees("")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert found == []
