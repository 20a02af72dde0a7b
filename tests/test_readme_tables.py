from __future__ import annotations

from pathlib import Path

import pytest

from tests import readme_tables


def test_a_table_takes_the_place_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- one -->\nold\n<!-- /one -->\n<!-- two -->\nkept\n<!-- /two -->\n", "utf-8")
    monkeypatch.setattr(readme_tables, "README", readme)
    readme_tables.put_table("one", r"| new \1 |")
    assert readme.read_text("utf-8") == (
        "a\n<!-- one -->\n| new \\1 |\n<!-- /one -->\n<!-- two -->\nkept\n<!-- /two -->\n"
    )
    with pytest.raises(ValueError, match="three"):
        readme_tables.put_table("three", "")


@pytest.mark.parametrize("name", ["networks", "compression", "benchmarks", "profile"])
def test_the_readme_has_a_place_for_each(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(readme_tables.README.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(readme_tables, "README", copy)
    readme_tables.put_table(name, "here")
    assert f"<!-- {name} -->\nhere\n<!-- /{name} -->" in copy.read_text("utf-8")
