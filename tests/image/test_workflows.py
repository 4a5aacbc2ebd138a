"""The workflows of the forge: they run what exists here, with the least rights, from sources that cannot move."""

import json
import re
from pathlib import Path

import pytest

from tests.image.forge import WORKFLOWS, steps, workflow
from tests.image.instructions import ROOT, read

CI = ROOT / ".github" / "workflows" / "ci.yaml"
RELEASE = ROOT / ".github" / "workflows" / "release.yaml"
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PINNED = re.compile(r"[\w-]+/[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
REQUIRED_FILES = ("SECURITY.md", "CONTRIBUTING.md", "PULL_REQUEST_TEMPLATE.md", "CODE_OF_CONDUCT.md", "renovate.json")

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def commands(path: Path) -> str:
    return "\n".join(step["run"] for step in steps(path) if "run" in step)


@each_workflow
def test_a_workflow_runs_only_targets_and_scripts_that_exist(path: Path) -> None:
    text = commands(path)
    targets = re.findall(r"(?:^|[;&(]\s*)make ([a-z0-9-]+)", text, re.MULTILINE)
    scripts = re.findall(r"(?<![\w/])(\.(?:ci|github)/[\w./-]*\w)", text)

    assert set(targets) <= TARGETS
    assert scripts
    assert [name for name in scripts if not (ROOT / name).exists()] == []


def test_a_target_counts_as_missing_when_the_makefile_has_none() -> None:
    assert "test" in TARGETS
    assert "deploy" not in TARGETS


@each_workflow
def test_an_action_is_a_commit_whose_release_is_named(path: Path) -> None:
    used = re.findall(r"uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)

    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []


def test_an_action_has_one_commit_in_all_workflows() -> None:
    used = {step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step}

    assert len({each.partition("@")[0] for each in used}) == len(used)


@each_workflow
def test_a_job_has_a_time_limit_a_fixed_runner_and_the_least_rights(path: Path) -> None:
    whole = workflow(path)

    assert whole["permissions"] in ({}, {"contents": "read"})
    for job in whole["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert job["runs-on"] == "ubuntu-24.04"
    kept = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in kept)


@each_workflow
def test_no_command_holds_an_expression_that_somebody_else_could_fill(path: Path) -> None:
    assert "${{" not in commands(path)


def test_only_the_jobs_that_publish_may_write() -> None:
    writers = {
        (path.name, name): sorted(right for right, level in job["permissions"].items() if level == "write")
        for path in WORKFLOWS
        for name, job in workflow(path)["jobs"].items()
        if "write" in job.get("permissions", {}).values()
    }

    assert writers == {
        ("release.yaml", "image"): ["attestations", "id-token", "packages"],
        ("release.yaml", "chart"): ["attestations", "contents", "id-token", "packages"],
    }


def test_ci_runs_everything_and_the_unit_tests_on_every_python_that_is_supported() -> None:
    jobs = workflow(CI)["jobs"]
    ran = [step.get("run") for step in jobs["test"]["steps"]]

    assert ".ci/run" in ran
    assert jobs["unit"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert "pip-audit" in commands(CI)
    assert "--strict" in commands(CI)


def test_ci_asks_whether_the_image_s_packages_have_wheels_for_both_of_its_platforms() -> None:
    [asked] = [step["run"] for step in workflow(CI)["jobs"]["image"]["steps"] if "--dry-run" in step.get("run", "")]
    python = re.search(r"python:(\d+\.\d+)\.", read().arguments["BASE"])
    pushed = re.search(r"--platform (\S+)", commands(RELEASE))

    assert python is not None
    assert pushed is not None
    assert f"--python-version {python[1]} " in asked
    assert pushed[1] == "linux/amd64,linux/arm64"
    assert "for machine in x86_64 aarch64;" in asked
    assert {"--only-binary=:all:", "--require-hashes"} <= set(asked.split())
    assert {"requirements.lock", "requirements-build.lock"} <= set(re.findall(r"requirements[\w-]*\.lock", asked))


def test_a_release_attests_every_file_that_it_carries() -> None:
    chart = workflow(RELEASE)["jobs"]["chart"]["steps"]
    [made] = [step["run"] for step in chart if "gh release create" in step.get("run", "")]
    [attested] = [step["with"]["subject-path"] for step in chart if "attest-build-provenance" in step.get("uses", "")]
    version = r"\$\{\{ needs\.verify\.outputs\.version \}\}"
    names = {Path(re.sub(version, "$VERSION", line)).name for line in attested.split("\n") if line}
    carried = {Path(word.strip('"')).name for word in made.split() if word.startswith('"$RUNNER_TEMP/')}

    assert carried - {"notes.md"} == names
    assert names == {
        "peerdb-operator-$VERSION.tgz",
        "peerdb-operator-$VERSION.sbom.json",
        "mirrors.peerdb.io.yaml",
        "install.yaml",
    }


def test_ci_keeps_what_is_built_and_a_release_keeps_nothing() -> None:
    paths = " ".join(step["with"]["path"] for step in steps(CI) if step.get("uses", "").startswith("actions/cache@"))

    assert {"~/.cache/peerdb-operator", "~/.cache/pip"} <= set(paths.split())
    assert not any("cache" in str(step.get("uses", "")) for step in steps(RELEASE))


def test_a_release_publishes_only_what_was_verified_and_tested() -> None:
    jobs = workflow(RELEASE)["jobs"]
    verified = "\n".join(step.get("run", "") for step in jobs["verify"]["steps"])

    assert workflow(RELEASE)["triggers"] == {"push": {"tags": ["v*"]}}
    assert jobs["image"]["needs"] == "verify"
    assert jobs["chart"]["needs"] == ["verify", "image"]
    assert '.github/scripts/version.sh "$GITHUB_REF_NAME"' in verified
    assert ".ci/run" in verified


def test_renovate_keeps_every_lock_file_and_the_base_and_the_actions_fresh() -> None:
    rules = json.loads((ROOT / ".github" / "renovate.json").read_text(encoding="utf-8"))
    patterns = [re.compile(each.strip("/")) for each in rules["pip_requirements"]["managerFilePatterns"]]
    locks = [path.name for path in ROOT.glob("*.lock")]

    assert set(rules["enabledManagers"]) == {"dockerfile", "github-actions", "pip_requirements"}
    assert len(locks) == 4
    assert [name for name in locks if not any(each.search(name) for each in patterns)] == []


def test_the_forge_finds_its_files() -> None:
    assert [name for name in REQUIRED_FILES if not (ROOT / ".github" / name).exists()] == []
    json.loads((ROOT / ".github" / "renovate.json").read_text(encoding="utf-8"))
    contributing = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([a-z0-9-]+)", contributing)) <= TARGETS
