"""Every error that evalkit raises on purpose.

::

    EvalkitError                 what, where, the rule, the value seen, the way out
    |-- ConfigError              the YAML (file:line) or a command's arguments      exit 2
    |-- DataError                an annotation file, an image, a mask, a run folder exit 2
    |-- SystemFault              network, quota, budget: never the model's fault
    |   |-- RetryLater           worth another attempt, after ``delay_s`` if the server said so
    |   |-- GiveUp               this request will never succeed (400, 403, 404)
    |   `-- StopModel            nothing more can be asked of this model (day quota, bad key)
    `-- RunIncomplete            the run ended with samples not run                 exit 3
        `-- FolderInUse          another process is writing the run folder

A model's own failure to answer in a readable format is not an error: it is an ``Outcome``
(``evalkit.types``), decided by ``evalkit.decoding``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class EvalkitError(Exception):
    """Base of all; the text is one paragraph that a person can act on."""

    exit_code = 2


class ConfigError(EvalkitError):
    """The configuration or the command line asks for something that cannot be."""


class DataError(EvalkitError):
    """A file of the user's data is missing, damaged or not what it says it is."""


class SystemFault(EvalkitError):
    """Network, quota or budget stood in the way: the sample is ``not_run``, never scored as 0.

    ``http_status`` is the endpoint's, where there was one; ``body`` the raw error body.
    """

    exit_code = 3

    def __init__(self, message: str, *, http_status: int | None = None, body: str | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.body = body

    def with_text(self, text: str) -> Self:
        """Return the same fault with another text, such as one with a key blanked out."""
        BaseException.__init__(self, text)
        return self


class RetryLater(SystemFault):
    """Another attempt may succeed; ``delay_s`` is the wait the server asked for, else None.

    ``rate_limited``: the endpoint said that requests come too fast (429), which the pace follows.
    """

    def __init__(
        self,
        message: str,
        *,
        delay_s: float | None = None,
        rate_limited: bool = False,
        http_status: int | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(message, http_status=http_status, body=body)
        self.delay_s = delay_s
        self.rate_limited = rate_limited


class GiveUp(SystemFault):
    """The request cannot succeed however often it is sent."""


class StopModel(SystemFault):
    """No further request of this model can succeed in this run: a day's quota, a refused key."""


class RunIncomplete(EvalkitError):
    """The run ended with samples not run; the same command resumes it."""

    exit_code = 3


class FolderInUse(RunIncomplete):
    """Another process is writing this run folder; nothing was asked or changed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'? Known: a, b, x."`` for an unknown ``name``."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(names) or 'none'}."
