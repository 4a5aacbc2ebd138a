"""Command lines and files of a run: loopback only, credentials of its own, nothing else readable."""

import json
import re
from pathlib import Path

from tests.harness.controlplane import commands
from tests.harness.controlplane.audit import read_events

PROGRAM = Path("/programs/it")


def a_layout(root: Path) -> commands.Layout:
    """A run with ports 1, 2 and 3."""
    return commands.Layout(root, 1, 2, 3)


def every_command(root: Path) -> list[list[str]]:
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
