"""Idempotency keys, as Stripe keeps them.

The first answer that a key's request got is given again, errors of the server's own
included, for 24 hours.  Nothing is kept of a request that was refused before it began
(bad parameters, rate limit, conflict).
"""

from __future__ import annotations

from attrs import define, field

from lae_localcloud.stripe.errors import ApiError

_KEPT_SECONDS = 24 * 3600
_LONGEST_KEY = 255


@define(frozen=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes


@define
class _Kept:
    request: tuple[str, str, bytes]
    at: float
    answer: Answer | None = None


@define
class IdempotencyKeys:
    """The keys of one account."""

    _kept: dict[str, _Kept] = field(factory=dict)

    def begin(
        self, key: str, request: tuple[str, str, bytes], now: float
    ) -> Answer | None:
        """The answer to give again; None for a key seen first.

        *request* is method, path and body.  Raises :class:`ApiError` for a key that
        belongs to another request, or whose request still runs.
        """
        if len(key) > _LONGEST_KEY:
            raise ApiError(f"Idempotency keys can be {_LONGEST_KEY} characters long")
        self._forget(now)
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(request=request, at=now)
            return None
        if kept.request != request:
            raise ApiError(
                "Keys for idempotent requests can only be used with the same "
                f"parameters they were first used with. Try using a key other than "
                f"'{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        if kept.answer is None:
            raise ApiError(
                "There is currently another in-progress request using this "
                f"Idempotent Key ({key}).",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return kept.answer

    def settle(self, key: str, answer: Answer) -> None:
        """Keep what was answered."""
        self._kept[key].answer = answer

    def forget(self, key: str) -> None:
        """The request was refused before it began."""
        self._kept.pop(key, None)

    def _forget(self, now: float) -> None:
        old = [k for k, kept in self._kept.items() if now - kept.at > _KEPT_SECONDS]
        for key in old:
            del self._kept[key]
