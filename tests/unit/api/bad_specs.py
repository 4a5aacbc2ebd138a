"""Specs that must be refused, each breaking one rule; those about tables come from beside.

`field` is the path that both the operator and the API server name; `server` and `operator` are parts of what they say.
"""

from tests.unit.api.bad_tables import BAD_TABLES, PLAIN, SPOILED
from tests.unit.api.cases import BadSpec


def _counts() -> list[BadSpec]:
    """Zero means "unchanged" to PeerDB, so no live setting may be zero."""
    found = []
    for path, highest in [
        ("batchSize", 4294967295),
        ("idleTimeoutSeconds", 86400),
        ("snapshot.rowsPerPartition", 4294967295),
        ("snapshot.partitionsOverride", 4294967295),
        ("snapshot.maxParallelWorkers", 4294967295),
        ("snapshot.tablesInParallel", 4294967295),
    ]:
        for what, value, server, operator in [
            ("zero", 0, "greater than or equal to 1", "must be at least 1, got 0"),
            ("negative", -1, "greater than or equal to 1", "must be at least 1, got -1"),
            ("too large", highest + 1, f"less than or equal to {highest}", f"must be at most {highest}"),
            ("a string", "5", "must be of type integer", 'must be a whole number, got "5"'),
        ]:
            block, _, leaf = path.rpartition(".")
            spec = {block: {leaf: value}} if block else {leaf: value}
            found.append(BadSpec(f"{path} is {what}", spec, f"spec.{path}", server, operator))
    return found


BAD_SPECS: list[BadSpec] = [
    BadSpec(
        "unknown state",
        {"state": "running"},
        "spec.state",
        'supported values: "Running", "Paused"',
        "must be Running or Paused",
    ),
    BadSpec(
        "unknown deletion policy",
        {"deletionPolicy": "Delete"},
        "spec.deletionPolicy",
        '"Drop", "Retain"',
        "must be Drop or Retain",
    ),
    BadSpec(
        "unknown drop choice",
        {"drop": {"statistics": "Drop"}},
        "spec.drop.statistics",
        '"Keep", "Delete"',
        "must be Keep or Delete",
    ),
    BadSpec(
        "unknown choice for destination metadata",
        {"drop": {"destinationMetadata": "Retain"}},
        "spec.drop.destinationMetadata",
        '"Delete", "Keep"',
        "must be Delete or Keep",
    ),
    BadSpec(
        "unknown treatment of added tables",
        {"snapshot": {"addedTables": "Copy"}},
        "spec.snapshot.addedTables",
        '"Snapshot", "Skip"',
        "must be Snapshot or Skip",
    ),
    *_counts(),
    BadSpec(
        "fraction", {"batchSize": 1.5}, "spec.batchSize", "must be of type integer", "must be a whole number, got 1.5"
    ),
    BadSpec(
        "settings name in lower case",
        {"settings": {"OK": "1", "lower": "1"}},
        "spec.settings",
        'key "lower" must match ^[A-Z][A-Z0-9_]{0,127}$',
        "lower: is no setting's name",
    ),
    BadSpec(
        "endless settings name", {"settings": {"A" * 129: "1"}}, "spec.settings", "must match", "is no setting's name"
    ),
    BadSpec(
        "settings value is a number",
        {"settings": {"A": 1}},
        "spec.settings.A",
        "must be of type string",
        "must be a string, got a number",
    ),
    BadSpec(
        "endless settings value",
        {"settings": {"A": "x" * 1025}},
        "spec.settings.A",
        "may not be more than 1024 bytes",
        "must have at most 1024 characters",
    ),
    *(
        BadSpec(
            f"settings value with {what}",
            {"settings": {"OK": "1 000", "PEERDB_A": form.format("x")}},
            "spec.settings",
            f"the value of PEERDB_A {PLAIN}",
            f".PEERDB_A: {PLAIN}, got a string",
        )
        for what, form in SPOILED.items()
    ),
    BadSpec(
        "settings name with a line break",
        {"settings": {"A\nERROR": "1"}},
        "spec.settings",
        "must match",
        "spec.settings.A\\nERROR: is no setting's name",
    ),
    BadSpec(
        "too many settings",
        {"settings": {f"A{n}": "1" for n in range(65)}},
        "spec.settings",
        "must have at most 64 items",
        "must have at most 64 entries",
    ),
    *(
        BadSpec(
            f"mirror name {what}",
            {"mirrorName": name},
            "spec.mirrorName",
            "should match '^[A-Za-z_][A-Za-z0-9_.-]*$'",
            "must begin with a letter or _ and go on with letters, digits, _, - and .",
        )
        for what, name in [
            ("that begins with a digit", "1st"),
            ("that begins with a dash", "-orders"),
            ("that is a step up in a path", ".."),
            ("with a slash", "orders/cdc"),
            ("with a blank", "orders cdc"),
            ("with an escape of a path", "orders%2Fcdc"),
            ("with a letter beyond ASCII", "bestände"),
            ("with a line break at its end", "orders\n"),
        ]
    ),
    BadSpec(
        "empty mirror name",
        {"mirrorName": ""},
        "spec.mirrorName",
        "should be at least 1 chars long",
        "must be at least 1 long",
    ),
    BadSpec(
        "mirror name longer than PeerDB can keep",
        {"mirrorName": "m" * 256},
        "spec.mirrorName",
        "may not be more than 255 bytes",
        "must have at most 255 characters",
    ),
    *BAD_TABLES,
]
