"""One version everywhere, and a changelog that says what changed."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from peerdb_operator import __version__
from tests.image.forge import Checkout
from tests.image.instructions import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^## \[(Unreleased|\d+\.\d+\.\d+)\](?: - (\d{4}-\d{2}-\d{2}))?$")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
ARGO_CD = "docs/gitops/argocd/samples/operator.yaml"
FLUX = "docs/gitops/flux/source.yaml"
RELEASED = f"## [{__version__}] - 2026-12-01"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout that is ready to be tagged."""
    made = Checkout.copy(tmp_path)
    if f"\n## [{__version__}]" not in CHANGELOG:
        made.replace("CHANGELOG.md", "## [Unreleased]", f"## [Unreleased]\n\n{RELEASED}")
    return made


def test_the_version_is_the_one_of_the_package(checkout: Checkout) -> None:
    told = checkout.run("version.sh")

    assert (told.returncode, told.stdout) == (0, f"{__version__}\n")


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "peerdb-operator" / "Chart.yaml").read_text(encoding="utf-8"))

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert [line for line in chart["annotations"]["artifacthub.io/images"].split() if line.endswith(f":{__version__}")]


def test_a_tag_is_taken_when_everything_names_its_version(checkout: Checkout) -> None:
    told = checkout.run("version.sh", f"v{__version__}")

    assert (told.returncode, told.stdout, told.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("operator/peerdb_operator/__init__.py", f'"{__version__}"', '"9.9.9"', "the tag"),
        ("charts/peerdb-operator/Chart.yaml", f"\nversion: {__version__}", "\nversion: 9.9.9", "version in"),
        ("charts/peerdb-operator/Chart.yaml", f'appVersion: "{__version__}"', 'appVersion: "9.9.9"', "appVersion in"),
        ("Dockerfile", f"ARG VERSION={__version__}", "ARG VERSION=9.9.9", "ARG VERSION"),
        (ARGO_CD, f"targetRevision: v{__version__}", "targetRevision: v9.9.9", f"the tag in {ARGO_CD}"),
        (FLUX, f"tag: v{__version__}", "tag: v9.9.9", f"the tag in {FLUX}"),
        ("CHANGELOG.md", f"## [{__version__}] - ", f"## [{__version__}] on ", "CHANGELOG.md has no section"),
    ],
)
def test_a_tag_is_refused_when_one_place_names_another_version(
    checkout: Checkout, name: str, old: str, new: str, word: str
) -> None:
    checkout.replace(name, old, new)

    told = checkout.run("version.sh", f"v{__version__}")

    assert (told.returncode, told.stdout) == (1, "")
    assert word in told.stderr


def test_the_page_on_releases_names_every_place_that_is_compared() -> None:
    page = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
    before_the_tag = page.partition("## The tag")[0]
    script = (ROOT / ".github" / "scripts" / "version.sh").read_text(encoding="utf-8")
    compared = set(re.findall(r"[\w./-]+\.(?:yaml|py)\b|Dockerfile|CHANGELOG\.md", script))

    assert {ARGO_CD, FLUX} <= compared
    assert [place for place in compared if Path(place).name not in before_the_tag] == []
    in_order = ("Set the version", "`make generate`", "`make test` passes again")
    steps = [before_the_tag.index(words) for words in in_order]
    assert sorted(steps) == steps


def test_a_tag_is_refused_when_it_is_not_the_version(checkout: Checkout) -> None:
    assert checkout.run("version.sh", "v9.9.9").returncode == 1


def test_the_notes_of_a_release_are_its_section_and_no_other(checkout: Checkout) -> None:
    checkout.replace(
        "CHANGELOG.md", "## [Unreleased]", "## [Unreleased]\n\n- later\n\n## [9.9.9] - 2026-12-24\n\n- now"
    )

    told = checkout.run("release-notes.sh", "9.9.9")

    assert (told.returncode, told.stdout.split()) == (0, ["-", "now"])


def test_a_release_without_notes_is_refused(checkout: Checkout) -> None:
    told = checkout.run("release-notes.sh", "9.9.9")

    assert told.returncode == 1
    assert "says nothing of 9.9.9" in told.stderr


def test_install_yaml_holds_its_namespace_the_definition_and_the_operator_of_this_version(helm: Path) -> None:
    environ = {"PATH": os.pathsep.join([str(helm.parent), os.environ["PATH"]]), "HOME": os.environ["HOME"]}
    script = ROOT / ".github" / "scripts" / "install-yaml.sh"
    told = subprocess.run([script], env=environ, capture_output=True, text=True, check=True, timeout=300).stdout
    objects = [each for each in yaml.safe_load_all(told) if each]
    [operator] = [each for each in objects if each["kind"] == "Deployment"]
    [container] = operator["spec"]["template"]["spec"]["containers"]

    assert objects[0]["kind"] == "Namespace"
    assert {each["metadata"].get("namespace") for each in objects} == {None, objects[0]["metadata"]["name"]}
    assert "CustomResourceDefinition" in {each["kind"] for each in objects}
    assert container["image"].endswith(f":{__version__}")
    assert {"name": "PEERDB_URL", "value": "http://flow-api.peerdb:8113"} in container["env"]
    assert told.count("http://flow-api.peerdb:8113") == 2, "once in the note at the top, once where it is to be changed"


def test_the_release_carries_what_the_script_makes() -> None:
    release = (ROOT / ".github" / "workflows" / "release.yaml").read_text(encoding="utf-8")

    assert '.github/scripts/install-yaml.sh > "$RUNNER_TEMP/install.yaml"' in release


def test_the_changelog_keeps_its_form() -> None:
    headings = [line for line in CHANGELOG.splitlines() if line.startswith("## ")]
    found = [HEADING.match(line) for line in headings]
    parts = re.split(r"^## .*$", CHANGELOG, flags=re.MULTILINE)[1:]

    assert [line for line, match in zip(headings, found, strict=True) if match is None] == []
    names = [match[1] for match in found if match]
    assert names[0] == "Unreleased"
    assert [bool(match[2]) for match in found if match] == [name != "Unreleased" for name in names]
    assert sorted(names[1:], key=lambda name: tuple(map(int, name.split("."))), reverse=True) == names[1:]
    for part in parts:
        kinds = re.findall(r"^### (.*)$", part, flags=re.MULTILINE)
        assert set(kinds) <= KINDS
        assert len(kinds) == len(set(kinds))
        assert all(
            re.search(r"^- ", body, re.MULTILINE) for body in re.split(r"^### .*$", part, flags=re.MULTILINE)[1:]
        )


def test_the_changelog_speaks_of_the_version_that_is_to_come() -> None:
    unreleased = CHANGELOG.partition("## [Unreleased]")[2].partition("\n## ")[0]

    assert __version__ in unreleased or f"\n## [{__version__}]" in CHANGELOG
