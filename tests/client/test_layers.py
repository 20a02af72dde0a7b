"""The page's layers, as arrows that point down; and what none of them may do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parent.parent.parent / "static"
LAYERS = ("client", "hooks", "components", "pages")  # lowest first
MODULES = sorted(path for layer in LAYERS for path in (STATIC / layer).rglob("*.js"))
IMPORTED = re.compile(r"""^(?:import|export)\b[^;]*?from "([^"]+)";""", re.MULTILINE)
PACKAGES = {
    "client": set[str](),
    "hooks": {"preact/hooks", "@preact/signals"},
    "components": {"preact", "preact/hooks", "@preact/signals", "htm", "markdown-it"},
    "pages": {"preact/hooks"},
}
INTO_HTML = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(")


def name_of(module: Path) -> str:
    return str(module.relative_to(STATIC))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_point_down(module: Path) -> None:
    layer = module.relative_to(STATIC).parts[0]
    for imported in IMPORTED.findall(module.read_text("utf-8")):
        if imported.startswith("."):
            below = (module.parent / imported).resolve().relative_to(STATIC).parts[0]
            assert LAYERS.index(below) <= LAYERS.index(layer), imported
        else:
            assert imported in PACKAGES[layer]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_text_becomes_html(module: Path) -> None:
    assert not INTO_HTML.search(module.read_text("utf-8"))
