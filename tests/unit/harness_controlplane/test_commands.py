"""Command lines and files of a run: loopback only, credentials of its own, nothing else readable."""

import base64
import json
import re
from pathlib import Path

import pytest

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


def test_servers_keep_their_files_in_the_folder_of_the_run(tmp_path: Path) -> None:
    paths = [found for command in every_command(tmp_path) for found in re.findall(r"=(/\S+)", " ".join(command))]

    assert len(paths) >= 8
    assert all(Path(path).is_relative_to(tmp_path) for path in paths)


def test_rbac_is_on_and_pods_need_no_default_account_when_no_controllers_run(tmp_path: Path) -> None:
    with_controllers = commands.apiserver_command(PROGRAM, a_layout(tmp_path), service_accounts=True, audit=False)
    without = commands.apiserver_command(PROGRAM, a_layout(tmp_path), service_accounts=False, audit=False)

    assert "--authorization-mode=RBAC" in with_controllers
    assert set(without) - set(with_controllers) == {"--disable-admission-plugins=ServiceAccount"}


def test_signing_keys_are_p256_keys_and_never_the_same() -> None:
    pems = [commands.new_signing_key() for _ in range(20)]

    assert len(set(pems)) == len(pems)
    for pem in pems:
        lines = pem.splitlines()
        assert (lines[0], lines[-1]) == ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----")
        body = base64.b64decode("".join(lines[1:-1]))
        assert body[1] == len(body) - 2
        assert 0 < int.from_bytes(body[7:39], "big") < commands.P256_ORDER


def test_only_its_owner_can_read_a_file_with_a_secret(tmp_path: Path) -> None:
    commands.write_private(tmp_path / "secret", "s")

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_names_the_certificate_only_when_there_is_one() -> None:
    clusters = [
        json.loads(commands.kubeconfig_text("https://x", ca_file, "me", "t"))["clusters"][0]["cluster"]
        for ca_file in (Path("/ca"), None)
    ]

    assert clusters == [{"server": "https://x", "certificate-authority": "/ca"}, {"server": "https://x"}]


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


def test_an_audit_event_tells_what_was_changed_and_by_whom(tmp_path: Path) -> None:
    target = {"apiGroup": "g", "resource": "rs", "subresource": "status", "namespace": "n", "name": "m"}
    log = tmp_path / "audit.log"
    log.write_text(an_audit_line(1, "ResponseComplete", objectRef=target, user={"username": "u"}), encoding="utf-8")

    (event,) = read_events(log)

    assert (event.group, event.resource, event.subresource, event.namespace, event.name) == (
        "g",
        "rs",
        "status",
        "n",
        "m",
    )
    assert event.user == "u"
    assert event.is_write


def test_earlier_requests_are_left_out_when_a_mark_is_given(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(an_audit_line(1, "ResponseComplete"), encoding="utf-8")
    mark = log_size(log)
    with log.open("a", encoding="utf-8") as file:
        file.write(an_audit_line(2, "ResponseComplete"))

    assert [event.at for event in read_events(log, mark)] == ["2026-01-01T00:00:02.000000Z"]


@pytest.mark.parametrize("since", [0, 7])
def test_no_events_are_read_when_there_is_no_log(tmp_path: Path, since: int) -> None:
    assert read_events(tmp_path / "audit.log", since) == []
    assert log_size(tmp_path / "audit.log") == 0


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
