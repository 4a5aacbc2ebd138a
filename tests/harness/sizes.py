"""Net lines of the product by package: code and imports, without docstrings, comments and blank lines.

``python -m tests.harness.sizes`` prints them, the largest files last.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "operator" / "peerdb_operator"
TOP = "(top)"
_NOTHING = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def net_lines(text: str) -> int:
    """Lines of a module that say something to Python."""
    said: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NOTHING:
            said.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            said.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(said)


def by_file(package: Path = PACKAGE) -> dict[str, int]:
    """Net lines of each module, by its path in the package."""
    modules = sorted(package.rglob("*.py"))
    return {str(module.relative_to(package)): net_lines(module.read_text(encoding="utf-8")) for module in modules}


def by_package(files: dict[str, int]) -> Counter[str]:
    """The same summed by folder."""
    sums: Counter[str] = Counter()
    for path, lines in files.items():
        folder = str(Path(path).parent)
        sums[TOP if folder == "." else folder] += lines
    return sums


def main() -> None:
    """Print packages, then files."""
    files = by_file()
    for package, lines in by_package(files).most_common():
        print(f"{lines:6}  {package}")
    print(f"{sum(files.values()):6}  all, in {len(files)} files")
    print()
    for path, lines in sorted(files.items(), key=lambda item: item[1]):
        print(f"{lines:6}  {path}")


if __name__ == "__main__":
    main()
