"""The sample Mirrors in the documentation are specs that work."""

from pathlib import Path

import pytest
import yaml

from peerdb_operator.api import constants
from peerdb_operator.api.mirror import DeletionPolicy, RunState, mirror_name_of, parse_spec

SAMPLES = sorted((Path(__file__).parents[3] / "docs" / "samples").glob("*.yaml"))


def test_there_are_samples_when_the_documentation_shows_some() -> None:
    assert [path.stem for path in SAMPLES] == ["orders", "retain", "run-state-only"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_read_without_loss_when_it_is_applied(path: Path) -> None:
    sample = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert (sample["apiVersion"], sample["kind"]) == (constants.API_VERSION, constants.KIND)
    spec = parse_spec(sample["spec"])
    assert spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True) == sample["spec"]
    assert mirror_name_of(sample["metadata"]["name"], spec)


def test_the_samples_show_what_they_are_named_after_when_they_are_read() -> None:
    specs = {path.stem: parse_spec(yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]) for path in SAMPLES}
    assert {spec.state for spec in specs.values()} == {RunState.RUNNING}
    assert specs["run-state-only"].tables is None
    assert specs["retain"].deletion_policy is DeletionPolicy.RETAIN
    assert [table.exclude for table in specs["orders"].tables or []] == [("card_number",), None]
