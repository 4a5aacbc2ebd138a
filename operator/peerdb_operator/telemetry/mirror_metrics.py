"""The series of single Mirrors, written as text at once: an object for each sample costs eight times as much.

Owns the lines, which are the same in Prometheus' text and in OpenMetrics: labels in the order of their names, as
prometheus_client writes them. Leaves what stands around the lines to prometheus_client.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.utils import floatToGoString

from peerdb_operator.telemetry import families as f


@dataclass(frozen=True, slots=True)
class MirrorSample:
    """What is shown of one Mirror. ``conditions``: type to status, absent is False; ``tables``: desired, replicating.

    ``state`` and ``reason`` come from closed sets. Times are seconds since the epoch.
    """

    namespace: str
    name: str
    mirror: str
    state: str
    reason: str
    conditions: Mapping[str, str]
    tables: tuple[int, int] | None = None
    paused_since: float | None = None
    last_error_at: float | None = None


class MirrorSeries:
    """One walk through the Mirrors: their numbers, and the lines of each."""

    def __init__(self, samples: Iterable[MirrorSample]) -> None:
        self.states: Tally[str] = Tally()
        self.reasons: Tally[str] = Tally()
        self.conditions: Tally[tuple[str, str]] = Tally()
        self._lines: dict[f.Family, list[str]] = {family: [] for family in f.FAMILIES if family.per_mirror}
        mirrors = 0
        for sample in samples:
            mirrors += 1
            self.states[sample.state] += 1
            self.reasons[sample.reason] += 1
            self._write(sample)
        for kind in f.CONDITIONS:
            shown = sum(self.conditions[kind, status] for status in f.STATUSES)
            self.conditions[kind, "False"] += mirrors - shown

    def put_into(self, text: bytes) -> bytes:
        """``text`` with the lines of each family behind its ``# TYPE``."""
        for family, lines in self._lines.items():
            head = f"# TYPE {family.name} gauge\n".encode()
            text = text.replace(head, head + "".join(lines).encode(), 1)
        return text

    def _write(self, sample: MirrorSample) -> None:
        lines = self._lines
        name, namespace = escaped(sample.name), escaped(sample.namespace)
        who = f'name="{name}",namespace="{namespace}"'
        conditions = lines[f.MIRROR_CONDITION]
        for kind, status in sample.conditions.items():
            self.conditions[kind, status] += 1
            conditions.append(f'{f.MIRROR_CONDITION.name}{{{who},status="{status}",type="{kind}"}} 1.0\n')
        what = f'mirror="{escaped(sample.mirror)}",{who},reason="{sample.reason}",state="{sample.state}"'
        lines[f.MIRROR_INFO].append(f"{f.MIRROR_INFO.name}{{{what}}} 1.0\n")
        if sample.tables is not None:
            desired, replicating = sample.tables
            lines[f.MIRROR_TABLES].append(
                f'{f.MIRROR_TABLES.name}{{kind="desired",{who}}} {desired}.0\n'
                f'{f.MIRROR_TABLES.name}{{kind="replicating",{who}}} {replicating}.0\n'
            )
        for family, moment in ((f.MIRROR_STOPPED, sample.paused_since), (f.MIRROR_ERROR, sample.last_error_at)):
            if moment is not None:
                lines[family].append(f"{family.name}{{{who}}} {_number(moment)}\n")


def escaped(value: str) -> str:
    """A label's value, as it stands between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # it has no annotations
    return text
