"""The event loop is never blocked while an answer is written, read and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from server.app import Application
from server.chat.service import How, Question
from server.settings import Settings

pytestmark = pytest.mark.anyio

OWNER = "somebody"


async def test_nothing_that_blocks_is_done_in_the_loop(tmp_path: Path) -> None:
    application = Application(Settings(database_url=f"sqlite:///{tmp_path}/x.db", demo_delay=0.001))
    await application.open()
    service = application.service
    with blockbuster_ctx("server") as guard:
        # A look at the file's identity before each commit takes two microseconds, a trip to a thread thirty.
        guard.functions["os.stat"].can_block_in("server/storage/database.py", {"_identities"})
        accepted = await service.ask(OWNER, Question("s", "Hello!"), How(model="echo"))
        assert await service.ended(accepted.answer.id, 10)
        page = await service.read_answer(accepted.answer).page(0, 500, 1 << 20)
        history = await service.history(OWNER, "s", None, 50)
        assert (await service.sessions(OWNER, "hello", None, 10)).sessions
    assert page.events[-1].type == "complete"
    assert [message.content for message in history.messages] == ["Hello!", "Hello!"]
    async with application.starlette.router.lifespan_context(application.starlette):
        pass  # closes what `open` opened
