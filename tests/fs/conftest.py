"""What the tests of the kernel's side share."""

from tests.fs.watching import told, watcher

__all__ = ["told", "watcher"]
