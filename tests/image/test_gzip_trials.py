"""Blobs and seek points that nobody would think of: right bytes, or refused.

The long form goes on for ten minutes with numbers that were not tried before, and says which one
failed: `tests.image.gziptrials` makes the same trial of it again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.image.gziptrials import TRIALS, right_blob

LONG = 600.0

Trial = Callable[[int], None]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.__name__)
def test_what_was_not_thought_of_is_right_or_refused(trial: Trial) -> None:
    for seed in range(20 if trial is right_blob else 100):
        trial(seed)


@pytest.mark.long
@pytest.mark.timeout(LONG + 300)
def test_ten_minutes_find_nothing() -> None:
    end = time.monotonic() + LONG
    first = random.SystemRandom().randrange(1 << 48)
    tried = 0
    while time.monotonic() < end:
        for trial in TRIALS:
            try:
                trial(first + tried)
            except BaseException as error:
                error.add_note(f"{trial.__name__}({first + tried}), after {tried} of each")
                raise
        tried += 1
    assert tried > 100
