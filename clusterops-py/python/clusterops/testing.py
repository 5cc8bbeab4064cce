"""Simulated hosts, to test automation without a fleet.

With pytest, ``pytest_plugins = ["clusterops.testing"]`` in ``conftest.py`` brings the fixture `simulated_fleet`.

Examples
--------
>>> import clusterops as co
>>> from clusterops.testing import SimulatedFleet
>>> with SimulatedFleet("web[1-2]", answers={"uname -r": "6.1.0\\n"}) as simulated:
...     print(co.run(simulated.targets, "uname -r").gather())
web[1-2]: 6.1.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ._clusterops import SimulatedAnswer, SimulatedCommand, SimulatedFleet, SimulatedHost

__all__ = ["SimulatedAnswer", "SimulatedCommand", "SimulatedFleet", "SimulatedHost"]

try:
    import pytest
except ImportError:
    if TYPE_CHECKING:
        raise
else:

    @pytest.fixture
    def simulated_fleet() -> Iterator[Callable[..., SimulatedFleet]]:
        """Makes simulated fleets, with the arguments of `SimulatedFleet`; they are closed after the test."""
        with ExitStack() as fleets:
            yield lambda *arguments, **keywords: fleets.enter_context(SimulatedFleet(*arguments, **keywords))
