"""Command lines and files of a run: loopback only, credentials of its own, nothing else readable."""

import json
import re
from pathlib import Path

from tests.harness.controlplane import commands
from tests.harness.controlplane.audit import keep_logs, log_size, read_events

PROGRAM = Path("/programs/it")


def a_layout(root: Path) -> commands.Layout:
    """A run with ports 1, 2 and 3."""
    return commands.Layout(root, 1, 2, 3)


def every_command(root: Path) -> list[list[str]]:
    """Command lines of all three servers."""
    layout = a_layout(root)
    return [
        commands.etcd_command(PROGRAM, layout),
        commands.apiserver_command(PROGRAM, layout, service_accounts=False, audit=True),
        commands.controller_manager_command(PROGRAM, layout, root / "kubeconfig"),
    ]


def test_servers_listen_on_the_loopback_address_alone(tmp_path: Path) -> None:
    for command in every_command(tmp_path):
        for flag in (argument for argument in command if re.search("(listen|bind|advertise|peer|client)-", argument)):
            assert "127.0.0.1" in flag


def test_only_its_owner_can_read_a_file_with_a_secret(tmp_path: Path) -> None:
    commands.write_private(tmp_path / "secret", "s")

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def an_audit_line(number: int, stage: str, **more: object) -> str:
    """A line of an audit log."""
    at = f"2026-01-01T00:00:0{number}.000000Z"
    event = {"auditID": str(number), "stage": stage, "verb": "patch", "requestReceivedTimestamp": at, **more}
    return json.dumps(event) + "\n"


def test_a_request_counts_once_when_the_log_has_several_of_its_stages(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(
        an_audit_line(2, "ResponseStarted")
        + an_audit_line(1, "ResponseComplete", responseStatus={"code": 409}, userAgent="operator/1")
        + an_audit_line(2, "ResponseComplete")
        + '{"auditID": "3", "st',
        encoding="utf-8",
    )

    events = read_events(log)

    assert [(event.stage, event.code, event.user_agent) for event in events] == [
        ("ResponseComplete", 409, "operator/1"),
        ("ResponseComplete", 0, ""),
    ]


def test_earlier_requests_are_left_out_when_a_mark_is_given(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(an_audit_line(1, "ResponseComplete"), encoding="utf-8")
    mark = log_size(log)
    with log.open("a", encoding="utf-8") as file:
        file.write(an_audit_line(2, "ResponseComplete"))

    assert [event.at for event in read_events(log, mark)] == ["2026-01-01T00:00:02.000000Z"]


def test_the_audit_logs_and_nothing_else_outlive_a_control_plane_when_they_are_kept(tmp_path: Path) -> None:
    run, folder = tmp_path / "control-plane-1", tmp_path / "kept"
    run.mkdir()
    for name in ("audit.log", "audit-2026-11-24T00-00-00.000.log", "audit-policy.json", "etcd.log"):
        (run / name).write_text(name, encoding="utf-8")

    keep_logs(run, folder)
    keep_logs(run, folder)

    kept = {path.name: path.read_text(encoding="utf-8") for path in (folder / run.name).iterdir()}
    assert kept == {name: name for name in ("audit.log", "audit-2026-11-24T00-00-00.000.log")}
    assert {path.name for path in run.iterdir()} == {"audit-policy.json", "etcd.log"}
