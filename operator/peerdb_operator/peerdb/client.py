"""The PeerDB client: one typed call per endpoint the operator uses, each made once.

A 200 says that PeerDB took a request, not that anything happened; a command whose answer is lost must be followed by an
observation, never by the same command. Every call raises children of ``errors.PeerDBError`` only.

Source of the endpoints: PeerDB v0.37 protos/route.proto, flow/cmd/handler.go, flow/cmd/mirror_status.go.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, assert_never
from urllib.parse import quote

from pydantic import ValidationError

from peerdb_operator.errors import (
    PeerDBError,
    PeerDBMisconfigured,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
    UnsupportedPeerDB,
)
from peerdb_operator.peerdb.errors import Target, body_of
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig, Progress, RequestedState, name_in_copies
from peerdb_operator.peerdb.replies import (
    BatchesBody,
    InstanceBody,
    ListBody,
    ListedMirror,
    LogLevel,
    LogRow,
    LogsBody,
    MirrorStatusReply,
    SettingsBody,
    StatusBody,
    TagsBody,
    VersionBody,
    Wire,
)
from peerdb_operator.peerdb.transport import Operation, Patience, Reply, Request, Transport

__all__ = [
    "ConfigUpdate",
    "ListedMirror",
    "LogLevel",
    "LogRow",
    "MirrorConfig",
    "MirrorStatusReply",
    "Operation",
    "Patience",
    "PeerDBClient",
    "Progress",
    "Reply",
    "Request",
    "RequestedState",
    "Transport",
    "name_in_copies",
]

_Body = TypeVar("_Body", bound=Wire)

OLDEST_SUPPORTED = (0, 34, 6)
VERSION_PERIOD = 600.0
_RELEASE = re.compile(r"^(?:stable-)?v?(\d+)\.(\d+)\.(\d+)$")


class _KnownStatus(NamedTuple):
    reply: Reply
    body: dict[str, Any]
    status: MirrorStatusReply


class _KnownStatuses:
    """The newest full statuses of mirrors with many tables: reading one takes the event loop tens of milliseconds.

    A paused mirror is asked about twice a second, and answers the same. Together their bodies take ``most`` bytes at
    most, and what was read from them about six times as much; the one asked for longest ago goes first.
    """

    def __init__(self, worth: int = 64 * 1024, most: int = 8 * 1024 * 1024) -> None:
        self._worth, self._most, self._bytes = worth, most, 0
        self._kept: OrderedDict[str, _KnownStatus] = OrderedDict()

    def get(self, name: str) -> _KnownStatus | None:
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def put(self, name: str, known: _KnownStatus) -> None:
        before = self._kept.pop(name, None)
        self._bytes -= 0 if before is None else len(before.reply.body)
        if len(known.reply.body) < self._worth:
            return
        self._kept[name] = known
        self._bytes += len(known.reply.body)
        while self._bytes > self._most:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.reply.body)


class PeerDBClient:
    """Asks PeerDB through one transport.

    ``answered_in_a_row``: how many of its newest calls got an answer of PeerDB's own, be it a refusal. ``too_old``: why
    nothing is sent to the PeerDB whose version was read last; None if it is new enough.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known = _KnownStatuses()
        self._version_read: float | None = None
        self.answered_in_a_row = 0
        self.too_old: str | None = None

    async def status(self, name: str) -> MirrorStatusReply:
        """The state of one mirror, from PeerDB's catalog alone: works while workers are down.

        ``PeerDBNotFound`` only if PeerDB itself names this mirror as missing.
        """
        request = Request("POST", "mirrors/status", {"flowJobName": name}, operation=Operation.MIRRORS_STATUS)
        body = await self._send(request, name)
        return _status(body, name, request).to_reply()

    async def status_with_config(self, name: str, *, snapshot: bool = False) -> MirrorStatusReply:
        """The state and the live config; with ``snapshot`` also the progress of its copies.

        PeerDB asks the mirror's workflow for it and fails as a whole (``PeerDBInternal`` after some 10 s) while no
        worker answers, although the plain status works.
        """
        wanted = {
            "flowJobName": name,
            "includeFlowInfo": True,
            "excludeBatches": True,
            "excludeSnapshotStatus": not snapshot,
        }
        request = Request("POST", "mirrors/status", wanted, operation=Operation.MIRRORS_STATUS_FULL)
        known = self._known.get(name)
        reply, body = await self._exchange(request, name, known)
        if known is not None and body is known.body:
            return known.status
        read = _status(body, name, request, None if known is None else known.status.config)
        if read.cdc_status is None and read.qrep_status is None:
            raise UnexpectedReply(f"mirrors/status for mirror {name} came without cdcStatus, although it was asked for")
        status = read.to_reply()
        self._known.put(name, _KnownStatus(reply, body, status))
        return status

    async def list_mirrors(self) -> list[ListedMirror]:
        """Every mirror PeerDB has, query replication included, in no particular order."""
        request = Request("GET", "mirrors/list", operation=Operation.MIRRORS_LIST)
        return _read(ListBody, await self._send(request), request).mirrors

    async def logs(
        self, *, level: LogLevel, num_per_page: int, after_id: int = 0, before_id: int = 0, name: str = ""
    ) -> list[LogRow]:
        """Rows of PeerDB's log in PeerDB's order.

        ``name`` matches as a part of a row's name (``""``: all). Both ids 0: the newest rows. Older: ``before_id``.
        Newer: ``after_id`` together with ``before_id=-1``. A page of 0 rows is empty.
        """
        request = Request(
            "POST",
            "mirrors/logs",
            {
                "flowJobName": name,
                "level": level.value,
                "numPerPage": num_per_page,
                "afterId": after_id,
                "beforeId": before_id,
            },
            operation=Operation.MIRRORS_LOGS,
        )
        return _read(LogsBody, await self._send(request), request).errors

    async def batch_ends(self, name: str, *, limit: int) -> list[float]:
        """When those of one mirror's newest ``limit`` batches ended that have: their rows are in the destination.

        PeerDB has none for a mirror that it does not know.
        """
        wanted = {"flowJobName": name, "limit": limit}
        request = Request("POST", "mirrors/cdc/batches", wanted, operation=Operation.MIRRORS_BATCHES)
        return _read(BatchesBody, await self._send(request), request).ends()

    async def tags(self, name: str) -> dict[str, str]:
        """The tags of one mirror.

        One empty answer proves nothing: they are gone for a moment while a COMPLETED or FAILED mirror is resynced.
        """
        request = Request("GET", f"flows/tags/{quote(name, safe='')}", operation=Operation.TAGS_GET)
        body = _read(TagsBody, await self._send(request, name), request)
        _same_mirror(body.flow_name, name, request)
        return body.to_dict()

    async def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace all tags of one mirror; PeerDB ignores an empty set, so the last tag cannot be removed."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        request = Request("POST", "flows/tags", {"flowName": name, "tags": listed}, operation=Operation.TAGS_SET)
        await self._send(request, name)

    async def validate(self, connection_configs: Mapping[str, Any], *, short: bool = False) -> None:
        """Have PeerDB check a config against both databases; it changes nothing there.

        ``short`` gives up sooner, for a mirror that is paused meanwhile. ``PeerDBPreconditionFailed`` covers a wrong
        config and an unreachable database alike; ``PeerDBRejected`` a name that exists already.
        """
        patience = Patience.CHECK_SHORT if short else Patience.CHECK
        body = {"connectionConfigs": dict(connection_configs)}
        await self._send(Request("POST", "mirrors/cdc/validate", body, patience, operation=Operation.VALIDATE))

    async def change_state(
        self,
        name: str,
        state: RequestedState,
        *,
        update: ConfigUpdate | None = None,
        drop_mirror_stats: bool = False,
        skip_destination_drop: bool = False,
        closed: bool = False,
    ) -> None:
        """Ask a mirror to run (with ``update``: edited), to pause or to be dropped.

        The two flags matter to a drop only. ``closed``: the mirror was last seen FAILED or COMPLETED, where PeerDB
        drops inside the request, which may take minutes.
        """
        body: dict[str, Any] = {"flowJobName": name, "requestedFlowState": state.value}
        if update is not None:
            body["flowConfigUpdate"] = {"cdcFlowConfigUpdate": update.to_json()}
        if drop_mirror_stats:
            body["dropMirrorStats"] = True
        if skip_destination_drop:
            body["skipDestinationDrop"] = True
        patience = Patience.DROP_CLOSED if closed else Patience.PLAIN
        operation = _state_change(state, update)
        await self._exchange(Request("POST", "mirrors/state_change", body, patience, operation=operation), name)

    async def version(self) -> str:
        """PeerDB's version: a release, ``local-<sha>``, a sha or ``unknown``; not meant to be taken apart."""
        request = Request("GET", "version", operation=Operation.VERSION)
        return _read(VersionBody, await self._send(request), request).version

    async def require_supported(self, now: float) -> None:
        """Raise ``UnsupportedPeerDB`` if PeerDB is too old; the version is read anew every ten minutes."""
        if self._version_read is None or now - self._version_read >= VERSION_PERIOD:
            version = await self.version()
            self._version_read, self.too_old = now, _refusal(version)
        if self.too_old is not None:
            raise UnsupportedPeerDB(self.too_old)

    async def dynamic_settings(self) -> frozenset[str]:
        """The names of all settings that PeerDB lists; where only ClickHouse is offered, those of others are hidden."""
        request = Request("GET", "dynamic_settings", operation=Operation.DYNAMIC_SETTINGS)
        return frozenset(setting.name for setting in _read(SettingsBody, await self._send(request), request).settings)

    async def instance_status(self) -> str:
        """``READY``, ``MAINTENANCE`` or ``UNKNOWN`` (the catalog cannot be read); an open set."""
        request = Request("GET", "instance/info", operation=Operation.INSTANCE_INFO)
        return _read(InstanceBody, await self._send(request), request).status.removeprefix("INSTANCE_STATUS_")

    async def _send(self, request: Request, mirror: str | None = None) -> dict[str, Any]:
        return (await self._exchange(request, mirror))[1]

    async def _exchange(
        self, request: Request, mirror: str | None, known: _KnownStatus | None = None
    ) -> tuple[Reply, dict[str, Any]]:
        """The reply and its JSON object, that of ``known`` itself if the reply is the same."""
        try:
            reply = await self._transport.send(request)
            if known is not None and known.reply == reply:
                body = known.body
            else:
                body = body_of(reply, Target(request.path, mirror))
        except PeerDBError as error:
            self.answered_in_a_row = 0 if _is_no_answer(error) else self.answered_in_a_row + 1
            raise
        self.answered_in_a_row += 1
        return reply, body


def _is_no_answer(error: PeerDBError) -> bool:
    """Whether PeerDB did not answer, or a proxy in front of it answered instead."""
    if isinstance(error, PeerDBUnavailable):
        return not error.maintenance
    return isinstance(error, PeerDBUnauthorized | PeerDBMisconfigured | UnexpectedReply)


def _state_change(state: RequestedState, update: ConfigUpdate | None) -> Operation:
    if update is not None:  # an empty update disarms one that PeerDB has not applied yet
        return Operation.EDIT if update.to_json() else Operation.DISARM
    match state:
        case RequestedState.PAUSED:
            return Operation.PAUSE
        case RequestedState.RUNNING:
            return Operation.RESUME
        case RequestedState.TERMINATING:
            return Operation.DROP
        case _:
            assert_never(state)


def _status(body: dict[str, Any], name: str, request: Request, config: MirrorConfig | None = None) -> StatusBody:
    read = _read(StatusBody, body, request, config)
    _same_mirror(read.flow_job_name, name, request)
    return read


def _read(model: type[_Body], body: dict[str, Any], request: Request, context: object = None) -> _Body:
    try:
        return model.model_validate(body, context=context)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        places = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong[:3])
        message = f"the answer to {request.path} does not have the known shape: {places}"
        raise UnexpectedReply(message) from None


def _same_mirror(answered: str, expected: str, request: Request) -> None:
    if answered != expected:
        raise UnexpectedReply(f"{request.path} was asked about mirror {expected} and answered about another one")


def _refusal(version: str) -> str | None:
    """Why a PeerDB of this version is too old; None if it is not, or says no release."""
    match = _RELEASE.match(version)
    if match is None or tuple(int(part) for part in match.groups()) >= OLDEST_SUPPORTED:
        return None
    oldest = ".".join(str(part) for part in OLDEST_SUPPORTED)
    return (
        f"this PeerDB is {version}; the operator needs {oldest} or newer (typed errors, fixed workflow ids): upgrade it"
    )
