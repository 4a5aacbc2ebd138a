"""What a real API server admits, refuses and fills in once the generated CRD is installed.

The same bad specs break the run-time models in `tests/unit/api`; here the server has to refuse them in words that name
the field and the rule, through kubectl, as users meet them.
"""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from peerdb_operator.api import constants
from peerdb_operator.api.status import read_status
from tests.e2e.mirrors import NAMESPACE, Object, a_mirror, apply, create, patch_status, read
from tests.harness.controlplane.launch import ControlPlane
from tests.unit.api.bad_specs import BAD_SPECS
from tests.unit.api.cases import BAD_NAMES, GOOD_NAMES, GOOD_SPECS, BadSpec, GoodSpec, a_table, tables
from tests.unit.api.test_status import WHOLE

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CRD_FILE = ROOT / "crds" / "mirrors.peerdb.io.yaml"
SAMPLES = sorted((ROOT / "docs" / "samples").glob("*.yaml"))
CRD_NAME = f"{constants.PLURAL}.{constants.GROUP}"


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """An API server that serves the kind, and a namespace of our own in it."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD_FILE))
    control_plane.wait_established(CRD_NAME)
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(_NAMESPACE))
    yield control_plane
    control_plane.kubectl("delete", constants.PLURAL, "--all", f"--namespace={NAMESPACE}")
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


_NUMBERS = itertools.count(1)
_NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


@pytest.fixture
def mirror(cluster: ControlPlane) -> Iterator[str]:
    """The name of a Mirror that exists for one test, with nothing in its spec."""
    name = f"empty-{next(_NUMBERS)}"
    assert create(cluster, a_mirror({}, name)).returncode == 0
    yield name
    cluster.kubectl("delete", constants.PLURAL, name, f"--namespace={NAMESPACE}")


def said(refused: subprocess.CompletedProcess[str]) -> str:
    """The words of a refusal, without the types of Go that older API servers put before a value."""
    return re.sub(r'map\[string\]interface \{\}|"object": ', "", refused.stderr)


def try_all(cluster: ControlPlane, cases: Sequence[BadSpec | GoodSpec]) -> subprocess.CompletedProcess[str]:
    """``kubectl create`` of all of them at once, named case-0 and so on: the specs as admitted, one a line."""
    wishes = "---\n".join(json.dumps(a_mirror(case.spec, f"case-{n}")) + "\n" for n, case in enumerate(cases))
    tries = ("create", "--validate=strict", "--dry-run=server", '--output=jsonpath={.spec}{"\\n"}', "-f", "-")
    return cluster.kubectl(*tries, input=wishes, check=False)


@pytest.fixture(scope="module")
def refusals(cluster: ControlPlane) -> dict[str, str]:
    """What is said of each bad spec."""
    words = said(try_all(cluster, BAD_SPECS))
    found = re.findall(r'"case-(\d+)" is invalid: (.*?)(?=\nError from server|\Z)', words, re.DOTALL)
    return {BAD_SPECS[int(number)].name: refusal for number, refusal in found}


@pytest.mark.parametrize("case", BAD_SPECS, ids=lambda case: case.name)
def test_a_spec_is_refused_with_field_and_rule_when_it_breaks_one_rule(
    refusals: Mapping[str, str], case: BadSpec
) -> None:
    assert case.field in refusals[case.name]
    assert case.server in refusals[case.name]


def test_a_spec_is_admitted_as_written_when_it_breaks_no_rule(cluster: ControlPlane) -> None:
    admitted = try_all(cluster, GOOD_SPECS)
    assert admitted.returncode == 0, admitted.stderr
    specs = [json.loads(line) for line in admitted.stdout.splitlines()]
    for case, spec in zip(GOOD_SPECS, specs, strict=True):
        assert {key: spec[key] for key in case.spec} == case.spec, case.name


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_admitted_when_unknown_fields_are_refused(cluster: ControlPlane, path: Path) -> None:
    sample = cluster.kubectl(
        "create", "--validate=strict", "--dry-run=server", f"--namespace={NAMESPACE}", "-f", str(path), check=False
    )
    assert sample.returncode == 0, sample.stderr


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_is_refused_when_it_maps_to_no_legal_mirror_name(cluster: ControlPlane, name: str) -> None:
    refused = create(cluster, a_mirror({}, name), "--dry-run=server")
    assert refused.returncode != 0
    assert (
        "metadata.name must map to a legal mirror name: at most 49 characters, beginning with a letter"
        in refused.stderr
    )
    assert create(cluster, a_mirror({"mirrorName": "given"}, name), "--dry-run=server").returncode == 0


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_is_admitted_when_it_maps_to_a_legal_mirror_name(cluster: ControlPlane, name: str) -> None:
    admitted = create(cluster, a_mirror({}, name), "--dry-run=server")
    assert admitted.returncode == 0, admitted.stderr


def test_an_object_is_refused_when_it_has_no_spec(cluster: ControlPlane) -> None:
    wish = a_mirror({})
    del wish["spec"]
    refused = create(cluster, wish, "--dry-run=server")
    assert refused.returncode != 0
    assert "spec: Required value" in refused.stderr


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resync": {}}, "spec.resync"),
        ({"batch_size": 5}, "spec.batch_size"),
        ({"tables": [a_table(excluded=["a"])]}, "spec.tables[0].excluded"),
        ({"drop": {"everything": "Delete"}}, "spec.drop.everything"),
    ],
)
def test_an_unknown_field_is_refused_when_validation_is_strict(
    cluster: ControlPlane, spec: Mapping[str, Any], field: str
) -> None:
    refused = create(cluster, a_mirror(spec), "--dry-run=server")
    assert refused.returncode != 0
    assert f'unknown field "{field}"' in refused.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [({"mirrorName": "one"}, {"mirrorName": "two"}), ({}, {"mirrorName": "one"}), ({"mirrorName": "one"}, {})],
    ids=["changed", "set later", "removed"],
)
def test_the_mirror_name_stays_as_it_was_created_when_somebody_edits_it(
    cluster: ControlPlane, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    assert create(cluster, a_mirror(before, "fixed-name")).returncode == 0
    try:
        refused = cluster.kubectl("replace", "-f", "-", input=json.dumps(a_mirror(after, "fixed-name")), check=False)
        assert refused.returncode != 0
        assert "spec: Invalid value: mirrorName must not be changed, set or removed later" in said(refused)
        other = a_mirror({**before, "state": "Paused", "deletionPolicy": "Retain"}, "fixed-name")
        assert cluster.kubectl("replace", "-f", "-", input=json.dumps(other), check=False).returncode == 0
    finally:
        cluster.kubectl("delete", constants.PLURAL, "fixed-name", f"--namespace={NAMESPACE}")


def test_the_documented_defaults_appear_and_no_others_when_an_object_is_created(
    cluster: ControlPlane, mirror: str
) -> None:
    created = read(cluster, mirror)
    assert created["spec"] == {"state": "Running", "deletionPolicy": "Drop"}
    assert created["status"] == {"observedGeneration": -1}


def test_nothing_is_filled_into_tables_when_they_are_created(cluster: ControlPlane) -> None:
    wish = a_mirror({"tables": [a_table(columns=[{"sourceName": "a"}])], "snapshot": {}, "drop": {}})
    admitted = json.loads(create(cluster, wish, "--dry-run=server", "--output=json").stdout)["spec"]
    assert admitted["tables"] == wish["spec"]["tables"]
    assert admitted["snapshot"] == {}
    assert admitted["drop"] == {"statistics": "Keep", "destinationMetadata": "Delete"}


def test_the_default_of_status_comes_back_when_status_is_wiped(cluster: ControlPlane, mirror: str) -> None:
    assert patch_status(cluster, mirror, {"observedGeneration": 3, "state": "Running"}).returncode == 0
    assert patch_status(cluster, mirror, None).returncode == 0
    assert read(cluster, mirror)["status"] == {"observedGeneration": -1}


def test_a_whole_status_is_kept_and_moves_no_generation_when_it_is_written(cluster: ControlPlane, mirror: str) -> None:
    written = patch_status(cluster, mirror, WHOLE.as_wire())
    assert written.returncode == 0, written.stderr
    found = read(cluster, mirror)
    assert found["status"] == WHOLE.as_wire()
    assert read_status(found["status"]) == WHOLE
    assert found["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("status", "field", "says"),
    [
        ({"tables": {"pending": ["t"] * 21}}, "status.tables.pending", "at most 20 items"),
        ({"tables": {"desired": -1}}, "status.tables.desired", "greater than or equal to 0"),
        ({"lastError": {"message": "x"}}, "status.lastError.time", "Required value"),
        ({"stateSince": "yesterday"}, "status.stateSince", "date-time"),
        ({"conditions": [{"type": "Ready"}]}, "status.conditions[0].reason", "Required value"),
        ({"operation": {"id": "x"}}, "status.operation.step", "Required value"),
    ],
)
def test_a_status_is_refused_when_it_has_another_shape(
    cluster: ControlPlane, mirror: str, status: Object, field: str, says: str
) -> None:
    refused = patch_status(cluster, mirror, status)
    assert refused.returncode != 0
    assert field in refused.stderr
    assert says in refused.stderr


def test_two_conditions_of_one_type_are_refused_when_status_is_written(cluster: ControlPlane, mirror: str) -> None:
    ready = WHOLE.as_wire()["conditions"][0]
    refused = patch_status(cluster, mirror, {"conditions": [ready, {**ready, "status": "True"}]})
    assert refused.returncode != 0
    assert 'status.conditions[1]: Duplicate value: {"type":"Ready"}' in said(refused)


def test_the_list_shows_wish_state_and_reason_when_mirrors_are_listed(cluster: ControlPlane, mirror: str) -> None:
    assert patch_status(cluster, mirror, WHOLE.as_wire()).returncode == 0
    short = cluster.kubectl("get", constants.SHORT, mirror, f"--namespace={NAMESPACE}").stdout.splitlines()
    assert short[0].split() == ["NAME", "DESIRED", "STATE", "READY", "REASON", "TABLES", "AGE"]
    assert short[1].split()[:-1] == [mirror, "Running", "Pausing", "Unknown", "Editing", "4/5"]
    wide = cluster.kubectl("get", constants.CATEGORY, f"--namespace={NAMESPACE}", "--output=wide").stdout.splitlines()
    assert wide[0].split()[6:9] == ["MIRROR", "DELETION", "MESSAGE"]
    assert "orders_cdc   Drop       adding public.invoices" in wide[1]


@pytest.mark.parametrize("path", ["mirror", "mirror.spec.tables.columns", "mirror.status.operation"])
def test_every_field_is_explained_when_kubectl_is_asked(cluster: ControlPlane, path: str) -> None:
    explained = cluster.kubectl("explain", path).stdout
    assert "<no description>" not in explained.partition("FIELDS")[2].replace("ObjectMeta", "")


def test_the_schema_is_structural_and_accepted_when_the_crd_is_installed(cluster: ControlPlane) -> None:
    installed = json.loads(cluster.kubectl("get", "crd", CRD_NAME, "--output=json").stdout)
    conditions = {each["type"]: each["status"] for each in installed["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    strict = cluster.kubectl("replace", "--dry-run=server", "--validate=strict", "-f", str(CRD_FILE), check=False)
    assert strict.returncode == 0, strict.stderr


def test_rules_stay_below_the_cost_budget_when_three_times_as_many_tables_are_allowed(cluster: ControlPlane) -> None:
    crd = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8").replace(constants.GROUP, "budget.example.org"))
    found = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["tables"]
    found["maxItems"] *= 3  # what looks at each character of two names of each table costs a third of the budget
    accepted = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(crd), check=False)
    assert accepted.returncode == 0, accepted.stderr
    found["maxItems"] *= 100
    refused = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(crd), check=False)
    assert "estimated rule cost exceeds budget" in refused.stderr


def test_all_tables_are_kept_and_edited_when_a_mirror_is_as_large_as_it_may_be(cluster: ControlPlane) -> None:
    name = "large"
    listed = tables(10_000)
    try:
        assert apply(cluster, a_mirror({"tables": listed}, name)).returncode == 0
        edited = [*listed[1:], {"source": "public.new", "destination": "new"}]
        assert apply(cluster, a_mirror({"tables": edited}, name)).returncode == 0
        assert patch_status(cluster, name, {"observedGeneration": 2, "state": "Running"}).returncode == 0
        found = read(cluster, name)
        assert found["spec"]["tables"] == edited
        assert found["metadata"]["generation"] == 2
        assert len(json.dumps(found["metadata"].get("annotations", {}))) < 4096
        twice = apply(cluster, a_mirror({"tables": [*listed[1:], listed[1]]}, name))
        assert "key public.t1 already exists evaluating rule: each source must be listed only once" in twice.stderr
    finally:
        cluster.kubectl("delete", constants.PLURAL, name, f"--namespace={NAMESPACE}", "--ignore-not-found")
