"""The limits of how our code reads, kept by counting."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mooring"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in MODULES}
ROOMS = {"kinds", "core", "transports", "stores", "runtimes", "sessions", "virtual", "gateway",
         "keeper", "controllers", "api", "cli", "programs", "testing"}  # fmt: skip

MODULE_LINES = 500
MEDIAN_MODULE_LINES = 200
FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 10
ARCHITECTURE_LINES = 250

BANNED_WORDS = {"manager", "service", "helper", "util", "utils", "common", "misc", "wrapper",
                "info", "data"}  # fmt: skip
ALLOWED_NAMES = {"data", "data_dir", "data_received", "_default_data_dir"}
"""Names that are not ours to choose: of Kubernetes, of asyncio, and the setting."""


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    end = node.end_lineno or node.lineno
    doc = node.body[0] if ast.get_docstring(node) else None
    taken = (doc.end_lineno or doc.lineno) - doc.lineno + 1 if doc else 0
    return end - node.lineno + 1 - taken


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_every_room_is_a_room_of_the_design() -> None:
    found = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert found == ROOMS


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_no_module_is_too_long() -> None:
    assert {str(p): lines(p) for p in MODULES if lines(p) > MODULE_LINES} == {}
    real = [lines(p) for p in MODULES if p.name != "__init__.py"]
    assert median(real) <= MEDIAN_MODULE_LINES


def test_no_function_is_too_long() -> None:
    sizes = {
        f"{path.relative_to(SOURCE)}:{node.name}": length(node)
        for path, tree in TREES.items()
        for node in functions(tree)
    }
    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES} == {}
    assert median(sizes.values()) <= MEDIAN_FUNCTION_LINES


def test_package_files_hold_a_docstring_and_nothing_else() -> None:
    crowded = [
        str(path)
        for path, tree in TREES.items()
        if path.name == "__init__.py" and len(tree.body) != 1
    ]
    assert crowded == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{path}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_nothing_waits_in_the_core() -> None:
    waiting = [
        f"{path}:{node.lineno}"
        for room in ("core", "kinds")
        for path in sorted((SOURCE / room).glob("*.py"))
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    assert waiting == []


def test_names_say_one_thing() -> None:
    vague = []
    for path, tree in TREES.items():
        named = [(path.stem, 1)]
        named += [
            (node.name, node.lineno)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        for name, line in named:
            words = {w.lower() for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
            if words & BANNED_WORDS and name not in ALLOWED_NAMES:
                vague.append(f"{path.relative_to(SOURCE)}:{line} {name}")
    assert vague == []


def test_every_ignored_type_is_explained() -> None:
    bare = [
        f"{path.relative_to(SOURCE)}:{number}"
        for path in MODULES
        for number, text in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"# type: ignore(?!\[[a-z-]+(, ?[a-z-]+)*\]  # \S)", text)
    ]
    assert bare == []


def test_tests_and_source_are_in_proportion() -> None:
    source = sum(lines(path) for path in MODULES)
    tests = sum(lines(path) for path in (ROOT / "tests").rglob("*.py"))
    assert 1 <= tests / source <= 2


def test_the_architecture_page_is_short() -> None:
    assert lines(ROOT / "ARCHITECTURE.md") <= ARCHITECTURE_LINES
