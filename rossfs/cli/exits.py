"""The exit statuses, in words; errors.py has which error has which."""

from __future__ import annotations

STATUSES = (
    (0, "done"),
    (1, "failed for a reason that no other status names"),
    (2, "what was asked cannot be meant: a wrong option, name, digest or range"),
    (3, "something that was named is not there: a store, a tag, content, a file"),
    (4, "wrong bytes: a digest that does not match, a damaged archive, store or manifest"),
    (5, "something is in the way: it exists, is still needed, or is held by another process"),
    (6, "the store cannot be written, or needs a newer rossfs"),
    (7, "no room left"),
    (8, "the mount did not come up, is dead, or could not be taken down"),
    (130, "interrupted"),
    (141, "whoever read the output went away"),
)

EPILOG = "\b\nExit status:\n" + "\n".join(f"  {status:<5}{text}" for status, text in STATUSES)
