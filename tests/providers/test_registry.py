"""Which providers there are, and which of them a request means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.chat.errors import Invalid, ProviderNotConfigured, UnknownModel
from server.chat.provider import Delta, Finish, ModelInfo, Prompt, ProviderInfo, Text, Turn
from server.providers.registry import ProviderRegistry, build_providers
from server.settings import ExtraProvider, Settings, SettingsError
from tests.providers.recordings import LLAMA_CPP
from tests.providers.wire import WireServer, stream

pytestmark = pytest.mark.anyio

LOCAL: dict[str, Any] = {"id": "local", "base_url": "http://127.0.0.1:9/v1", "models": ["tiny", "small"]}


class Parrot:
    """A provider that says what it was asked."""

    def __init__(self, name: str, *, ready: bool = True, default: str | None = "grey") -> None:
        self.info = ProviderInfo(
            id=name,
            name=name.title(),
            ready=ready,
            reason=None if ready else f"{name.upper()}_KEY is not set",
            default_model=default,
            models=(ModelInfo("grey", thinking=True), ModelInfo("green")),
            accepts_any_model=True,
        )
        self.prompts: list[Prompt] = []
        self.closed = False

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        self.prompts.append(prompt)
        yield Text(prompt.turns[-1].content)
        yield Finish("stop")

    async def aclose(self) -> None:
        self.closed = True


def registry(*parrots: Parrot, **options: Any) -> ProviderRegistry:
    parrots = parrots or (Parrot("polly"), Parrot("coco", ready=False), Parrot("rio", default=None))
    return ProviderRegistry(parrots, **{"default_provider": parrots[0].info.id, **options})


def settings(monkeypatch: pytest.MonkeyPatch, **given: Any) -> Settings:
    for name in ("OPENAI", "ANTHROPIC", "PERPLEXITY"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)
    return Settings(**{"_env_file": None, **given})


class TestResolve:
    @pytest.mark.parametrize(
        ("provider", "model", "keys", "meant"),
        [
            (None, None, {}, ("polly", "grey")),
            (None, "blue", {}, ("polly", "blue")),
            ("polly", None, {}, ("polly", "grey")),
            ("coco", None, {"coco": "k"}, ("coco", "grey")),
            ("rio", "any", {}, ("rio", "any")),
        ],
    )
    def test_fills_in_the_defaults(
        self, provider: str | None, model: str | None, keys: dict[str, str], meant: tuple[str, str]
    ) -> None:
        assert registry().resolve(provider, model, keys) == meant

    def test_names_the_providers_that_there_are(self) -> None:
        for ask in (lambda: registry().resolve("jack", None, {}), lambda: registry()["jack"]):
            with pytest.raises(UnknownModel, match=r"no provider 'jack'.*polly, coco, rio"):
                ask()

    def test_wants_a_model_where_there_is_no_default(self) -> None:
        with pytest.raises(UnknownModel, match="Rio has no default model"):
            registry().resolve("rio", None, {})

    @pytest.mark.parametrize("keys", [{}, {"polly": "k"}, {"coco": ""}])
    def test_says_which_key_is_missing(self, keys: dict[str, str]) -> None:
        with pytest.raises(ProviderNotConfigured, match=r"COCO_KEY is not set.*api_keys\.coco"):
            registry().resolve("coco", None, keys)

    def test_keeps_to_the_allowed_models(self) -> None:
        limited = registry(allowed_models={"polly": ["green", "red"]})
        assert limited.resolve(None, None, {}) == ("polly", "green")
        assert limited.resolve("rio", "grey", {}) == ("rio", "grey")
        with pytest.raises(UnknownModel, match=r"'grey'.*green, red"):
            limited.resolve(None, "grey", {})
        info = limited.infos()[0]
        assert [model.id for model in info.models] == ["green", "red"]
        assert not info.accepts_any_model

    def test_knows_the_default_model_of_the_operator(self) -> None:
        chosen = registry(default_model="blue")
        assert chosen.resolve("polly", None, {}) == ("polly", "blue")
        assert chosen.infos()[0].default_model == "blue"
        assert chosen.resolve("coco", None, {"coco": "k"}) == ("coco", "grey")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default_provider": "jack"}, "DEFAULT_PROVIDER: there is no provider 'jack'; known are polly"),
        ({"allowed_models": {"jack": []}}, "ALLOWED_MODELS: there is no provider 'jack'"),
        ({"allowed_models": {"polly": ["a"]}, "default_model": "b"}, "DEFAULT_MODEL: polly has no model 'b'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        registry(**options)


class TestStreamResponse:
    async def test_asks_the_provider_that_is_meant(self) -> None:
        parrot = Parrot("polly")
        messages: list[Turn | dict[str, str]] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            Turn("assistant", "Hello"),
            {"role": "user", "content": "Why?"},
        ]
        deltas = registry(parrot).stream_response(
            None, "m", messages, True, {"polly": "k"}, system="Be kind.", max_tokens=5, temperature=0.1
        )
        assert [delta async for delta in deltas] == [Text("Why?"), Finish("stop")]
        assert parrot.prompts == [
            Prompt(
                model="m",
                turns=[Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Why?")],
                system="Be kind.\n\nBe brief.",
                ultra_thinking=True,
                max_tokens=5,
                temperature=0.1,
                api_key="k",
            )
        ]

    @pytest.mark.parametrize(
        "messages",
        [
            [],
            [{"role": "system", "content": "a"}],
            [Turn("user", "a"), Turn("assistant", "b")],
            [{"role": "tool", "content": "a"}],
            [{"role": "user"}],
            [{"role": "user", "content": 5}],
        ],
    )
    def test_wants_messages_that_end_with_the_users(self, messages: list[Any]) -> None:
        with pytest.raises(Invalid) as caught:
            registry().stream_response(None, None, messages)
        assert caught.value.field == "messages"

    def test_refuses_before_the_first_delta(self) -> None:
        with pytest.raises(UnknownModel):
            registry().stream_response("jack", None, [Turn("user", "a")])


async def test_closing_closes_every_provider() -> None:
    parrots = [Parrot("polly"), Parrot("coco")]
    await registry(*parrots).aclose()
    assert all(parrot.closed for parrot in parrots)


class TestBuild:
    def test_knows_the_vendors_and_what_they_need(self, monkeypatch: pytest.MonkeyPatch) -> None:
        built = build_providers(settings(monkeypatch, OPENAI_API_KEY="sk-1"))
        infos = {info.id: info for info in built.infos()}
        assert list(infos) == ["demo", "openai", "anthropic", "perplexity"]
        assert [info.ready for info in infos.values()] == [True, True, False, False]
        assert infos["perplexity"].reason == "PERPLEXITY_API_KEY is not set"
        assert "ANTHROPIC_API_KEY" in str(infos["anthropic"].reason)
        assert all(offered(info) for info in infos.values())
        assert built.resolve(None, None, {}) == ("demo", "demo")
        assert "sk-1" not in repr(vars(built))

    def test_adds_the_servers_of_the_operator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = ExtraProvider(**LOCAL)
        built = build_providers(settings(monkeypatch, extra_providers=(extra,), default_provider="local"))
        info = built.infos()[-1]
        assert (info.id, info.name, info.ready, info.default_model) == ("local", "local", True, "tiny")
        assert [model.id for model in info.models] == ["tiny", "small"]
        assert built.resolve(None, None, {}) == ("local", "tiny")

    def test_an_id_is_taken_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = ExtraProvider(**{**LOCAL, "id": "openai"})
        with pytest.raises(SettingsError, match="EXTRA_PROVIDERS: the id 'openai' is taken"):
            build_providers(settings(monkeypatch, extra_providers=(extra,)))

    def test_a_default_that_does_not_exist_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(SettingsError, match="'nobody'; known are demo, openai, anthropic, perplexity"):
            build_providers(settings(monkeypatch, default_provider="nobody"))

    async def test_a_local_server_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with WireServer(stream([LLAMA_CPP.body])) as vendor:
            extra = ExtraProvider(**{**LOCAL, "base_url": f"{vendor.url}/v1"})
            built = build_providers(settings(monkeypatch, extra_providers=(extra,)))
            deltas = [delta async for delta in built.stream_response("local", None, [Turn("user", "Where?")])]
            await built.aclose()
        assert deltas == [Text(" the"), Text(" capital"), LLAMA_CPP.usage, LLAMA_CPP.finish]
        assert vendor.requests[0].json()["model"] == "tiny"
        assert "authorization" not in vendor.requests[0].headers


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = """
import sys
from server.providers.registry import build_providers
from server.settings import Settings
build_providers(Settings(_env_file=None))
print(*sorted({"openai", "anthropic", "httpx2"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def offered(info: ProviderInfo) -> bool:
    return info.default_model in [model.id for model in info.models]
