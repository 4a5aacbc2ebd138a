"""One image per test process, made the way the Dockerfile says."""

from collections.abc import Iterator

import pytest

from tests.image.installed import Image


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """What a container of the image has in ``/opt``, in a folder that nobody can write to."""
    made = Image.make()
    yield made
    made.remove()
