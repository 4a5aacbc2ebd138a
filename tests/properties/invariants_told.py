"""What must hold of doubt, and of what is told and let go: invariants I6, I8 and I9.

Judged like the commands of ``invariants``: each function gets a request at the moment it reaches PeerDB, or a change at
the moment the API server has made it.
"""

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG, RELEASED
from peerdb_operator.api.times import parse_time
from peerdb_operator.ports import prechecked_uid
from tests.harness.fakecluster import Body, Change
from tests.harness.simulation import Pass
from tests.properties.evidence import (
    Asked,
    Check,
    Command,
    Evidence,
    Reading,
    TagRead,
    TagWrite,
    condition,
    mirror_of,
    spec_of,
    wants_running,
)
from tests.properties.hands import (
    ABSENCE_GAP,
    DOUBT_GAP,
    DROPPED_GAP,
    SLACK,
    Hands,
    is_invalid,
    is_ours,
    last_edit,
    lets_go,
    missing_twice,
    operation,
    proven_foreign,
    proven_gone,
    proves,
    takes_away,
)
from tests.properties.invariants import OVER, broken

QUIET = 29.0
AT_REST = {"Running", "RunningWithErrors", "Paused", "PausedWithPendingChanges", "Completed"}
AWAY = {"PeerDBUnavailable", "Unauthorized", "ConnectionMisconfigured", "PeerDBError", "UnexpectedReply"}
KNOWN_WORDS = {
    "SETUP", "SNAPSHOT", "RUNNING", "PAUSING", "PAUSED", "MODIFYING", "RESYNC", "TERMINATING", "TERMINATED",
    "COMPLETED", "FAILED",
}  # fmt: skip


def i6_doubt_sends_nothing(evidence: Evidence, asked: Asked) -> None:
    """A look that failed, that a 404 answered or that shows an unknown word is no ground for a command, nor a tag; a
    drop that the user asked for goes out whatever the word.
    """
    work = asked.work
    if work is None or not isinstance(asked, Command | TagWrite):
        return
    if isinstance(asked, TagWrite) and asked.owner == RELEASED:
        return
    looks = evidence.looks(work, asked.mirror)
    drops = isinstance(asked, Command) and asked.wanted == "TERMINATING"
    if not looks or looks[-1].state not in ({*KNOWN_WORDS, "UNKNOWN"} if drops else KNOWN_WORDS):
        broken("I6", f"{asked.path} was sent though the newest look of the pass taught nothing")


def i6_adoption_needs_a_missing_tag(evidence: Evidence, write: TagWrite) -> None:
    """Our tag is written only over none (read twice, five seconds apart), over "released", or over our own. Other tags
    stay as they were read.
    """
    work = write.work
    if work is None:
        return
    reads = [one for one in evidence.by_pass[work.n] if isinstance(one, TagRead) and one.mirror == write.mirror]
    if not reads or not reads[-1].answered:
        broken("I6", "an owner tag was written without reading the tags in the same pass")
    read = reads[-1]
    if {**read.others, OWNER_TAG: write.owner} != {**write.others, OWNER_TAG: write.owner}:
        broken("I6", f"the tags {read.others} became {write.others}")
    if is_ours(read.owner, evidence.cluster_of(work.who), work.known):
        return
    if write.owner == RELEASED:
        broken("I6", f"a mirror owned by {read.owner} was handed over")
    if read.owner not in {None, "", RELEASED}:
        broken("I6", f"the owner tag of {read.owner} was overwritten")
    if read.owner != RELEASED and not missing_twice(evidence, read):
        broken("I6", "a missing owner tag was believed after one look")
    if takes_away(work.known, evidence.looks(work, write.mirror)[-1]):
        broken("adoption", "a mirror was taken over by a list that takes tables away from it")


def i6_release_needs_a_reason(evidence: Evidence, change: Change, hands: Hands) -> None:
    """Our finalizer goes only for what Kubernetes says (policy, heir, namespace, CRD), because the mirror is proven
    gone, or because it is proven not ours.
    """
    work = evidence.pass_of(change)
    if work is None or not lets_go(change, FINALIZER):
        return
    body = work.known
    if "deletionTimestamp" not in body["metadata"]:
        broken("I6", "the finalizer was removed from an object that is not being deleted")
    if spec_of(body).get("deletionPolicy", "Drop") == "Retain" or is_invalid(body):
        return
    if hands.successor(work) or hands.going(work):
        return
    if not proven_gone(evidence, work, _gap(work, change, hands)) and not proven_foreign(evidence, work):
        broken("I6", "a mirror was released that is neither gone nor somebody else's, and that nobody wished to keep")


def i6_missing_needs_two_answers(evidence: Evidence, change: Change, hands: Hands) -> None:
    """MirrorNotFound is told only after two answers that name the mirror."""
    work = evidence.pass_of(change)
    if work is None or change.verb != "patch-status" or change.after is None:
        return
    if condition(change.after, "Ready").get("reason") != "MirrorNotFound":
        return
    known = condition(change.before, "Ready").get("reason") == "MirrorNotFound"
    if not known and not proven_gone(evidence, work, _gap(work, change, hands)):
        broken("I6", "MirrorNotFound was told without proof")


def i6_failed_needs_two_looks(evidence: Evidence, change: Change) -> None:
    """MirrorFailed is told only after FAILED was seen twice, five seconds apart: it flashes during table changes."""
    work = evidence.pass_of(change)
    if (
        work is None
        or change.verb != "patch-status"
        or condition(change.after, "Ready").get("reason") != "MirrorFailed"
    ):
        return
    if condition(change.before, "Ready").get("reason") == "MirrorFailed":
        return
    mirror = mirror_of(work.known)
    seen = [one.call.began for one in evidence.asked if isinstance(one, Reading) and one.mirror == mirror
            if one.call.who == change.who and one.state == "FAILED"]  # fmt: skip
    if not seen or seen[-1] - seen[0] < DOUBT_GAP - SLACK:
        broken("I6", "MirrorFailed was told after one look")


def a_short_outage_is_not_told(evidence: Evidence, change: Change) -> None:
    """That PeerDB cannot be asked is told only when it could not be for half a minute, or took no command or check."""
    work = evidence.pass_of(change)
    if work is None or change.verb != "patch-status":
        return
    synced, was = condition(change.after, "Synced"), condition(change.before, "Synced")
    if synced.get("reason") not in AWAY or synced.get("status") != "Unknown" or was.get("reason") == synced["reason"]:
        return
    asked = [one for one in evidence.asked if one.call.who == change.who and one.mirror == mirror_of(work.known)]
    lately = [one for one in asked if isinstance(one, Reading) and (one.call.ended or 0.0) > change.at - QUIET]
    checks = [one for one in evidence.asked if isinstance(one, Check) and one.work is not None]
    asked += [one for one in checks if one.work is not None and prechecked_uid(one.work.uid) == work.uid]
    refused = any(isinstance(one, Command | TagWrite | Check) and not one.answered for one in asked)
    in_part = {one.work.n for one in asked if isinstance(one, TagRead) and not one.answered and one.work is not None}
    lately = [one for one in lately if one.work is not None and one.work.n not in in_part]
    if not refused and any(one.state in KNOWN_WORDS for one in lately):
        broken("I6", f"{synced['reason']} was told although PeerDB answered a moment ago")


def _gap(work: Pass, change: Change, hands: Hands) -> float:
    """How far apart two 404s have to be; who writes a drop into the status by hand is believed."""
    dropped = hands.dropped(work, change.at) or operation(work.known).get("step") == "Drop"
    return DROPPED_GAP if dropped else ABSENCE_GAP


def i8_accepted_edits_are_proven_or_counted(evidence: Evidence, change: Change, hands: Hands) -> None:
    """An edit leaves the status only when a look has shown what became of it; one that PeerDB took and that did not
    show is counted as an attempt.
    """
    work = evidence.pass_of(change)
    if work is None or change.after is None or change.verb != "patch-status":
        return
    before, after = operation(change.before), operation(change.after)
    if before.get("step") != "Edit" or before.get("id") == after.get("id"):
        return
    mirror = mirror_of(work.known)
    edit = last_edit(evidence, change.who, mirror)
    if edit is None or edit.refused or edit.at < parse_time(before["sentAt"]) - SLACK:
        return
    by_hand = hands.touched_since(change.who, work.known, edit.at, "patch", "patch-status", "create", "delete")
    if by_hand or hands.recreated(mirror, edit.at) or proven_foreign(evidence, work):
        return
    looks = [
        one
        for one in evidence.asked
        if isinstance(one, Reading)
        and one.mirror == mirror
        and one.call.who == change.who
        and one.call.began >= edit.at
    ]
    if any(one.gone or proves(evidence, edit, one) or one.state in OVER for one in looks):
        return
    if not any(one.config is not None and one.state in {"RUNNING", "PAUSED"} for one in looks):
        if wants_running(work.known) and "deletionTimestamp" not in work.known["metadata"]:
            broken("I8", "an edit was forgotten that no look has judged")
        return
    bounds = (change.after.get("status") or {}).get("bounds") or {}
    if edit.answered and edit.call.who == change.who and not bounds.get("attempts"):
        broken("I8", "an accepted edit did not show and was not counted")


def i9_conditions_are_consistent(evidence: Evidence, change: Change) -> None:
    """Reconciling and Stalled are never true together, and a transition time moves only with its status."""
    if evidence.pass_of(change) is None or change.verb != "patch-status" or change.after is None:
        return
    kinds = [one["type"] for one in change.after["status"].get("conditions") or []]
    if all(condition(change.after, kind).get("status") == "True" for kind in ("Reconciling", "Stalled")):
        broken("I9", "Reconciling and Stalled at once")
    for kind in kinds:
        was, now = condition(change.before, kind), condition(change.after, kind)
        if was.get("status") == now["status"] and was.get("lastTransitionTime") != now["lastTransitionTime"]:
            broken("I9", f"lastTransitionTime of {kind} moved though its status did not")


def i9_ready_speaks_of_what_was_evaluated(evidence: Evidence, change: Change) -> None:
    """Ready=True is only told of a generation that the pass knew, on a look of that pass that shows the state; of a new
    generation only on a look that shows the config.
    """
    work = evidence.pass_of(change)
    if work is None or change.verb != "patch-status" or change.after is None:
        return
    generation = work.known["metadata"]["generation"]
    if change.after["status"].get("observedGeneration", -1) > generation and operation(change.before) == {}:
        claimed = (change.before or {}).get("status", {}).get("observedGeneration")
        if change.after["status"]["observedGeneration"] != claimed:
            broken("I9", "a generation was called observed that the pass did not know")
    ready, was = condition(change.after, "Ready"), condition(change.before, "Ready")
    if ready.get("status") != "True" or ready == was:
        return
    claims_more = ready.get("observedGeneration") != was.get("observedGeneration") or was.get("status") != "True"
    if claims_more and ready.get("observedGeneration") != generation:
        broken("I9", f"Ready=True of generation {ready.get('observedGeneration')} in a pass that did not evaluate it")
    _fits_the_look(evidence, work, ready, claims_more=claims_more)


def _fits_the_look(evidence: Evidence, work: Pass, ready: Body, *, claims_more: bool) -> None:
    looks = [one for one in evidence.looks(work, mirror_of(work.known)) if one.state is not None]
    words = {"Running": "RUNNING", "RunningWithErrors": "RUNNING", "Completed": "COMPLETED"}
    state = words.get(ready["reason"], "PAUSED")
    if ready["reason"] in AT_REST and (not looks or looks[-1].state != state):
        seen = looks[-1].state if looks else "nothing"
        broken("I9", f"Ready=True/{ready['reason']} was told after a look that showed {seen}")
    if claims_more and not any(one.config is not None for one in looks):
        broken("I9", "Ready=True was told of a new generation without a look at the config")
