"""A real PeerDB as the demo itself touches it: looks, and gives a mirror back as it was found.

Owns the few calls that do not go through the operator, with the operator's own client. The demo sends a command of its
own only when the operator has ended and left the mirror otherwise than it was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from peerdb_operator.api.constants import OWNER_TAG, RELEASED
from peerdb_operator.errors import PeerDBError
from peerdb_operator.peerdb.client import MirrorStatusReply, PeerDBClient, RequestedState
from peerdb_operator.peerdb.http import HttpxTransport, Password
from peerdb_operator.settings import SettingsError, load_settings
from tests.harness.demo.screen import RefusedError

POLL_SECONDS = 1.0
RESEND_SECONDS = 15.0
STEADY_SECONDS = 5.0
"""A pause that was sent shows in the status only after a while: so long it has to say RUNNING."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A mirror as it was found; ``tables`` is None for one that is no CDC mirror."""

    version: str
    state: str
    tables: int | None
    tags: dict[str, str]


class RealPeerDB:
    """One PeerDB and one mirror in it."""

    def __init__(self, url: str, mirror: str) -> None:
        """Password and certificate come from PEERDB_PASSWORD, PEERDB_PASSWORD_FILE and PEERDB_CA_FILE.

        Raises RefusedError with a sentence for an address or a setting that cannot be used.
        """
        self.mirror = mirror
        try:
            self._settings = load_settings({"peerdb_url": url})
        except SettingsError as error:
            raise RefusedError("\n".join(error.sentences)) from error

    @property
    def url(self) -> str:
        """The base address."""
        return self._settings.peerdb_url

    def look(self) -> Found:
        """Read everything that decides whether the demo may touch the mirror; raises PeerDBError."""

        async def read(client: PeerDBClient) -> Found:
            seen: MirrorStatusReply = await client.status_with_config(self.mirror)
            tables = None if seen.config is None else len(seen.config.tables)
            return Found(await client.version(), seen.state, tables, await client.tags(self.mirror))

        return self._ask(read)

    def state(self) -> str:
        """PeerDB's word for what the mirror does; raises PeerDBError."""

        async def read(client: PeerDBClient) -> str:
            return (await client.status(self.mirror)).state

        return self._ask(read)

    def run_again(self, within: float, *, steady: float = STEADY_SECONDS) -> bool:
        """Bring the mirror back to RUNNING and see it there for ``steady`` seconds; False when that fails in time."""
        deadline = time.monotonic() + within
        sent_at = since = float("-inf")
        while time.monotonic() < deadline:
            now, state = time.monotonic(), self._state_or_none()
            since = (since if since > float("-inf") else now) if state == "RUNNING" else float("-inf")
            if state == "RUNNING" and now - since >= steady:
                return True
            if state == "PAUSED" and now - sent_at >= RESEND_SECONDS:
                sent_at = now if self._resume() else sent_at
            time.sleep(POLL_SECONDS)
        return False

    def release(self, signature: str) -> None:
        """Take back an owner tag that begins with ``signature``; PeerDB cannot remove a last tag, so it is reworded."""

        async def write(client: PeerDBClient) -> None:
            tags = await client.tags(self.mirror)
            if tags.get(OWNER_TAG, "").startswith(signature):
                await client.set_tags(self.mirror, {**tags, OWNER_TAG: RELEASED})

        self._ask(write)

    def _state_or_none(self) -> str | None:
        try:
            return self.state()
        except PeerDBError:
            return None

    def _resume(self) -> bool:
        async def send(client: PeerDBClient) -> None:
            await client.change_state(self.mirror, RequestedState.RUNNING)

        try:
            self._ask(send)
        except PeerDBError as error:
            return error.sent
        return True

    def _ask(self, call: Callable[[PeerDBClient], Awaitable[T]]) -> T:
        settings = self._settings
        text = "" if settings.peerdb_password is None else settings.peerdb_password.get_secret_value()

        async def once() -> T:
            password = Password(text, file=settings.peerdb_password_file)
            async with HttpxTransport(settings.peerdb_url, password=password, ca_file=settings.peerdb_ca_file) as http:
                return await call(PeerDBClient(http))

        return asyncio.run(once())
