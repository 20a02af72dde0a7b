"""The layers, as arrows that point down: a module imports only what stands below it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "server"

# Lowest first; parts on one row never import each other.
ROWS = (
    ("__init__",),
    ("streaming", "settings", "logs"),
    ("chat", "lean_connections"),
    ("providers", "storage", "transports", "bounds"),
    ("api", "doctor"),
    ("access",),
    ("app",),
    ("serving",),
    ("__main__",),
)
LEVELS = {part: level for level, row in enumerate(ROWS) for part in row}

# Who may use which package from outside; the core and the application get by with the standard library.
OUTSIDE = {
    "__init__": set(),
    "streaming": set(),
    "logs": {"structlog"},
    "lean_connections": {"uvicorn"},
    "bounds": {"httptools", "uvicorn", "websockets"},
    "settings": {"dotenv", "platformdirs", "pydantic", "pydantic_settings"},
    "chat": set(),
    "providers": {"anthropic", "anyio", "httptools", "httpx2", "openai", "pydantic", "pydantic_core"},
    "storage": {"databases", "aiosqlite"},
    "transports": {"sse_starlette", "starlette"},
    "api": {"prometheus_client", "pydantic", "pydantic_core", "sse_starlette", "starlette"},
    "doctor": {"httpx", "websockets"},
    "access": {"limits", "pydantic", "starlette", "structlog"},
    "app": {"sse_starlette", "starlette"},
    "serving": {"uvicorn"},
    "__main__": {"pydantic"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides its layer"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(module: Path) -> set[str]:
    found = {name.split(".")[1] for name in imports(module) if name.startswith("server.")}
    return {part if part in LEVELS else "__init__" for part in found}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_imports_point_down(module: Path) -> None:
    part = part_of(module)
    upwards = {other for other in parts_imported(module) if other != part and LEVELS[other] >= LEVELS[part]}
    assert not upwards


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_layer_uses_only_its_own_packages(module: Path) -> None:
    outside = {name.split(".")[0] for name in imports(module)} - {"server"} - sys.stdlib_module_names
    assert outside <= OUTSIDE[part_of(module)]


def test_modules_import_each_other_without_cycles() -> None:
    graph = {dotted(module): set(resolved(module)) for module in MODULES}
    done: set[str] = set()
    while ready := {name for name, needs in graph.items() if name not in done and needs <= done}:
        done |= ready
    assert set(graph) == done


def dotted(module: Path) -> str:
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def resolved(module: Path) -> Iterator[str]:
    """The modules of ours that a module imports, itself left out."""
    known = {dotted(each) for each in MODULES}
    for name in imports(module):
        for candidate in (name, name.rpartition(".")[0]):
            if candidate in known and candidate != dotted(module):
                yield candidate
                break
