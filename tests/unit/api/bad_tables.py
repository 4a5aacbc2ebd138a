"""Tables that must be refused, each breaking one rule.

`field` is the path that both the operator and the API server name; `server` and `operator` are parts of what they say.
"""

from tests.unit.api.cases import BadSpec, a_table, tables


def _of_table(name: str, field: str, value: object, server: str, operator: str) -> BadSpec:
    return BadSpec(name, {"tables": [a_table(**{field: value})]}, f"spec.tables[0].{field}", server, operator)


def _of_column(name: str, field: str, value: object, server: str, operator: str) -> BadSpec:
    spec = {"tables": [a_table(columns=[{"sourceName": "a", field: value}])]}
    return BadSpec(name, spec, f"spec.tables[0].columns[0].{field}", server, operator)


PLAIN = "must not contain control characters such as line breaks, nor begin or end with a blank"
SPOILED = {
    "a line break": "{}\n",
    "a line of its own": "{}\nERROR all is lost",
    "a tab": "a\t{}",
    "an escape sequence": "\x1b[31m{}",
    "a control character beyond ASCII": "a\x85{}",
    "a blank before it": " {}",
    "a blank behind it": "{} ",
}


def _spoiled() -> list[BadSpec]:
    """Names that would break a line of a log, and such that nobody can tell from others. No CEL looks into lists."""
    found = []
    for what, form in SPOILED.items():
        for field, value, server in [
            ("source", "public.orders", PLAIN),
            ("destination", "orders", PLAIN),
            ("partitionKey", "id", PLAIN),
            ("policyName", "cold", PLAIN),
            ("shardingKey", "rand()", "should match"),
            ("partitionByExpr", "toYYYYMM(at)", "should match"),
        ]:
            found.append(_of_table(f"{field} with {what}", field, form.format(value), server, PLAIN))
        excluded = {"tables": [a_table(exclude=["a", form.format("b")])]}
        found.append(
            BadSpec(f"excluded column with {what}", excluded, "spec.tables[0].exclude[1]", "should match", PLAIN)
        )
        found.append(_of_column(f"column with {what}", "destinationName", form.format("b"), "should match", PLAIN))
        source = {"tables": [a_table(columns=[{"sourceName": form.format("b")}])]}
        found.append(
            BadSpec(f"source column with {what}", source, "spec.tables[0].columns[0].sourceName", "should match", PLAIN)
        )
    return found


BAD_TABLES: list[BadSpec] = [
    *_spoiled(),
    BadSpec(
        "no tables in the list",
        {"tables": []},
        "spec.tables",
        "should have at least 1 items",
        "must have at least 1 entry",
    ),
    BadSpec(
        "too many tables",
        {"tables": tables(10_001)},
        "spec.tables",
        "must have at most 10000 items",
        "must have at most 10000 entries, got 10001",
    ),
    BadSpec(
        "tables are one name",
        {"tables": "public.orders"},
        "spec.tables",
        "must be of type array",
        'must be a list, got "public.orders"',
    ),
    BadSpec(
        "one source twice",
        {"tables": [*tables(2), {"source": "public.t0", "destination": "other"}]},
        "spec.tables",
        "key public.t0 already exists evaluating rule: each source must be listed only once",
        'has source "public.t0" twice (items 0 and 2)',
    ),
    BadSpec(
        "table without source",
        {"tables": [{"destination": "a"}]},
        "spec.tables[0].source",
        "Required value",
        "must be given",
    ),
    BadSpec(
        "table without destination",
        {"tables": [{"source": "a.b"}]},
        "spec.tables[0].destination",
        "Required value",
        "must be given",
    ),
    _of_table(
        "source without schema",
        "source",
        "orders",
        r"should match '^[^.]+\.[^.]+$'",
        'must be schema.table with exactly one dot, got "orders"',
    ),
    _of_table(
        "source with two dots",
        "source",
        "db.public.orders",
        "should match",
        "must be schema.table with exactly one dot",
    ),
    _of_table(
        "source with an empty schema", "source", ".orders", "should match", "must be schema.table with exactly one dot"
    ),
    _of_table(
        "source with an empty table", "source", "public.", "should match", "must be schema.table with exactly one dot"
    ),
    _of_table("empty source", "source", "", "should be at least 3 chars long", "must be at least 3 long"),
    _of_table(
        "endless source",
        "source",
        "a." + "b" * 255,
        "may not be more than 256 bytes",
        "must have at most 256 characters",
    ),
    _of_table("source is a number", "source", 5, "must be of type string", "must be a string, got 5"),
    _of_table("empty destination", "destination", "", "should be at least 1 chars long", "must be at least 1 long"),
    _of_table("destination with an empty part", "destination", "public.", "should match", "must be a table name"),
    _of_table(
        "endless destination",
        "destination",
        "b" * 257,
        "may not be more than 256 bytes",
        "must have at most 256 characters",
    ),
    _of_table(
        "unknown engine",
        "engine",
        "Memory",
        'supported values: "ReplacingMergeTree", "MergeTree", "NullEngine"',
        "must be ReplacingMergeTree, MergeTree",
    ),
    _of_table(
        "PeerDB's word for an engine",
        "engine",
        "CH_ENGINE_MERGE_TREE",
        "supported values",
        "must be ReplacingMergeTree, MergeTree",
    ),
    _of_table(
        "engine that YAML reads as no value",
        "engine",
        None,
        'Unsupported value: null: supported values: "ReplacingMergeTree", "MergeTree", "NullEngine"',
        "is null, as YAML reads the word Null: write NullEngine for that engine",
    ),
    _of_table("empty partition key", "partitionKey", "", "should be at least 1 chars long", "must be at least 1 long"),
    _of_table("empty sharding key", "shardingKey", "", "should be at least 1 chars long", "must be at least 1 long"),
    _of_table(
        "endless sharding key",
        "shardingKey",
        "x" * 1025,
        "may not be more than 1024 bytes",
        "must have at most 1024 characters",
    ),
    _of_table("empty storage policy", "policyName", "", "should be at least 1 chars long", "must be at least 1 long"),
    _of_table(
        "endless partition expression",
        "partitionByExpr",
        "x" * 1025,
        "may not be more than 1024 bytes",
        "must have at most 1024 characters",
    ),
    BadSpec(
        "one column excluded twice",
        {"tables": [a_table(exclude=["a", "b", "a"])]},
        "spec.tables[0].exclude",
        'Duplicate value: "a"',
        'has column "a" twice (items 0 and 2)',
    ),
    BadSpec(
        "nameless column excluded",
        {"tables": [a_table(exclude=[""])]},
        "spec.tables[0].exclude[0]",
        "should be at least 1 chars long",
        "must be at least 1 long",
    ),
    _of_table(
        "more excluded columns than a table can have",
        "exclude",
        [f"c{n}" for n in range(1601)],
        "must have at most 1600 items",
        "must have at most 1600 entries",
    ),
    BadSpec(
        "one column described twice",
        {"tables": [a_table(columns=[{"sourceName": "a"}, {"sourceName": "a"}])]},
        "spec.tables[0].columns",
        'Duplicate value: {"sourceName":"a"}',
        'has sourceName "a" twice (items 0 and 1)',
    ),
    BadSpec(
        "column without a name",
        {"tables": [a_table(columns=[{"ordering": 1}])]},
        "spec.tables[0].columns[0].sourceName",
        "Required value",
        "must be given",
    ),
    _of_column(
        "column type with a blank",
        "destinationType",
        "Decimal(38, 9)",
        "should match '^[a-zA-Z][a-zA-Z0-9(),]*$'",
        "must be a type name like Decimal(38,9)",
    ),
    _of_column("sorting place zero", "ordering", 0, "greater than or equal to 1", "must be at least 1, got 0"),
    _of_column("partition place zero", "partitioning", 0, "greater than or equal to 1", "must be at least 1, got 0"),
    _of_column(
        "nullable is a word", "nullableEnabled", "yes", "must be of type boolean", 'must be true or false, got "yes"'
    ),
    _of_column(
        "empty destination column",
        "destinationName",
        "",
        "should be at least 1 chars long",
        "must be at least 1 long",
    ),
]
