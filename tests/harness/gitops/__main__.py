"""``python -m tests.harness.gitops``: write the files for Argo CD that follow from others."""

from tests.harness.gitops.generated import all_files

if __name__ == "__main__":
    for path, text in all_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
