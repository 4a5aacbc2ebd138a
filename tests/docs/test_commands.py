"""The commands of the documentation work as they stand there: each block is run."""

import pytest
import yaml

from tests.docs.pages import DOCS, Block, Page
from tests.docs.stage import Stage

pytestmark = pytest.mark.e2e

PAGES = ("install", "troubleshooting", "upgrade", "security", "compatibility", "runbooks")
BLOCKS = [
    pytest.param(block, id=f"{name}:{block.line}")
    for name in PAGES
    for block in Page(DOCS / f"{name}.md").blocks
    if block.language not in {"yaml", ""}
]


@pytest.fixture(scope="module", autouse=True)
def values_file(stage: Stage) -> None:
    """The file of values that the page on installing shows."""
    [shown] = [block.text for block in Page(DOCS / "install.md").blocks if block.text.startswith("# values.yaml\n")]
    assert set(yaml.safe_load(shown)) >= {"peerdb", "watchNamespaces", "settings"}
    (stage.folder / "values.yaml").write_text(shown, encoding="utf-8")


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_commands_works_when_it_is_pasted(stage: Stage, block: Block) -> None:
    assert block.language == "sh"

    done = stage.run(block.text)

    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    "wrong",
    [
        "kubectl get mirror no-such-mirror",
        'kubectl patch mirror orders-cdc --type merge --patch \'{"spec": {"state": "Stopped"}}\'',
        "kubectl logs --no-such-flag deployment/peerdb-operator",
        "helm install peerdb-operator charts/peerdb-operator --set peerdb.adress=http://flow-api:8113",
        "helm upgrade peerdb-operator charts/peerdb-operator --no-such-flag",
        "helm rollback peerdb-operator --no-such-flag",
        'curl --silent "$PEERDB/v1/no-such-route"',
        'curl --silent "$PEERDB/v1/mirrors/status" --json "{}"',
        "argocd app set mirrors --sync-policy=nobody",
        "flux suspend kustomisation mirrors",
    ],
)
def test_a_command_fails_when_it_is_wrong(stage: Stage, wrong: str) -> None:
    assert stage.run(wrong).returncode != 0
