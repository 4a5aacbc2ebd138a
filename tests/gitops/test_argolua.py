"""The machine that stands for Argo CD: what a script finds in it, and what becomes of its answers."""

import pytest

from peerdb_operator.mirror.status import merge_patch
from tests.harness.gitops.argolua import Health, ScriptError, acted, discovered, health, run

SHUT = [
    'return {("x"):upper()}',
    'return {string.format("x")}',
    "return {math.floor(1.5)}",
    'return {io.open("README.md")}',
    'return {os.getenv("HOME")}',
    'return {os.execute("true")}',
    'return {require("string")}',
    "return {debug.traceback()}",
    "return {coroutine.create(print)}",
    'return {dofile("README.md")}',
    'return {python.eval("1")}',
]


@pytest.mark.parametrize("script", SHUT)
def test_a_script_of_the_config_map_breaks_when_it_uses_a_library_that_is_off(script: str) -> None:
    with pytest.raises(ScriptError):
        run(script, {})


def test_a_built_in_script_finds_the_libraries_when_they_are_on() -> None:
    assert run('return {("x"):upper(), string.rep("a", 2), math.floor(1.5)}', {}, libraries=True) == ["X", "aa", 1]


def test_a_script_finds_the_clock_and_tables_when_libraries_are_off() -> None:
    found = run('local o = require("os"); return {o.date("!%Y", 0), table.concat({"a", "b"})}', {})
    assert found == ["1970", "ab"]


@pytest.mark.parametrize("libraries", [False, True])
def test_a_script_is_stopped_when_it_never_ends(libraries: bool) -> None:
    with pytest.raises(ScriptError, match="takes too long"):
        run("while true do end", {}, libraries=libraries)


@pytest.mark.parametrize("script", ["return 1", "return nil", "local a = 1", 'return "Healthy"', "return {1, x = 2}"])
def test_an_answer_is_refused_when_it_is_no_object_and_no_list(script: str) -> None:
    with pytest.raises(ScriptError):
        run(script, {})


@pytest.mark.parametrize("script", ['return {status = "Fine"}', "return {}", 'return {message = "well"}'])
def test_health_is_unknown_when_the_script_names_no_status_that_argo_cd_has(script: str) -> None:
    assert health(script, {}) == Health("Unknown", "Lua returned an invalid health status")


def test_actions_are_enabled_when_the_script_does_not_say_otherwise() -> None:
    found = discovered('return {pause = {}, resume = {disabled = true, displayName = "Go"}}', {})
    assert sorted(found, key=lambda each: str(each["name"])) == [
        {"name": "pause", "disabled": False},
        {"name": "resume", "disabled": True, "displayName": "Go"},
    ]
    assert discovered("return {}", {}) == []


def test_empty_objects_stay_objects_when_an_action_returns_the_object() -> None:
    obj = {"spec": {"settings": {}, "tables": [{"source": "a", "columns": {}}], "state": "Running"}, "list": []}
    found = acted('obj.spec.state = "Paused"; return obj', obj)
    assert merge_patch(obj, found) == {"spec": {"state": "Paused"}}


def test_an_action_is_refused_when_it_returns_no_object() -> None:
    with pytest.raises(ScriptError, match="no object"):
        acted("return {1, 2}", {})


def test_the_patch_names_what_comes_goes_and_changes_when_two_objects_differ() -> None:
    old = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1, 2], "f": 1}
    assert merge_patch(old, {"a": 1, "b": {"c": 3}, "e": [1], "g": {}}) == {
        "b": {"c": 3, "d": None},
        "e": [1],
        "f": None,
        "g": {},
    }
