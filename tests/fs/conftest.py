"""What the tests of the kernel's side share."""

from tests.fs.connection import answers, place
from tests.fs.watching import told, watcher

__all__ = ["answers", "place", "told", "watcher"]
