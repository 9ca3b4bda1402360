"""One line for each figure: PASS or FAIL against its bound, or just the figure."""

from __future__ import annotations

import operator
import statistics
import time
from collections.abc import Callable

_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


class Report:
    """The figures of a run; `failed` counts those that missed their bound."""

    def __init__(self) -> None:
        self.failed = 0

    def bound(
        self, name: str, value: float, op: str, bound: float, unit: str = "", note: str = ""
    ) -> None:
        """Print *value* and whether it keeps *bound*."""
        good = _COMPARE[op](value, bound)
        self.failed += not good
        self._line("PASS" if good else "FAIL", name, value, f"{op} {bound:g}", unit, note)

    def figure(self, name: str, value: float, unit: str = "", note: str = "") -> None:
        """Print *value*, which has no bound."""
        self._line("-", name, value, "", unit, note)

    def absent(self, name: str, why: str) -> None:
        """Print that *name* could not be measured."""
        print(f"{'-':5} {name:58} {'':>10}  {'':10} {why}", flush=True)

    def _line(
        self, verdict: str, name: str, value: float, bound: str, unit: str, note: str
    ) -> None:
        figure = f"{value:.2f} {unit}".strip()
        print(f"{verdict:5} {name:58} {figure:>10}  {bound:10} {note}".rstrip(), flush=True)


class Times:
    """Seconds of several runs of one thing: `best` to compare, `median` to see how noisy it was."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def measure(self, run: Callable[[], object]) -> None:
        """Run *run* once and keep how long it took."""
        start = time.perf_counter()
        run()
        self.add(time.perf_counter() - start)

    def add(self, seconds: float) -> None:
        """Keep a time that was measured elsewhere."""
        self._seconds.append(seconds)

    @property
    def best(self) -> float:
        return min(self._seconds)

    @property
    def median(self) -> float:
        return statistics.median(self._seconds)

    def __str__(self) -> str:
        return f"{self.best:.3g} s (median {self.median:.3g})"


class Passes:
    """The times of the first and of the second pass over something."""

    def __init__(self) -> None:
        self.first = Times()
        self.second = Times()

    def measure(self, run: Callable[[], object]) -> None:
        """Run *run* twice."""
        self.first.measure(run)
        self.second.measure(run)
