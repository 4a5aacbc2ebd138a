"""What must hold of every command that reaches PeerDB: one function per invariant, I1 to I5 and the part of I8 about
commands.

Judged by what PeerDB and the API server logged, and by what the sender had been told. Each is called at the moment a
command reaches PeerDB. ``invariants_told`` has the others.
"""

from typing import NoReturn

from tests.properties.evidence import Asked, Command, Evidence, Reading, TagRead, TagWrite, spec_of, wants_running
from tests.properties.hands import SLACK, Hands, is_ours, last_edit, operation, proves

CONFIRM_GAP = 0.5
HOLDS = 5.0
PROOF_AFTER = 5.0
FORGET = 30.0
REPEAT_GAP = 4.0
RESUME_GAP = 1.0
WATCH_LAG = 10.0
OVER = {"FAILED", "TERMINATED", "COMPLETED"}


class BrokenError(AssertionError):
    """An invariant does not hold."""


def broken(name: str, why: str) -> NoReturn:
    raise BrokenError(f"{name}: {why}")


def i1_edits_rest_on_two_equal_looks(evidence: Evidence, command: Command) -> None:
    """An edit goes out only in a pass that has looked twice, half a second apart, and saw PAUSED with one and the same
    config both times. The empty update that disarms the queue is the exception: it goes out in RUNNING alone.
    """
    work = command.work
    if command.update is None or work is None:
        return
    looks = [one for one in evidence.looks(work, command.mirror) if one.state is not None]
    if not command.is_edit:
        if not looks or looks[-1].state != "RUNNING":
            broken("I1", "the queue was disarmed though the mirror was not seen RUNNING in this pass")
        return
    if len(looks) < 2:
        broken("I1", "an edit was sent without two looks in its pass")
    first, second = looks[-2:]
    if (first.state, second.state) != ("PAUSED", "PAUSED"):
        broken("I1", f"an edit was sent after looks that showed {first.state} and {second.state}")
    if first.config is None or first.config != second.config or first.created_at != second.created_at:
        broken("I1", "an edit was sent after two looks that did not show the same readable config")
    if second.call.began - first.call.began < CONFIRM_GAP - SLACK:
        broken("I1", "an edit was sent after two looks less than half a second apart")


def i2_updates_cannot_wedge_a_mirror(evidence: Evidence, command: Command) -> None:
    """No update removes what it adds, adds a source or a destination that is live, adds two sources to one
    destination, removes every table, or adds to a mirror without any.
    """
    update, work = command.update, command.work
    if not update or work is None:
        return
    looks = evidence.looks(work, command.mirror)
    live = looks[-1].config if looks else None
    if live is None:
        broken("I2", "an edit was sent without a view of the live tables")
    added = update.get("additionalTables", ())
    sources = [one["sourceTableIdentifier"] for one in added]
    destinations = [one["destinationTableIdentifier"] for one in added]
    removed = {one["sourceTableIdentifier"] for one in update.get("removedTables", ())}
    wrongs = {
        "one source is added and removed at once": bool(removed & set(sources)),
        "a live source is added": not live.tables.keys().isdisjoint(sources),
        "a live destination is added": not {mapping[0] for mapping in live.tables.values()}.isdisjoint(destinations),
        "two sources are added to one destination": len(set(destinations)) < len(destinations),
        "one source is added twice": len(set(sources)) < len(sources),
        "every live table is removed": bool(removed) and removed >= live.tables.keys(),
        "tables are added to a mirror that has none": bool(added) and not live.tables,
    }
    for wrong, so in wrongs.items():
        if so:
            broken("I2", wrong)


def i3_one_command_in_flight(evidence: Evidence, command: Command, hands: Hands) -> None:
    """A command follows another only after the first has been answered (or given up) and the mirror looked at since,
    except a resume that a pass repeats because it failed. The same pause or resume is not repeated at once, unless the
    object changed meanwhile: then the record of the first could not be written. A resume that failed is repeated after
    a second.
    """
    earlier = [one for one in evidence.before(command) if isinstance(one, Command)]
    if not earlier:
        return
    last = earlier[-1]
    if last.call.ended is None or last.call.ended > command.call.began:
        broken("I3", "a command was sent before the one before it was answered")
    patient = command.call.began - last.call.ended >= RESUME_GAP - SLACK
    again = patient and _repeats_a_failed_resume(command, last)
    if again and command.work is last.work:
        return
    since = [one for one in evidence.before(command) if isinstance(one, Reading) and one.call.began >= last.call.ended]
    if not any(one.state is not None for one in since if one.call.ended is not None):
        broken("I3", "a command was sent though nothing was seen since the one before it was answered")
    if command.wanted != last.wanted or command.is_edit or last.is_edit or command.wanted == "TERMINATING":
        return
    other = {"PAUSED": "RUNNING", "RUNNING": "PAUSED"}[command.wanted]
    changed_since_full = any(one.state not in {other, None} for one in since) or last.refused or again
    another = len({one.created_at for one in since if one.answered}) > 1
    soon = command.call.began - last.call.ended < REPEAT_GAP
    began = last.call.began if last.work is None else last.work.began
    if soon and not changed_since_full and not another and not hands.changed_by_others(command, began - WATCH_LAG):
        broken("I3", f"{command.wanted} was repeated after {command.call.began - last.call.ended:.1f} s")


def _repeats_a_failed_resume(command: Asked, earlier: Asked) -> bool:
    """Whether both ask for nothing but RUNNING, and the first of them may have failed."""
    both = [one for one in (command, earlier) if isinstance(one, Command) and one.wanted == "RUNNING"]
    return len(both) > 1 and all(one.update is None for one in both) and not earlier.answered


def i3_an_open_edit_is_waited_out(evidence: Evidence, command: Command, hands: Hands) -> None:
    """The second half of I3: what an edit did has to be seen, or its time be over, before the next command. Another
    process of the same operator may send a bare pause or resume as long as it has not been told of the edit.
    """
    edit = last_edit(evidence, command.call.who, command.mirror, before=command)
    if edit is None or edit.refused or edit.unreceived or command.work is None:
        return
    known = command.work.known
    reported = edit.call.who == command.call.who or operation(known).get("step") == "Edit"
    if not (reported or command.is_edit or command.wanted == "TERMINATING"):
        return
    if hands.touched_since(command.call.who, known, edit.at, "patch-status", "create", "remove"):
        return
    looks = [one for one in _looks_since(evidence, edit, command) if one.answered]
    if any(proves(evidence, edit, one) or one.state in OVER | {"TERMINATING", "RESYNC"} for one in looks):
        return
    if len({one.created_at for one in looks}) > 1 or hands.recreated(command.mirror, edit.at):
        return
    age = command.call.began - edit.at
    given_up = any(one.state == "RUNNING" and one.config and one.call.began - edit.at >= PROOF_AFTER for one in looks)
    stands = bool(looks) and looks[-1].state == "PAUSED" and not given_up
    if command.wanted == "TERMINATING" and age < FORGET - 1.0 and stands:
        broken("I3", f"a drop was sent {age:.1f} s after an edit that did not show yet")
    if command.wanted != "TERMINATING" and age < PROOF_AFTER - 1.0:
        broken("I3", f"{command.wanted} was sent {age:.1f} s after an edit that was neither proven nor given up")


def _looks_since(evidence: Evidence, edit: Command, command: Command) -> list[Reading]:
    family = evidence.cluster_of(command.call.who)
    return [
        one
        for one in evidence.asked
        if isinstance(one, Reading) and one.mirror == command.mirror and one.call.began >= edit.at
        if evidence.cluster_of(one.call.who) is family
    ]


def i4_drops_are_asked_for(evidence: Evidence, command: Command, hands: Hands) -> None:
    """TERMINATING goes out only for a deleted object with policy Drop, on an owner tag that is ours and was read in
    this pass, in a cluster where neither namespace nor CRD is going. No update travels with it.
    """
    work = command.work
    if work is None:
        broken("I4", "a command was sent outside of any pass")
    if command.wanted != "TERMINATING":
        return
    body = work.known
    reads = [one for one in evidence.by_pass[work.n] if isinstance(one, TagRead) and one.mirror == command.mirror]
    if "deletionTimestamp" not in body["metadata"]:
        broken("I4", "TERMINATING was sent for an object that is not being deleted")
    if spec_of(body).get("deletionPolicy", "Drop") != "Drop":
        broken("I4", "TERMINATING was sent for an object with another deletion policy")
    if not reads or not reads[-1].answered:
        broken("I4", "TERMINATING was sent without reading the owner tag in this pass")
    if not is_ours(reads[-1].owner, evidence.cluster_of(work.who), body):
        broken("I4", f"TERMINATING was sent to a mirror owned by {reads[-1].owner}")
    if command.update is not None:
        broken("I4", "an update travels with TERMINATING")
    if hands.going(work):
        broken("I4", "TERMINATING was sent though the namespace or the CRD was being deleted")


def i4_only_our_mirrors_are_touched(evidence: Evidence, command: Command) -> None:
    """Every command rests on an owner tag that was read in its pass and is ours."""
    work = command.work
    if work is None:
        return
    reads = [one for one in evidence.by_pass[work.n] if isinstance(one, TagRead) and one.mirror == command.mirror]
    if not reads or not is_ours(reads[-1].owner, evidence.cluster_of(work.who), work.known):
        broken("I4", f"{command.wanted} was sent to a mirror owned by {reads[-1].owner if reads else 'nobody knows'}")


def i4_commands_rest_on_a_fresh_observation(evidence: Evidence, command: Command | TagWrite) -> None:
    """The age bound of I4: state and owner tag were read in this pass, by requests that began after the reply to the
    last command for this object and whose answers arrived at most five seconds before the command was sent.
    """
    work = command.work
    if work is None:
        return
    wanted = command.wanted if isinstance(command, Command) else "a tag"
    for kind in (Reading, TagRead):
        reads = [one for one in evidence.by_pass[work.n] if isinstance(one, kind) and one.mirror == command.mirror]
        read = next((one for one in reversed(reads) if one.answered), None)
        if read is None or read.call.ended is None:
            broken("I4", f"{wanted} was sent without an answer to {kind.__name__} in its pass")
        age = command.call.began - read.call.ended
        if age > HOLDS + SLACK:
            broken("I4", f"{wanted} was sent {age:.1f} s after the answer to the {kind.__name__} that it rests on")
        for earlier in evidence.before(command):
            mine = earlier.work is not None and earlier.work.uid == work.uid
            if not mine or not isinstance(earlier, Command | TagWrite):
                continue
            if earlier.work is work and _repeats_a_failed_resume(command, earlier):
                continue
            if earlier.call.ended is None or earlier.call.ended > read.call.began + SLACK:
                broken("I4", f"{wanted} rests on a {kind.__name__} from before the reply to the last command")


def a_first_list_removes_nothing(command: Command) -> None:
    """Tables are removed only for a Mirror whose list was accepted before, which its status says."""
    work = command.work
    if work is None or not (command.update or {}).get("removedTables"):
        return
    if not (work.known.get("status") or {}).get("tables"):
        broken("adoption", "tables were removed for a list that was never accepted")


def i4_nothing_follows_a_drop(command: Command, hands: Hands) -> None:
    """The second half of I4: after TERMINATING nothing else is sent for the same object, by the process that sent it or
    by one that had been told of it.
    """
    work = command.work
    if work is None or command.wanted == "TERMINATING" or not hands.dropped(work, command.at):
        return
    sent_it = any(
        isinstance(one, Command) and one.wanted == "TERMINATING" and not one.refused
        for one in hands.evidence.before(command)
        if one.work is not None and one.work.uid == work.uid
    )
    if sent_it or operation(work.known).get("step") == "Drop":
        broken("I4", f"{command.wanted} was sent after TERMINATING")


def i5_a_wish_to_pause_resumes_nothing(command: Command) -> None:
    """Who wishes a mirror paused never has it resumed or edited (editing resumes). The disarm is the exception."""
    work = command.work
    if command.wanted != "RUNNING" or work is None or wants_running(work.known) or command.update == {}:
        return
    broken("I5", "RUNNING was sent although the wish is Paused")


def i5_an_edit_rests_on_the_newest_spec(evidence: Evidence, command: Command) -> None:
    """The second half of I5: the write that announces an edit proves that the spec has not changed since it was
    read.
    """
    work = command.work
    if not command.is_edit or work is None:
        return
    written = [one.after for one in evidence.changes.get(work.n, ()) if one.verb == "patch-status"]
    if written and written[-1] and written[-1]["metadata"]["generation"] != work.known["metadata"]["generation"]:
        broken("I5", "an edit was sent for a spec that had been replaced when it was announced")


def i8_edits_and_drops_are_announced(evidence: Evidence, command: Command) -> None:
    """What cannot be taken back is in the status before it is sent, so that a successor knows of it."""
    work = command.work
    if work is None or not (command.is_edit or command.wanted == "TERMINATING"):
        return
    step = "Edit" if command.is_edit else "Drop"
    written = [one.after for one in evidence.changes.get(work.n, ()) if one.verb == "patch-status"]
    if command.is_edit and not written:
        broken("I8", "an edit was sent that no status of its pass announces")
    if operation(written[-1] if written else work.known).get("step") != step:
        broken("I8", f"{step} was sent without a word in the status")


def judge_command(evidence: Evidence, command: Command, hands: Hands) -> None:
    i1_edits_rest_on_two_equal_looks(evidence, command)
    i2_updates_cannot_wedge_a_mirror(evidence, command)
    i3_one_command_in_flight(evidence, command, hands)
    i3_an_open_edit_is_waited_out(evidence, command, hands)
    i4_drops_are_asked_for(evidence, command, hands)
    i4_only_our_mirrors_are_touched(evidence, command)
    i4_commands_rest_on_a_fresh_observation(evidence, command)
    i4_nothing_follows_a_drop(command, hands)
    a_first_list_removes_nothing(command)
    i5_a_wish_to_pause_resumes_nothing(command)
    i5_an_edit_rests_on_the_newest_spec(evidence, command)
    i8_edits_and_drops_are_announced(evidence, command)
