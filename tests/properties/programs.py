"""Random programs: a starting position, and actions with time between them.

Owns what is likely. Every sequence is legal, so nothing is filtered, and shrinking leaves a program that can be read:
its ``repr`` pasted into a test plays it again.
"""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.properties import actions
from tests.properties.actions import Action
from tests.properties.invariants import BrokenError
from tests.properties.stage import MIRRORS, Stage, Start, own_faults

DELAYS = (0.0, 0.05, 0.3, 0.7, 1.5, 4.0, 8.0, 20.0, 45.0, 130.0)
MOMENTS = ("PAUSING", "PAUSED", "PAUSED", "SNAPSHOT", "MODIFYING", "TERMINATING", "RUNNING")
LONGEST_MOMENT = 12.0
LASTS = (0.0, 1.0, 6.0, 20.0, 45.0, 400.0)
LETTERS = "abcd"
QUICK = Knobs(t_stop=(0.1, 0.8), t_add=(0.5, 1.0), t_snapshot=(0.5, 1.0))


@dataclass(frozen=True)
class Program:
    """What happens: each step waits so many seconds, or for the first mirror to show a state, and then acts."""

    seed: int
    starts: tuple[Start, ...]
    steps: tuple[tuple[float | str, Action], ...]
    quick: bool = False

    def play(self) -> Stage:
        """Play it to its end, in a world that must settle."""
        with own_faults() as faults:
            stage = Stage(self.seed, self.starts, QUICK if self.quick else None)
            try:
                for moment, action in self.steps:
                    _wait(stage, moment)
                    action.apply(stage)
                stage.simulation.run(1.0)
                stage.settle()
            finally:
                stage.simulation.close()
        for fault in faults:
            raise BrokenError(fault.getMessage()) from (fault.exc_info[1] if fault.exc_info else None)
        return stage


def _wait(stage: Stage, moment: float | str) -> None:
    if isinstance(moment, str):
        state = Status[moment]
        stage.simulation.run_while(lambda: stage.engine.state(MIRRORS[0]) is not state, LONGEST_MOMENT, step=0.1)
    else:
        stage.simulation.run(moment)


_pairs = st.sampled_from(
    [
        (("a", "a"),),
        (("a", "a"), ("b", "b")),
        (("a", "a"), ("b", "b"), ("c", "c")),
        (("b", "b"), ("c", "c")),
        (("a", "a"), ("c", "c")),
        (("c", "c"), ("d", "d")),
        (("a", "a"), ("d", "b")),
        (("a", "b"), ("b", "a")),
        (("a", "x"), ("b", "b")),
        (("a", "a"), ("b", "b"), ("c", "z"), ("d", "z")),
        (("d", "a"),),
        (("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")),
    ]
)
_mirror = st.sampled_from((0, 0, 0, 1))
_object = st.sampled_from((0, 0, 0, 0, 1, 2))
_spec_fields = st.sampled_from(
    [
        (("state", "Paused"),),
        (("state", "Running"),),
        (("state", "Paused"),),
        (("state", "Running"),),
        (("batchSize", 500),),
        (("batchSize", 1000),),
        (("batchSize", None),),
        (("idleTimeoutSeconds", 30),),
        (("snapshot", {"addedTables": "Skip"}),),
        (("snapshot", {"rowsPerPartition": 1000}),),
        (("snapshot", None),),
        (("settings", {"PEERDB_X": "1"}),),
        (("deletionPolicy", "Retain"),),
        (("deletionPolicy", "Drop"),),
        (("state", "Paused"), ("batchSize", 700)),
        (("snapshot", {"addedTables": "Skip"}),),
        (("drop", {"statistics": "Delete"}),),
    ]
)
_lasts = st.sampled_from(LASTS)
_grown = st.sampled_from([(("a", "a"), ("b", "b"), ("c", "c")), (("a", "a"), ("b", "b"), ("d", "d"))])
_change: st.SearchStrategy[Action] = st.one_of(
    st.builds(actions.Tag, _mirror, st.sampled_from(("", "omega/data/orders/uid", "omega/data/orders/uid"))),
    st.builds(actions.Recreate, _mirror, _pairs),
    st.builds(actions.Ask, _mirror, st.just("PAUSED")),
)
"""What somebody does to a mirror in PeerDB that makes what was seen of it before untrue."""

EDITS: list[st.SearchStrategy[Action]] = [
    st.builds(actions.WishTables, _object, st.one_of(_pairs, _pairs, _pairs, st.none())),
    st.builds(actions.WishTables, _object, _pairs, st.sampled_from(LETTERS)),
    st.builds(actions.Wish, _object, _spec_fields),
    st.builds(actions.Wish, _object, _spec_fields),
]
STATES: list[st.SearchStrategy[Action]] = [
    st.builds(actions.Ask, _mirror, st.sampled_from(("PAUSED", "RUNNING"))),
    st.builds(actions.Ask, _mirror, st.sampled_from(("PAUSED", "PAUSED", "TERMINATING", "RESYNC"))),
]
HUMANS: list[st.SearchStrategy[Action]] = [
    st.builds(actions.Overtake, _mirror),
    st.builds(actions.AskEdit, _mirror, _pairs, st.sampled_from(LETTERS), st.sampled_from((0, 0, 900))),
    st.builds(actions.AskEdit, _mirror, st.just(()), st.sampled_from((*LETTERS, "everything")), st.just(0)),
    st.builds(actions.AskEdit, _mirror, st.just(()), st.just(""), st.sampled_from((900, 901))),
    st.builds(actions.Recreate, _mirror, st.one_of(st.none(), _pairs)),
    st.builds(actions.Found, _mirror, _pairs),
    st.builds(actions.Tag, _mirror, st.sampled_from(("", "released", "omega/data/orders/uid", actions.OURS))),
    st.builds(
        actions.EditMeanwhile, _object, _grown, st.just("slow checks"), st.sampled_from((4.0, 15.0, 50.0)), _change
    ),
    st.builds(actions.EditMeanwhile, _object, _grown, st.just("kube very slow"), st.sampled_from((8.0, 16.0)), _change),
    st.builds(actions.TouchStatus, _object, st.sampled_from(("wipe", "no operation", "no bounds", "no tables"))),
    st.builds(actions.TouchStatus, _object, st.sampled_from(("odd operation", "drop operation", "ready"))),
    st.builds(actions.Annotate, _object, st.sampled_from(("freeze", "thaw", "thaw", "poke"))),
]
TROUBLE: list[st.SearchStrategy[Action]] = [
    st.builds(actions.Fault, st.sampled_from(sorted(set(actions.FAULTS) - set(actions.HEALS)))),
    st.builds(actions.Fault, st.sampled_from(sorted(actions.HEALS)), _lasts),
    st.builds(actions.Orphan, _mirror),
    st.builds(actions.Fails, _mirror),
    st.builds(actions.Fault, st.sampled_from(("traffic", "traffic", "failing normalize"))),
    st.builds(actions.OddWord, _mirror, st.sampled_from((5.0, 50.0))),
    st.builds(
        actions.Filled, st.sampled_from(((), ("c",), ("d",), ("x", "z"))), st.sampled_from(((), ("c",), ("c", "d")))
    ),
]
OPERATORS: list[st.SearchStrategy[Action]] = [
    st.builds(actions.Crash, st.integers(0, 60), st.sampled_from((0.1, 2.0, 40.0))),
    st.builds(actions.Overlap, st.sampled_from((0.0, 0.0, 1.0, 10.0))),
    st.builds(actions.Stall, st.sampled_from((1.0, 7.0, 40.0))),
    st.builds(actions.Rival, _mirror, _pairs),
]
ENDINGS: list[st.SearchStrategy[Action]] = [
    st.builds(actions.Delete, st.just(0)),
    st.builds(actions.Delete, _object),
    st.builds(actions.Delete, _object),
    st.builds(actions.Create, _object, _pairs),
    st.builds(actions.Create, _object, _pairs),
    st.builds(actions.DeleteAround, st.sampled_from(("namespace", "crd"))),
]

_starts = st.builds(
    Start,
    st.sampled_from(("RUNNING",) * 4 + ("PAUSED", "ABSENT", "SNAPSHOT", "SETUP", "COMPLETED", "FAILED", "TERMINATED")),
    _pairs,
    st.one_of(_pairs, st.none()),
    st.sampled_from((True, True, True, False)),
    st.sampled_from(("Drop", "Drop", "Retain")),
)
_one = st.builds(Start, running=st.sampled_from((True, True, True, False)), policy=st.sampled_from(("Drop", "Retain")))


Steps = tuple[tuple[float | str, Action], ...]
_fewer = st.sampled_from([(("a", "a"),), (("b", "b"),), (("a", "a"), ("c", "c")), (("b", "b"), ("d", "d"))])
_both = st.sampled_from([(("a", "a"), ("b", "b")), (("a", "a"), ("b", "b"), ("c", "c")), (("a", "a"), ("b", "b"))])
_between: st.SearchStrategy[Action] = st.sampled_from(
    [actions.Fault("lose signal"), actions.Crash(), actions.Overtake(0), actions.Stall(7.0)]
)
_removes = st.builds(actions.WishTables, st.just(0), _fewer)
_puts_back: st.SearchStrategy[Action] = st.builds(actions.WishTables, st.just(0), _both)
_soon_after: st.SearchStrategy[float | str] = st.sampled_from(("RUNNING", "RUNNING", 4.0, 8.0))


@st.composite
def _queued_edits(draw: st.DrawFn) -> Steps:
    """A removal that waits in PeerDB's queue when the spec changes once more, which seldom happens by itself."""
    begins: Steps = ((draw(st.sampled_from((8.0, 20.0))), actions.Overtake(0)), (0.0, draw(_removes)))
    stopped: Steps = (("PAUSED", actions.Annotate(0, "poke")),)
    between: Steps = ((3.0, draw(_between)),) if draw(st.booleans()) else ()
    back: Steps = ((draw(_soon_after), draw(_puts_back)),)
    more: Steps = ((draw(st.sampled_from((0.0, 0.0, 1.5))), draw(st.one_of(EDITS))),)
    return (*begins, *stopped, *between, *back, *more)


def programs(
    *kinds: list[st.SearchStrategy[Action]], most: int = 7, queues: bool = False
) -> st.SearchStrategy[Program]:
    """Programs whose actions are of these kinds, each kind as likely as the other; ``queues``: with a queued edit."""
    action: st.SearchStrategy[Action] = st.one_of([st.one_of(kind) for kind in kinds])
    step = st.tuples(st.sampled_from(DELAYS + MOMENTS), action)
    some = st.lists(step, max_size=most).map(tuple)
    # Two short lists make longer programs than one long list does, and shrink as well.
    middle = _queued_edits() if queues else st.just(())
    steps = st.builds(lambda first, queued, last: (*first, *queued, *last), some, middle, some)
    return st.builds(
        Program,
        st.integers(0, 2**16),
        st.one_of(
            st.just((Start(),)), st.just((Start(), Start())), st.lists(_starts, min_size=1, max_size=3).map(tuple)
        ),
        steps,
        st.booleans(),
    )
