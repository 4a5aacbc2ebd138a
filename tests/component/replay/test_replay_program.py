"""``python -m tests.harness.replay``: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.component.replay.lines import Pencil, a_table
from tests.harness.replay.__main__ import main


def a_story(name: str, state: str = "RUNNING") -> Pencil:
    """A mirror is made, paused and looked at."""
    pencil = Pencil(name)
    pencil.create([a_table("t1")])
    pencil.ask("PAUSED", state)
    pencil.wait(9.0)
    pencil.call("mirrors/names", None, method="GET", answer={"names": ["m"]})
    pencil.call("peers/drop", {"peerName": "x"}, code=9, answer="failed to obtain peer ID for peer x: no rows")
    pencil.look("PAUSED", ["t1>public.d_t1"], batch=1000)
    return pencil


def test_it_exits_zero_with_a_line_per_scenario_when_nothing_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        a_story(name).written(tmp_path)

    status = main([str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")])

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert [line.partition(":")[0] for line in lines] == ["ok   one", "ok   two"]


def test_it_exits_one_and_names_the_step_when_a_state_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_story("one", state="PAUSED").written(tmp_path)

    status = main([str(tmp_path / "one.jsonl")])

    assert status == 1
    assert "step 2: before: m is PAUSED recorded, RUNNING simulated" in capsys.readouterr().out


def test_it_exits_two_with_a_sentence_when_a_file_is_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text("[1, 2]\n", encoding="utf-8")

    status = main([str(path)])

    assert status == 2
    assert "cannot be read as a recording" in capsys.readouterr().err


def test_it_names_lines_of_an_unknown_kind_when_it_meets_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pencil = a_story("one")
    pencil.lines.append({"scenario": "one", "step": 99, "kind": "weather"})
    pencil.written(tmp_path)

    assert main([str(tmp_path / "one.jsonl")]) == 0
    assert "1 lines of kind weather skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", 503), ("json", {"code": 9, "message": "another sentence", "details": []}),
     ("json", {"code": 2, "message": "m", "details": []}), ("json", [])],
)  # fmt: skip
def test_it_finds_a_difference_when_a_recorded_answer_is_another(tmp_path: Path, field: str, value: object) -> None:
    pencil = a_story("one")
    pencil.call("mirrors/status", {"flowJobName": "x"}, before=None, code=5, answer="flow x not found")
    response = pencil.lines[-1]["response"]
    assert isinstance(response, dict)
    response["status"] = 400 if field == "json" else value
    if field == "json":
        response["json"] = value
    scenario = pencil.written(tmp_path)

    assert main([str(tmp_path / f"{scenario.name}.jsonl")]) == 1
    assert json.loads((tmp_path / "one.jsonl").read_text(encoding="utf-8").splitlines()[0])["kind"] == "call"
