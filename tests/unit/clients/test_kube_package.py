"""What importing the operator brings into memory, each seen in a process of its own."""

import subprocess
import sys

UNUSED = (
    "httpcore",
    "rich",
    "pygments",
    "requests",
    "oauthlib",
    "websocket",
    "kubernetes.dynamic",
    "kubernetes.watch",
    "kubernetes.aio.dynamic",
)


def said_by(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_the_operator_imports_no_package_that_it_does_not_use() -> None:
    program = f"import sys, peerdb_operator.__main__; print(*set({UNUSED}) & sys.modules.keys())"

    assert said_by(program) == ""


def test_who_wants_another_part_of_kubernetes_later_gets_it() -> None:
    program = (
        "import peerdb_operator.kube.package, kubernetes.dynamic, kubernetes.client, kubernetes.aio.watch; "
        "print(kubernetes.dynamic.DynamicClient.__name__, kubernetes.client.CoreV1Api.__name__, "
        "kubernetes.aio.client.CoreV1Api.__name__, kubernetes.aio.watch.Watch.__name__)"
    )

    assert said_by(program) == "DynamicClient CoreV1Api CoreV1Api Watch"


def test_a_package_that_is_imported_already_is_left_alone() -> None:
    program = "import kubernetes.aio; import peerdb_operator.kube.package; print(kubernetes.aio.watch.__name__)"

    assert said_by(program) == "kubernetes.aio.watch"
