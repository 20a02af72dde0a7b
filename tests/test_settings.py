"""Settings: read from where they should be, refused when wrong, and documented wherever one would look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.settings import PREFIX, SettingsError, environment_names, load_settings, sqlite_path

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting from outside, and a working directory without .env."""
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_configuration_it_listens_on_loopback_and_answers_with_the_demo() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.default_provider) == ("127.0.0.1", 8000, "demo")
    assert settings.database_url.endswith("/xionimus/xionimus.db")


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("XIONIMUS_PORT=1111\nXIONIMUS_HOST=localhost\nXIONIMUS_HEARTBEAT=5\n")
    monkeypatch.setenv("XIONIMUS_PORT", "2222")
    monkeypatch.setenv("XIONIMUS_HEARTBEAT", "6")
    settings = load_settings(heartbeat=7, host=None)
    assert (settings.host, settings.port, settings.heartbeat) == ("localhost", 2222, 7)


def test_keys_go_by_the_names_their_own_sdks_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    key = load_settings().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-test"
    assert "sk-test" not in repr(load_settings())


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_misspelt_name_is_told_with_the_nearest_right_one(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "file":
        Path(".env").write_text("XIONIMUS_PROT=1\n")
    else:
        monkeypatch.setenv("XIONIMUS_PROT", "1")
    with pytest.raises(SettingsError, match=r"XIONIMUS_PROT is not a setting.*XIONIMUS_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XIONIMUS_PORT", "eighty"),
        ("XIONIMUS_PORT", "70000"),
        ("XIONIMUS_HEARTBEAT", "0"),
        ("XIONIMUS_HEARTBEAT", "nan"),
        ("XIONIMUS_DEFAULT_PROVIDER", "Open AI"),
        ("XIONIMUS_EXTRA_PROVIDERS", '[{"id": "ollama"}]'),
        ("XIONIMUS_EXTRA_PROVIDERS", "not json"),
        ("XIONIMUS_LOG_LEVEL", "loud"),
        ("OPENAI_BASE_URL", "nowhere"),
        ("OPENAI_BASE_URL", "https://x.openai.azure.com/openai?api-version=2024-10-21"),
        ("ANTHROPIC_BASE_URL", "https://x/v1/messages"),
        ("XIONIMUS_EXTRA_PROVIDERS", '[{"id": "x", "base_url": "http://x/v1/chat/completions/"}]'),
        ("OPENAI_API_KEY", "sk-säcret"),
        ("XIONIMUS_EXTRA_PROVIDERS", '[{"id": "x", "base_url": "http://x/v1", "api_key": "a b"}]'),
        ("XIONIMUS_RETENTION", "1e300"),
        ("XIONIMUS_FALLBACK_MODEL", "gpt-9"),
        ("XIONIMUS_ALLOWED_HOSTS", "https://chat.example.com"),
        ("XIONIMUS_ALLOWED_HOSTS", "chat.example.com:8443"),
        ("XIONIMUS_ALLOWED_ORIGINS", "https://chat.example.com/"),
        ("XIONIMUS_ALLOWED_ORIGINS", "*"),
        ("XIONIMUS_TOKENS", "ada:xio_secret"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings()
    assert "pattern" not in str(refused.value) or name == "XIONIMUS_DEFAULT_PROVIDER"
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"XIONIMUS_PORT=1\n\nXIONIMUS_TOKENS=a:b\nXIONIMUS_TOKENS=c:d\n", "XIONIMUS_TOKENS stands in lines 3 and 4"),
        (b"# a comment\nXIONIMUS_PORT 8092\n", "line 2: must be NAME=VALUE"),
        (b"XIONIMUS_PORT\n", "line 1: must be NAME=VALUE"),
        (b"XIONIMUS_DEMO_DELAY=0.05 # gem\xe4chlich\n", "must be UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_as_it_is_meant_is_refused(content: bytes, said: str) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        load_settings()


def test_a_file_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("XIONIMUS_PORT=1\n")

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # to root, nothing is refused
    with pytest.raises(SettingsError, match=r"^\.env .*cannot be read: Permission denied"):
        load_settings()


def test_every_setting_stands_in_the_example_and_in_the_readme() -> None:
    example = set(re.findall(r"^#? ?([A-Z]+_[A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    readme = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", (ROOT / "README.md").read_text("utf-8")))
    names = set(environment_names())
    assert example == names
    assert names <= readme
    assert {name for name in readme if name.startswith(PREFIX)} <= names


def test_the_values_in_the_example_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings().model_dump(exclude={"database_url"})
    shown = re.findall(r"^# (XIONIMUS_\w+)=(.+)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    assert len(shown) > 25
    for name, value in shown:
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump(exclude={"database_url"}) == defaults


def test_the_readme_tells_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings().model_dump(exclude={"database_url"})
    rows = re.findall(r"^\| (`XIONIMUS_[^|]+)\|([^|]*)\|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    told: dict[str, str] = {}
    for names, values in rows:
        told |= zip(re.findall(r"\w+", names), values.replace("`", "").strip().split(", "), strict=False)
    compared = {name for name in settings if told.get(PREFIX + name.upper())}
    assert len(compared) > 25
    for name in compared:
        monkeypatch.setenv(PREFIX + name.upper(), told[PREFIX + name.upper()])
    assert load_settings().model_dump(exclude={"database_url"}) == settings


def test_an_address_names_the_file_as_it_is_written() -> None:
    for name in ("relative.db", "/a#b.db", "/my%20db.db", "/ä b.db"):
        assert sqlite_path(f"sqlite:///{name}") == Path(name)
