"""A bar for work that takes long, and nothing at all for work that does not."""

import asyncio
from types import TracebackType
from typing import Any

# Shorter work shows nothing: what a notebook has printed stays as it was. tqdm's own ``delay`` would do, but its
# notebook bar appears all the same when it is closed (tqdm 4.70, ``notebook.tqdm.close``, read 2026-11-25).
SHOWN_AFTER_S = 2.0


class Progress:
    """Counts what is done out of ``total`` and, while it is open, shows a bar once ``shown_after_s`` have passed.

    ``done`` were done before it began, as in a batch that is resumed.
    """

    def __init__(self, total: int, *, done: int = 0, shown: bool = True, shown_after_s: float = SHOWN_AFTER_S) -> None:
        self._total, self._done, self._before, self._errors = total, done, done, 0
        self._shown, self._shown_after_s = shown, shown_after_s
        self._timer: asyncio.TimerHandle | None = None
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        if self._shown and self._done < self._total:
            self._timer = asyncio.get_running_loop().call_later(self._shown_after_s, self._show)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._bar is not None:
            self._bar.close()

    def count(self, *, failed: bool = False) -> None:
        """One more is done."""
        self._done += 1
        self._errors += failed
        if self._bar is not None:
            self._note_errors()
            self._bar.update()

    def _show(self) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(total=self._total, initial=self._before, unit="call", dynamic_ncols=True)
        self._bar.start_t -= self._shown_after_s  # so that its rate is that of the whole work
        self._note_errors()
        self._bar.update(self._done - self._before)

    def _note_errors(self) -> None:
        if self._errors:
            self._bar.set_postfix(errors=self._errors, refresh=False)
