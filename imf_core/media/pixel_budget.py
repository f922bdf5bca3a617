"""A limit on the pixels that all threads of a process decode at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Pixels that may be in memory at once.

    Args:
        pixels: The bound; a larger picture is decoded alone.
    """

    def __init__(self, pixels: int) -> None:
        self._total = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits for free capacity and reserves pixels during the block."""
        share = min(pixels, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()
