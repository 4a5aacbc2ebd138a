"""Where there are no recordings of a real PeerDB, their tests are not collected; ``tests/conftest.py`` says so."""

from __future__ import annotations

from tests.component.replay.folder import recordings

collect_ignore = [] if recordings() else ["test_recordings.py"]
