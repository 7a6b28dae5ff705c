"""A client of Stripe that notes each call and answers as was written for it."""

from __future__ import annotations

from typing import Any

import stripe
from attrs import define, field


@define
class Scripted:
    """The calls come to *asked*; *answers* are by the call's name, the next first."""

    answers: dict[str, list[Any]]
    asked: list[tuple[Any, ...]] = field(factory=list)
    name: str = ""

    def __getattr__(self, part: str) -> Any:
        return Scripted(self.answers, self.asked, f"{self.name}.{part}".lstrip("."))

    def __call__(self, *given: Any) -> Any:
        name = self.name.removeprefix("v1.")
        self.asked.append((name, *given))
        answer = self.answers[name].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def thing(**values: Any) -> Any:
    """An object of Stripe's."""
    return stripe.StripeObject.construct_from(values, None)


def page(*things: dict[str, Any]) -> Any:
    """A list of Stripe's that is whole."""
    whole = {"object": "list", "data": list(things), "has_more": False, "url": "/"}
    return stripe.ListObject.construct_from(whole, None)
