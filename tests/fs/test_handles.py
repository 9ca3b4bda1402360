from __future__ import annotations

import errno

import pytest
from pyfuse3 import FUSEError

from rossfs.fs.handles import Handles


def test_what_is_added_is_found_until_it_is_taken() -> None:
    handles: Handles[str] = Handles()
    number = handles.add("file")
    assert handles.get(number) == "file"
    assert len(handles) == 1
    assert handles.take(number) == "file"
    assert len(handles) == 0


def test_a_number_is_never_used_twice() -> None:
    handles: Handles[str] = Handles()
    first = handles.add("a")
    handles.take(first)
    assert handles.add("b") != first


def test_an_unknown_number_is_ebadf() -> None:
    handles: Handles[str] = Handles()
    for ask in (handles.get, handles.take):
        with pytest.raises(FUSEError) as refused:
            ask(7)
        assert refused.value.errno == errno.EBADF


def test_a_number_is_taken_once() -> None:
    handles: Handles[str] = Handles()
    number = handles.add("a")
    handles.take(number)
    with pytest.raises(FUSEError):
        handles.take(number)
