"""How far a long job is, as the control plane's own users import it; the code is `tests.harness.gotools.progress`."""

from tests.harness.gotools.progress import Progress

__all__ = ["Progress"]
