"""The commands of the documentation work as they stand there: each block is run."""

import pytest
import yaml

from tests.docs.pages import DOCS, Block, Page, all_pages
from tests.docs.stage import Stage

pytestmark = pytest.mark.e2e

ELSEWHERE = {
    "README.md": "test_readme_commands.py has a test for each of its lines",
    "docs/release.md": "only a maintainer can push a tag; the scripts and the workflow are tested in tests/image",
}
NO_SHELL = {"", "yaml", "json", "text", "mermaid"}
PAGES = [page for page in all_pages() if page.name not in ELSEWHERE]
BLOCKS = [
    pytest.param(block, id=f"{page.name}:{block.line}")
    for page in PAGES
    for block in page.blocks
    if block.language not in NO_SHELL
]


@pytest.fixture(scope="module", autouse=True)
def argocd(stage: Stage) -> None:
    """Argo CD's ConfigMap, to which the page on it adds keys."""
    stage.cluster.kubectl("create", "configmap", "argocd-cm", "--namespace=argocd", check=False)


@pytest.fixture(scope="module", autouse=True)
def values_file(stage: Stage) -> None:
    """The first file of values that the page on installing shows: the one it installs with."""
    shown, *_ = [block.text for block in Page(DOCS / "install.md").blocks if block.text.startswith("# values.yaml\n")]
    assert set(yaml.safe_load(shown)) >= {"peerdb", "watchNamespaces", "settings"}
    (stage.folder / "values.yaml").write_text(shown, encoding="utf-8")


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_commands_works_when_it_is_pasted(stage: Stage, block: Block) -> None:
    assert block.language == "sh"

    done = stage.run(block.text)

    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"


def test_a_page_is_left_out_only_when_it_is_there_and_another_test_has_it() -> None:
    assert set(ELSEWHERE) <= {page.name for page in all_pages()}
    assert "docs/gitops/README.md" in {page.name for page in PAGES}


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
