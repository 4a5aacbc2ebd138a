"""Runs health and action scripts the way Argo CD does, in Lua 5.1.

Owns the machine (which libraries a script finds), the way objects go in and come out, and what Argo CD makes of an
answer. The rules are those of Argo CD's ``util/lua/lua.go``: a script from ``argocd-cm`` finds the base and table
libraries, ``require`` and an ``os`` that knows only ``time`` and ``date``; a script that is built in finds all of them.
What the scripts should answer is left to the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from lupa.lua51 import LuaRuntime, lua_type  # type: ignore[import-untyped]  # lupa has no types

Object = dict[str, Any]

STATUSES = frozenset({"Unknown", "Progressing", "Healthy", "Suspended", "Degraded", "Missing"})
STEPS = 1_000_000
"""Stands for Argo CD's limit of one second; counted, so that a slow machine judges alike."""

_LIMIT = f"debug.sethook(function() error('the script takes too long') end, '', {STEPS})"
_CLOSE = """
local safe = {time = os.time, date = os.date}
getmetatable("").__index = nil
for _, name in ipairs({"string", "math", "io", "debug", "coroutine", "bit", "jit"}) do
  _G[name] = nil
  package.loaded[name] = nil
end
os, package.loaded.os = safe, safe
dofile, loadfile, package.loadlib, python = nil, nil, nil, nil
package.path, package.cpath = "", ""
"""


class ScriptError(RuntimeError):
    """The script broke, or Argo CD would refuse what it returned."""


@dataclass(frozen=True, slots=True)
class Health:
    """What Argo CD shows."""

    status: str
    message: str


def run(script: str, obj: Mapping[str, Any], *, libraries: bool = False) -> object:
    """What ``script`` returns for the global ``obj``, as JSON values; raises ScriptError unless it is a table."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute(_LIMIT)
    if not libraries:
        lua.execute(_CLOSE)
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    try:
        found = lua.execute(script)
    except Exception as error:
        raise ScriptError(str(error)) from error
    if lua_type(found) != "table":
        raise ScriptError(f"expect table output from Lua script, not {lua_type(found) or type(found).__name__}")
    return _out(found)


def health(script: str, obj: Mapping[str, Any], *, libraries: bool = False) -> Health:
    """The health of an object; a status that Argo CD does not know becomes Unknown, as there."""
    found = run(script, obj, libraries=libraries)
    if not isinstance(found, dict) or found.get("status") not in STATUSES:
        return Health("Unknown", "Lua returned an invalid health status")
    return Health(str(found["status"]), str(found.get("message", "")))


def discovered(script: str, obj: Mapping[str, Any], *, libraries: bool = False) -> list[Object]:
    """The actions that the UI offers, each as Argo CD's ``ResourceAction``: name, disabled and what else is set."""
    found = run(script, obj, libraries=libraries)
    actions = found if isinstance(found, dict) else {}
    return [{"disabled": False, **(body or {}), "name": name} for name, body in actions.items()]


def acted(script: str, obj: Object, *, libraries: bool = False) -> Object:
    """The object that an action makes of ``obj``; Argo CD sends the difference as a merge patch."""
    found = run(script, obj, libraries=libraries)
    if not isinstance(found, dict):
        raise ScriptError("the action returned no object")
    return cast("Object", _mend(found, obj))


def _out(value: object) -> object:
    """A Lua value as JSON: Argo CD's encoder knows an empty table only as a list."""
    if lua_type(value) != "table":
        return value
    table: Any = value
    keys = list(table.keys())
    if not keys:
        return []
    if all(isinstance(key, str) for key in keys):
        return {key: _out(table[key]) for key in keys}
    if keys == list(range(1, len(keys) + 1)):
        return [_out(table[key]) for key in keys]
    raise ScriptError(f"a table with the keys {keys} is neither an object nor a list")


def _mend(new: object, old: object) -> object:
    """``new`` with its empty lists made objects again where ``old`` has objects (``cleanReturnedObj``)."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _mend(value, old[key]) if key in old else value for key, value in new.items()}
    if isinstance(new, list) and isinstance(old, dict) and not new:
        return old
    if isinstance(new, list) and isinstance(old, list):
        return [_mend(value, old[number]) if number < len(old) else value for number, value in enumerate(new)]
    return new
