"""What a scripted provider is asked to do, written in the question itself; and the text it then answers with.

    fault=reset;after=50;chunks=200;delay=0.002;seed=7;tag=anything

The text is a function of the script alone, so whoever has the question can check the answer.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Self

ALWAYS = 1_000_000
SEPARATOR = ";"
ODDITIES = ("é", "漢字", "😀", "\u2028", "a\u0301", "\ufeff", "\t", "\\", '"', "</script>")


@dataclass(frozen=True, slots=True)
class Script:
    """`after`: chunks of text before the fault. `times`: how many requests meet it, before one goes well."""

    fault: str = "none"
    after: int = 0
    chunks: int = 20
    wait: float = 0.0  # seconds before an answer begins
    delay: float = 0.0  # seconds between two chunks
    seed: int = 0
    times: int = ALWAYS
    status: int = 500
    retry: str = ""  # what `status` says about a retry: seconds:2, date:3, ms:1500
    size: int = 0  # bytes, where the fault has a size
    tag: str = ""  # makes the question unlike any other

    @classmethod
    def parse(cls, question: str) -> Self:
        usual = asdict(cls())
        given: dict[str, Any] = {}
        for part in question.split(SEPARATOR):
            name, _, value = part.partition("=")
            given[name] = type(usual[name])(value)
        return cls(**given)

    @property
    def question(self) -> str:
        """Only what differs from the defaults, and always the seed."""
        usual = asdict(Script())
        said = {name: value for name, value in asdict(self).items() if value != usual[name]} | {"seed": self.seed}
        return SEPARATOR.join(f"{name}={value}" for name, value in said.items())

    def piece(self, number: int) -> str:
        """Chunk `number`, from 1: its number, something to tell it by, and now and then something odd."""
        digest = hashlib.sha256(f"{self.seed}/{number}".encode()).hexdigest()
        odd = ODDITIES[number % len(ODDITIES)] if number % 3 == 0 else ""
        return f"{number}:{digest[: 4 + number % 13]}{odd} "

    @property
    def text(self) -> str:
        return text_of(self)

    @property
    def partial(self) -> str:
        """What comes before the fault."""
        return "".join(self.piece(number) for number in range(1, self.after + 1))


@lru_cache(maxsize=10_000)
def text_of(script: Script) -> str:
    return "".join(script.piece(number) for number in range(1, script.chunks + 1))
