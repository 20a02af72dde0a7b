"""All providers, by id, as the settings name them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace

from pydantic import HttpUrl, SecretStr

from server.chat.errors import Invalid, ProviderNotConfigured, UnknownModel
from server.chat.provider import Delta, ModelInfo, Prompt, Provider, ProviderInfo, Turn
from server.providers.models import OPENAI, OPENAI_DEFAULT
from server.providers.openai import OpenAIProvider
from server.providers.perplexity import PerplexityProvider
from server.settings import PREFIX, ExtraProvider, Settings, SettingsError


class ProviderRegistry:
    """The providers by id, with the operator's limits and defaults.

    `allowed_models` maps the id of a provider to all that may be asked of it; a provider that is not in
    it takes any name. Raises SettingsError where the limits and the defaults do not fit the providers.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        *,
        default_provider: str,
        default_model: str | None = None,
        allowed_models: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._providers = {provider.info.id: provider for provider in providers}
        self._default_provider = default_provider
        allowed = allowed_models or {}
        self._check("DEFAULT_PROVIDER", [default_provider])
        self._check("ALLOWED_MODELS", allowed)
        self._infos = {name: limited(provider.info, allowed.get(name)) for name, provider in self._providers.items()}
        if default_model is not None:
            self._set_default(default_model)

    def __getitem__(self, provider: str) -> Provider:
        """Raises UnknownModel."""
        self._info(provider)
        return self._providers[provider]

    @property
    def default(self) -> str:
        return self._default_provider

    def infos(self) -> Sequence[ProviderInfo]:
        return tuple(self._infos.values())

    def resolve(self, provider: str | None, model: str | None, api_keys: Mapping[str, str]) -> tuple[str, str]:
        info = self._info(provider or self._default_provider)
        model = model or info.default_model
        if model is None:
            raise UnknownModel(f"{info.name} has no default model. Name the one that you want.")
        if not offers(info, model):
            raise UnknownModel(f"{info.name} has no model {model!r} here. Choose one of {listed(info.models)}.")
        if not info.ready and not api_keys.get(info.id):
            raise ProviderNotConfigured(
                f"{info.name} needs an API key, and {info.reason}. Set it on the server, or send a key of "
                f"your own as api_keys.{info.id}."
            )
        return info.id, model

    def stream_response(
        self,
        provider: str | None,
        model: str | None,
        messages: Iterable[Turn | Mapping[str, str]],
        ultra_thinking: bool = False,
        api_keys: Mapping[str, str] | None = None,
        *,
        system: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> AsyncIterator[Delta]:
        """The answer to `messages`, as `Provider.stream` gives it.

        `messages` are Turns, or dicts with `role` and `content` in the manner of OpenAI; those with the
        role `system` are added to `system`. Raises at once what `resolve` raises, and Invalid for
        messages that do not end with the user's.
        """
        keys = api_keys or {}
        provider, model = self.resolve(provider, model, keys)
        instructions, turns = conversation(messages)
        prompt = Prompt(
            model=model,
            turns=turns,
            system="\n\n".join(filter(None, [system, *instructions])) or None,
            ultra_thinking=ultra_thinking,
            max_tokens=max_tokens,
            temperature=temperature,
            api_key=keys.get(provider),
        )
        return self._providers[provider].stream(prompt)

    async def aclose(self) -> None:
        await asyncio.gather(*(provider.aclose() for provider in self._providers.values()))

    def _info(self, provider: str) -> ProviderInfo:
        if provider not in self._infos:
            raise UnknownModel(f"There is no provider {provider!r}. Choose one of {', '.join(self._infos)}.")
        return self._infos[provider]

    def _check(self, setting: str, ids: Iterable[str]) -> None:
        for provider in ids:
            if provider not in self._providers:
                known = ", ".join(self._providers)
                raise SettingsError(f"{PREFIX}{setting}: there is no provider {provider!r}; known are {known}")

    def _set_default(self, model: str) -> None:
        info = self._infos[self._default_provider]
        if not offers(info, model):
            raise SettingsError(
                f"{PREFIX}DEFAULT_MODEL: {info.id} has no model {model!r}; known are {listed(info.models)}"
            )
        self._infos[info.id] = replace(info, default_model=model)


def build_providers(settings: Settings) -> ProviderRegistry:
    """The demo, the three vendors, and the operator's own servers. Connects to nobody yet.

    Raises SettingsError for names that contradict each other.
    """
    from server.providers.anthropic import AnthropicProvider
    from server.providers.demo import DemoProvider

    timeout = settings.connect_timeout
    builtin: list[Provider] = [
        DemoProvider(settings.demo_delay),
        OpenAIProvider(
            api_key=secret(settings.openai_api_key),
            base_url=address(settings.openai_base_url),
            connect_timeout=timeout,
            models=OPENAI,
            default_model=OPENAI_DEFAULT,
        ),
        AnthropicProvider(
            api_key=secret(settings.anthropic_api_key),
            base_url=address(settings.anthropic_base_url),
            connect_timeout=timeout,
        ),
        PerplexityProvider(
            api_key=secret(settings.perplexity_api_key),
            base_url=address(settings.perplexity_base_url),
            connect_timeout=timeout,
        ),
    ]
    extra = [extra_provider(given, timeout) for given in settings.extra_providers]
    refuse_doubles([provider.info.id for provider in [*builtin, *extra]])
    return ProviderRegistry(
        [*builtin, *extra],
        default_provider=settings.default_provider,
        default_model=settings.default_model,
        allowed_models=settings.allowed_models,
    )


def extra_provider(given: ExtraProvider, connect_timeout: float) -> OpenAIProvider:
    return OpenAIProvider(
        id=given.id,
        name=given.name or given.id,
        api_key=secret(given.api_key),
        key_name=None,  # a local server needs none
        base_url=str(given.base_url),
        connect_timeout=connect_timeout,
        models=[ModelInfo(model) for model in given.models],
        default_model=given.default_model or next(iter(given.models), None),
        begins_thinking=given.begins_thinking,
    )


def refuse_doubles(ids: Sequence[str]) -> None:
    for taken in ids:
        if ids.count(taken) > 1:
            raise SettingsError(f"{PREFIX}EXTRA_PROVIDERS: the id {taken!r} is taken; choose another one")


def limited(info: ProviderInfo, allowed: Sequence[str] | None) -> ProviderInfo:
    """`info` with no models but the allowed ones; None allows everything."""
    if allowed is None:
        return info
    known = {model.id: model for model in info.models}
    default = info.default_model if info.default_model in allowed else next(iter(allowed), None)
    models = tuple(known.get(model, ModelInfo(model)) for model in allowed)
    return replace(info, models=models, default_model=default, accepts_any_model=False)


def offers(info: ProviderInfo, model: str) -> bool:
    return info.accepts_any_model or any(model == known.id for known in info.models)


def listed(models: Iterable[ModelInfo]) -> str:
    return ", ".join(model.id for model in models)


def conversation(messages: Iterable[Turn | Mapping[str, str]]) -> tuple[list[str], list[Turn]]:
    """The system prompts and the turns. Raises Invalid."""
    instructions: list[str] = []
    turns: list[Turn] = []
    for message in messages:
        match message:
            case Turn():
                turns.append(message)
            case {"role": "system", "content": str(content)}:
                instructions.append(content)
            case {"role": ("user" | "assistant") as role, "content": str(content)}:
                turns.append(Turn(role, content))
            case _:
                raise Invalid("messages", "each message has a role (system, user or assistant) and a content")
    if not turns or turns[-1].role != "user":
        raise Invalid("messages", "the last message is not the user's")
    return instructions, turns


def secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def address(value: HttpUrl | None) -> str | None:
    return str(value) if value else None
