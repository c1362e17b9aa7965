"""Every test of a noun that takes ``orc`` runs through both facades: the plain one and the async one.

On a database only through the plain one, because the facades do not differ there.
"""

import os
from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from async_proxy import Proxy
from boards import SettableClock, check_law, new_store

from orchestrator import Orchestrator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "orc" in metafunc.fixturenames:
        loops = ["asyncio", "trio"] if "locks" in metafunc.module.__name__ else ["asyncio"]
        if os.environ.get("ORC_TEST_STORE"):
            loops = []
        metafunc.parametrize("orc", ["plain", *loops], indirect=True)


@pytest.fixture(scope="session")
def asyncio_portal() -> Iterator[BlockingPortal]:
    """An asyncio loop that runs in a thread."""
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def trio_portal() -> Iterator[BlockingPortal]:
    """A trio loop that runs in a thread."""
    with start_blocking_portal("trio") as portal:
        yield portal


@pytest.fixture
def orc(
    request: pytest.FixtureRequest, clock: SettableClock, warnings: list[str]
) -> Iterator[Orchestrator | Proxy]:
    """A board of ``new_store``; when the test ends, its state must be the fold of its log."""
    orc = Orchestrator(new_store(), now=clock, warn=warnings.append)
    facade = getattr(request, "param", "plain")
    if facade == "plain":
        yield orc
    else:
        proxy = Proxy(orc, request.getfixturevalue(f"{facade}_portal"))
        yield proxy
        proxy.stop()
    check_law(orc)
