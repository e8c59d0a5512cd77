"""What runs of `khulasa job run` are given."""

import pytest

from tests.conftest import Stack


@pytest.fixture
def gateway(stack: Stack) -> str:
    """The address of a gateway."""
    return stack.addresses["gateway"]
