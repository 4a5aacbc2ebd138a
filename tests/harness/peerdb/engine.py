"""A PeerDB in one process: a deterministic discrete-event model without I/O, asyncio or a wall clock.

Usage, in a test::

    engine = Engine(now=1_700_000_000.0, rng=random.Random(1), knobs=Knobs(t_stop=0.2))
    engine.put_mirror("orders", state=Status.RUNNING, tables=[Table("public.a", "a")])
    answer = engine.handle(Request("POST", "/v1/mirrors/status", b'{"flowJobName":"orders"}'))
    reply = engine.finish(answer)          # answers that come later: lets simulated time pass
    engine.run_until(engine.now + 10.0)    # pauses, copies and drops go on meanwhile
    engine.log.events                      # every request, reply, state change and signal, in order

``handle`` returns a ``Reply`` or a ``Deferred`` (see ``values``); ``Deferred.abort()`` is a client that went away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from tests.harness.peerdb import routes, ui, wire
from tests.harness.peerdb.copies import Copies
from tests.harness.peerdb.drops import Drops
from tests.harness.peerdb.edits import Edits
from tests.harness.peerdb.gojson import CodecError
from tests.harness.peerdb.hands import Hands
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.protojson import decode
from tests.harness.peerdb.reading import Reader, too_large
from tests.harness.peerdb.side_routes import SideRoutes
from tests.harness.peerdb.state_change import StateChange
from tests.harness.peerdb.validation import Validator
from tests.harness.peerdb.values import EMPTY, RESET, Answer, Base, Deferred, Reply, Request, error
from tests.harness.peerdb.workflow import Machine
from tests.harness.peerdb.world import World

EPOCH = 1_700_000_000.0
MESSAGE_LIMIT = wire.MESSAGE_LIMIT
LEAST_CALL = 0.001
CLIENT_GONE = Reply(499, b"", None)
UNAVAILABLE = Reply(503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", "text/html")
BAD_GATEWAY = Reply(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")

Handler = Callable[[Mapping[str, object]], Answer]


class Engine(Hands):
    """The simulated PeerDB. ``Hands`` adds what a person does to it from outside (put mirrors, turn knobs)."""

    def __init__(
        self, *, now: float = EPOCH, rng: Random | None = None, knobs: Knobs | None = None, password: str | None = None,
    ) -> None:  # fmt: skip
        world = World(now=now, rng=rng or Random(0), knobs=knobs or Knobs())
        machine = Machine(world)
        copies = Copies(machine)
        drops = Drops(machine, copies)
        edits = Edits(machine, copies)
        machine.begin_update, machine.continue_update = edits.begin, edits.go_on
        machine.enter_leave = drops.enter_leave
        validator = Validator(world)
        state_change = StateChange(machine, drops, validator)
        reader = Reader(world, state_change.not_found)
        side = SideRoutes(world)
        super().__init__(world, machine, copies)
        self.password = password
        self._cached_version: Reply | None = None
        self.handlers: dict[str, Handler] = {
            "state_change": state_change.handle, "status": reader.status, "list": reader.list, "logs": side.logs,
            "validate": validator.handle, "get_tags": side.get_tags, "set_tags": side.set_tags,
            "version": side.version, "instance_info": side.instance_info, "get_settings": side.get_settings,
            "set_setting": side.set_setting, "batches": world.batches.handle,
        }  # fmt: skip

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Simulated seconds since the epoch, UTC."""
        return self.world.now

    def run_until(self, moment: float) -> None:
        """Let time pass; everything due up to then happens, in order."""
        self.world.run_until(moment)

    def next_due(self) -> float | None:
        """When something happens next, or None."""
        return self.world.next_due()

    def finish(self, answer: Answer, limit: float = 3600.0) -> Reply:
        """The reply to a request, letting at most ``limit`` seconds pass; raises TimeoutError after that."""
        if isinstance(answer, Reply):
            return answer
        end = self.now + limit
        while answer.reply is None:
            due = self.next_due()
            if due is None or due > end:
                self.run_until(end)
                msg = f"no answer within {limit:g} simulated seconds"
                raise TimeoutError(msg)
            self.run_until(due)
        return answer.reply

    # -- requests ------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        """Take one request at the present moment."""
        number = self.log.request_seen(self.now, request)
        answer = self._through_ui(request) if request.base is Base.UI else self._faulty(request)
        if isinstance(answer, Deferred):
            waiting = answer
            waiting.on_reply.append(lambda reply: None if waiting.aborted else self._note(number, reply))
            waiting.on_abort.append(lambda: self._note(number, CLIENT_GONE, aborted=True))
            return waiting
        self._note(number, answer)
        return answer

    def _note(self, number: int, reply: Reply, *, aborted: bool = False) -> None:
        self.log.reply_sent(self.now, number, reply, aborted=aborted, not_simulated=routes.is_gap(reply))

    def _through_ui(self, request: Request) -> Answer:
        onward = ui.front(request, self.password, has_secret=self.knobs.ui_secret)
        if isinstance(onward, Reply):
            return onward
        if request.path == ui.CACHED and self._cached_version is not None:
            return self._cached_version
        if self.knobs.ui_upstream_down:
            return ui.NO_ANSWER
        answer = self._faulty(onward)
        if isinstance(answer, Reply):
            if request.path == ui.CACHED and answer.status == EMPTY.status:
                self._cached_version = answer
            return ui.NO_ANSWER if answer.fault is not None else ui.passed_through(request, answer)
        return self._waiting_ui(request, answer)

    def _waiting_ui(self, request: Request, upstream: Deferred) -> Deferred:
        """A client that goes away does not stop the upstream call; 300 s without an answer do."""
        seen = Deferred(due=upstream.due)
        upstream.on_reply.append(
            lambda reply: seen.resolve(ui.NO_ANSWER if reply.fault is not None else ui.passed_through(request, reply)),
        )

        def give_up() -> None:
            if upstream.reply is None:
                upstream.abort()
                seen.resolve(ui.NO_ANSWER)

        self.world.after(ui.GAVE_UP_AFTER, give_up, work=False)
        return seen

    def _faulty(self, request: Request) -> Answer:
        knobs = self.knobs
        broken = knobs.oversize or knobs.bad_gateway or knobs.reset_before or knobs.reset_after or knobs.unavailable
        if not (broken or knobs.latency) or not request.path.startswith(f"/v1/{knobs.fault_path}"):
            return self._gateway(request)
        if self._spend("reset_before"):
            return RESET
        if self._spend("bad_gateway"):
            return BAD_GATEWAY
        if knobs.unavailable and self.world.rng.random() < knobs.unavailable:
            return UNAVAILABLE
        if self._spend("oversize"):
            return too_large(MESSAGE_LIMIT + 1)
        answer = self._gateway(request)
        if self._spend("reset_after"):
            return RESET
        return self._slowly(answer, knobs.latency) if knobs.latency else answer

    def _spend(self, knob: str) -> bool:
        left = getattr(self.knobs, knob)
        if left and left is not True:
            self.world.set_knobs(self.knobs.patched({knob: left - 1}))
        return bool(left)

    def _slowly(self, answer: Answer, seconds: float) -> Deferred:
        slow = Deferred(due=self.now + seconds)

        def hand_over(reply: Reply) -> None:
            self.world.after(seconds, partial(slow.resolve, reply), work=False)

        if isinstance(answer, Reply):
            hand_over(answer)
        else:
            answer.on_reply.append(hand_over)
            slow.on_abort.append(answer.abort)
        return slow

    def _gateway(self, request: Request) -> Answer:
        found = routes.find(request)
        if isinstance(found, Reply):
            return found
        route = found.route
        if route.body is None:
            return routes.gap(request)
        try:
            is_post = request.method == "POST"
            message = decode(request.body, route.body) if is_post else routes.query_fields(request.query, route.body)
        except CodecError as refusal:
            return error(3, str(refusal))
        if len(request.body) > MESSAGE_LIMIT:
            size = wire.size(message)
            if size > MESSAGE_LIMIT:
                return too_large(size)
        if route.parameter:
            message[route.parameter] = found.parameter
        return self._within(routes.grpc_timeout(request), partial(self.handlers[route.name], message))

    def _within(self, limit: float | Reply | None, call: Callable[[], Answer]) -> Answer:
        """A ``Grpc-Timeout`` cancels the server's work when it is over."""
        late = error(4, "context deadline exceeded")
        if isinstance(limit, Reply):
            return limit
        if limit is None:
            return call()
        if limit < LEAST_CALL:
            return late
        answer = call()
        if isinstance(answer, Deferred):
            waiting = answer

            def cut() -> None:
                if waiting.reply is None:
                    waiting.abort()
                    waiting.resolve(late)

            self.world.after(limit, cut, work=False)
        return answer
