"""Requests that the real service would not understand: refused, and told to tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import define
from twisted.logger import Logger

from lae_localcloud.exchange import ApiError, ApiRequest
from lae_localcloud.models.judging import complaints

#: Names the file that gets a line for each wrong request.  Tests set it, so that a
#: mistake is an error of the test that made it, even if the code under test retries it
#: or takes the refusal for one that it expects.
VARIABLE = "S4_WRONG_REQUESTS"


@define(frozen=True)
class WrongRequests:
    """Where they are told; *file* None: in the log alone."""

    file: Path | None
    _log = Logger()

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> WrongRequests:
        """As the environment says."""
        named = environment.get(VARIABLE)
        return cls(Path(named) if named else None)

    def check(
        self,
        service: str,
        action: str,
        request: ApiRequest,
        path: Mapping[str, str] | None = None,
    ) -> None:
        """Raise :class:`ApiError` for what the service's model does not allow."""
        wrong = complaints(service, action, request, dict(path or {}))
        if not wrong:
            return
        line = f"{service} {action}: {'; '.join(wrong)}"
        self.tell(line)
        raise ApiError(400, "ValidationError", line)

    def tell(self, line: str) -> None:
        """One request, and what is wrong with it."""
        self._log.error("no service would understand {line}", line=line)
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
