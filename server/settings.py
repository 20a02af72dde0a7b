"""Every setting, its default and its bounds.

Read from the environment and from `.env` in the working directory, names prefixed with
`XIONIMUS_`; provider keys and addresses go by the names that the vendors' own SDKs use. Each setting
also stands in `.env.example` and in the README; tests/test_settings.py holds the three together.
"""

from __future__ import annotations

import difflib
import io
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError

PREFIX = "XIONIMUS_"
ENV_FILE = ".env"

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
ProviderId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


def _listed(value: object) -> object:
    """A list as people write it: with commas, or one a line."""
    return tuple(filter(None, re.split(r"[\s,]+", value))) if isinstance(value, str) else value


Listed = BeforeValidator(_listed)


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+", value):
        raise ValueError("must be names alone, without scheme, port, path or *: chat.example.com")
    return value.lower()


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:_-]+", value):
        raise ValueError("must be as browsers send it, with a scheme, without a path or *: https://chat.example.com")
    return value.lower()


def _base(value: HttpUrl) -> HttpUrl:
    if value.query or value.fragment or re.search(r"/(chat/completions|messages)/?$", value.path or ""):
        raise ValueError(
            "must end before /chat/completions or /v1/messages, and without ?query: http://127.0.0.1:8080/v1"
        )
    return value


def header_safe(key: SecretStr) -> SecretStr:
    if not all("!" <= character <= "~" for character in key.get_secret_value()):
        raise ValueError("must consist of visible ASCII characters")
    return key


Host = Annotated[str, AfterValidator(_host)]
Origin = Annotated[str, AfterValidator(_origin)]
BaseUrl = Annotated[HttpUrl, AfterValidator(_base)]
Key = Annotated[SecretStr, AfterValidator(header_safe)]


class SettingsError(Exception):
    """The configuration cannot be used; the message says which name, why, and what would be right."""


class ExtraProvider(BaseModel):
    """One more server that speaks the OpenAI format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: ProviderId
    base_url: BaseUrl
    name: str | None = None
    api_key: Key | None = None
    models: tuple[str, ...] = ()
    default_model: str | None = None
    begins_thinking: bool = False  # its models' templates say <think>, so that their answers only have </think>


class TokenHash(BaseModel):
    """Who a token stands for, and its SHA-256 in hex; the token itself is kept nowhere."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def default_database_url() -> str:
    return f"sqlite:///{platformdirs.user_data_path('xionimus') / 'xionimus.db'}"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    # Where it listens, where it keeps things.
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    database_url: str = Field(default_factory=default_database_url)
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"

    # Who may come in, and from where.
    tokens: Annotated[tuple[TokenHash, ...], NoDecode, Listed] = Field(default=(), repr=False)
    allowed_hosts: Annotated[tuple[Host, ...], NoDecode, Listed] = ()
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, Listed] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, Listed] = ()

    # Who answers.
    default_provider: ProviderId = "demo"
    default_model: str | None = None
    fallback_provider: ProviderId | None = None
    fallback_model: str | None = None
    extra_providers: tuple[ExtraProvider, ...] = ()
    allowed_models: dict[str, tuple[str, ...]] = {}
    demo_delay: float = Field(default=0.03, ge=0, le=10)

    openai_api_key: Key | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: BaseUrl | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: Key | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: BaseUrl | None = Field(default=None, validation_alias="ANTHROPIC_BASE_URL")
    perplexity_api_key: Key | None = Field(default=None, validation_alias="PERPLEXITY_API_KEY")
    perplexity_base_url: BaseUrl | None = Field(default=None, validation_alias="PERPLEXITY_BASE_URL")

    # How long a provider may take. Seconds.
    connect_timeout: Seconds = 10.0
    first_text_timeout: Seconds = 300.0
    delta_timeout: Seconds = 60.0
    answer_timeout: Seconds = 1_800.0

    # What readers get. Seconds.
    heartbeat: float = Field(default=15.0, ge=0.05, le=300, allow_inf_nan=False)
    stream_max_age: Seconds = 600.0
    stream_send_timeout: Seconds = 30.0
    stream_compression: Literal["off", "gzip"] = "off"
    shutdown_grace: float = Field(default=10.0, ge=0, le=600)

    # What is kept.
    retention: float = Field(default=86_400.0, ge=0, le=3_153_600_000, allow_inf_nan=False)  # a hundred years

    # Limits.
    max_body: int = Field(default=1_048_576, ge=1_024, le=16_777_216)
    max_answers: int = Field(default=1_000, ge=1)
    max_queued: int = Field(default=8, ge=1)
    max_answer_characters: int = Field(default=1_000_000, ge=1_000)

    # Limits of one caller.
    caller_requests: int = Field(default=6_000, ge=1)
    caller_streams: int = Field(default=100, ge=1)
    caller_answers: int = Field(default=50, ge=1)

    # Limits of one connection.
    max_headers: int = Field(default=100, ge=10, le=128)
    max_head: int = Field(default=32_768, ge=1_024, le=1_048_576)
    head_timeout: Seconds = 10.0
    body_timeout: Seconds = 60.0

    @field_validator("tokens", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        given = _listed(value)
        assert isinstance(given, tuple)
        return tuple(_token(each) if isinstance(each, str) else each for each in given)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # uvicorn takes what is no address for a name, and then trusts nobody, silently.
        for each in value:
            ipaddress.ip_network(each, strict=False)
        return value

    @model_validator(mode="after")
    def _fallback_of_whom(self) -> Self:
        if self.fallback_model is not None and self.fallback_provider is None:
            raise ValueError(f"{PREFIX}FALLBACK_MODEL: is a model of none; name its {PREFIX}FALLBACK_PROVIDER, too")
        return self


def _token(text: str) -> dict[str, str]:
    name, _, digest = text.rpartition(":")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("must be as `xionimus token add NAME` prints it: NAME:HASH, with the hash of the token")
    return {"name": name, "sha256": digest}


def load_settings(**overrides: Any) -> Settings:
    """Settings from `overrides` (those that are not None), the environment and `.env`, in this order.

    Raises SettingsError for a value that does not fit and for a `XIONIMUS_` name that does not exist.
    """
    refuse_unknown_names([*os.environ, *names_in_file(Path(ENV_FILE))])
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error))) from None
    except SourceError as error:
        field = str(error).split('"')[1]
        raise SettingsError(f"{PREFIX}{field.upper()}: must be JSON, as .env.example shows it") from None


def refuse_unknown_names(names: Iterable[str]) -> None:
    known = environment_names()
    for name in names:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)
            raise SettingsError(f"{name} is not a setting; the nearest one is {near[0]}")


def names_in_file(path: Path) -> list[str]:
    """The names that stand in a `.env`. Raises SettingsError for a line without a value and for a name twice."""
    try:
        bindings = list(parse_stream(io.StringIO(path.read_text("utf-8")))) if path.is_file() else []
    except OSError as error:
        raise SettingsError(f"{path} in the working directory cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: must be UTF-8; what stands behind byte {error.start} is not") from None
    lines: dict[str, int] = {}
    for binding in bindings:
        text = binding.original.string
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error or (binding.key and binding.value is None):
            raise SettingsError(f"{path}, line {line}: must be NAME=VALUE")
        if binding.key in lines:
            raise SettingsError(
                f"{path}: {binding.key} stands in lines {lines[binding.key]} and {line}; only the last counts: "
                "keep one (a list has commas between)"
            )
        if binding.key:
            lines[binding.key] = line
    return list(lines)


def environment_names() -> list[str]:
    """The name of each setting in the environment."""
    return [str(field.validation_alias or PREFIX + name.upper()) for name, field in Settings.model_fields.items()]


def _sentences(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_input=False, include_url=False):
        told = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            yield told
            continue
        field, *inside = (str(part) for part in problem["loc"])
        name = PREFIX + field.upper() if field in Settings.model_fields else field
        yield f"{'.'.join([name, *inside])}: {told}"


def sqlite_path(database_url: str) -> Path:
    """The file of a `sqlite:///` address. Raises SettingsError for any other address."""
    scheme, separator, path = database_url.partition(":///")
    if scheme != "sqlite" or not separator or not path or ":memory:" in path or path.startswith("~"):
        raise SettingsError(
            f"{PREFIX}DATABASE_URL must look like sqlite:///relative/file.db or "
            f"sqlite:////absolute/file.db, not {database_url!r}"
        )
    return Path(path.split("?")[0])
