"""What the tests of fetching share."""

import pytest
from hostile_server import Server


@pytest.fixture
def server():
    """A local server that answers as it is told."""
    with Server() as server:
        yield server
