"""The Grafana dashboard: it can be imported anywhere, each query parses and asks for what the operator serves."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.promql import exported, metrics_of, strangers
from tests.alerts.worlds import RULES

FILE = RULES.with_name("dashboard.json")
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
VARIABLES: list[dict[str, Any]] = DASHBOARD["templating"]["list"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in SHOWN
    for target in panel["targets"]
]
GRAFANA = {"__rate_interval": "5m", "__interval": "1m", "__range": "6h"}


def filled(expression: str) -> str:
    """A query as Grafana sends it when All is chosen."""
    return re.sub(r"\$(\w+)", lambda found: GRAFANA.get(found[1], ".*"), expression)


def values_of(node: object, key: str) -> Iterator[object]:
    """Every value under a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from values_of(each, key)


def area(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """The cells of the grid that a panel covers."""
    place = panel["gridPos"]
    return set(
        itertools.product(
            range(place["x"], place["x"] + place["w"]),
            range(place["y"], place["y"] + place["h"]),
        )
    )


def test_it_can_be_imported_anywhere() -> None:
    assert DASHBOARD["id"] is None
    assert list(values_of(DASHBOARD, "__inputs")) == []
    assert {json.dumps(each) for each in values_of(DASHBOARD, "datasource")} == {
        '{"type": "prometheus", "uid": "${datasource}"}'
    }


def test_data_source_namespace_and_mirror_can_be_chosen() -> None:
    by_name = {variable["name"]: variable for variable in VARIABLES}

    assert list(by_name) == ["datasource", "job", "namespace", "name"]
    assert (by_name["datasource"]["type"], by_name["datasource"]["query"]) == ("datasource", "prometheus")
    assert all(variable["label"] and variable["description"] for variable in VARIABLES)
    assert all(variable["current"].get("value", "") in ("", ["$__all"]) for variable in VARIABLES)


def test_nothing_asks_for_a_variable_that_does_not_exist() -> None:
    known = {variable["name"] for variable in VARIABLES} | GRAFANA.keys() | {"__url_time_range", "__data"}
    named = set(re.findall(r"\$\{?(\w+)", FILE.read_text())) - {"__all"}

    assert named <= known
    assert {variable["name"] for variable in VARIABLES} <= named


def test_there_is_a_view_of_the_fleet_then_one_of_a_mirror_then_one_of_the_operator() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]

    assert [row.partition(":")[0] for row in rows] == ["Fleet", "One Mirror", "Operator"]


def test_panels_fill_the_width_from_top_to_bottom_without_a_hole_or_an_overlap() -> None:
    areas = [area(panel) for panel in PANELS]
    bottom = max(y for each in areas for _, y in each) + 1

    assert sum(len(each) for each in areas) == len(set().union(*areas))
    assert set().union(*areas) == set(itertools.product(range(24), range(bottom)))


def test_panels_are_told_apart_by_number_and_title() -> None:
    for key in ("id", "title"):
        assert len({panel[key] for panel in PANELS}) == len(PANELS)


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_this_moment_when_it_shows_one_value(panel: dict[str, Any]) -> None:
    # The newest value of a range is an old one when the series has ended, like that of a stop that is over.
    momentary = panel["type"] in {"stat", "table", "bargauge"}

    assert {(target["instant"], target["range"]) for target in panel["targets"]} == {(momentary, not momentary)}


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_seconds_are_shown_as_seconds_and_only_they(panel: dict[str, Any]) -> None:
    timed = all(re.search(r"_seconds(?!_count|_total)", target["expr"]) for target in panel["targets"])
    counted = panel["targets"][0]["expr"].startswith(("count", "sum(increase"))

    assert (panel["fieldConfig"]["defaults"]["unit"] == "s") == (timed and not counted)


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_asks_for_what_the_operator_serves(expression: str) -> None:
    assert metrics_of(filled(expression))
    assert strangers(filled(expression)) == []


@pytest.mark.parametrize("variable", VARIABLES[1:], ids=lambda variable: variable["name"])
def test_a_variable_takes_its_values_from_what_the_operator_serves(variable: dict[str, Any]) -> None:
    found = re.fullmatch(r"label_values\((.+),(\w+)\)", variable["definition"])

    assert found is not None
    assert variable["query"]["query"] == variable["definition"]
    assert strangers(f"count by ({found[2]}) ({filled(found[1])})") == []


def test_every_query_parses(promtool: Path, tmp_path: Path) -> None:
    expressions = [filled(target["expr"]) for panel in SHOWN for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": each} for number, each in enumerate(expressions)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    reported = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, check=False, timeout=300
    )

    assert reported.returncode == 0, reported.stdout + reported.stderr
    assert f"SUCCESS: {len(expressions)} rules found" in reported.stdout


def test_every_metric_of_the_operator_is_seen_on_the_dashboard_or_in_an_alert() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"]
    asked = [target["expr"] for panel in SHOWN for target in panel["targets"]]
    asked += [rule["expr"] for group in rules for rule in group["rules"]]
    seen = {re.sub(r"_(bucket|count|sum)$", "", name) for each in asked for name in metrics_of(filled(each))}
    own = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported() if name.startswith("peerdb_operator_")}

    assert own - seen == set()
