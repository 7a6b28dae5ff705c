"""Requests as stripe-python sends them, and as it would never send them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from stripe._encode import _api_encode
from twisted.trial.unittest import SynchronousTestCase

from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.form import nested
from lae_localcloud.stripe.operations import operations
from lae_localcloud.stripe.parameters import checked, parameters_of

texts = st.text(max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
values = st.recursive(
    # No truths: the library has none in lists, and writes them in Python's way there.
    texts | st.integers(-(10**9), 10**9),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(names, inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def encoded(parameters: dict[str, Any]) -> bytes:
    """As the library writes a body."""
    return urlencode(list(_api_encode(parameters))).encode()


def flat(value: Any) -> Any:
    """What form encoding leaves of a value."""
    if isinstance(value, dict):
        return {k: flat(v) for k, v in value.items()}
    if isinstance(value, list):
        return {str(i): flat(v) for i, v in enumerate(value)}
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def refused(name: str, asked: dict[str, Any]) -> ApiError:
    """The error that a request gets."""
    try:
        checked(parameters_of(name), nested(encoded(asked)))
    except ApiError as e:
        return e
    raise AssertionError(f"{asked} was taken")


SESSION = "checkout.SessionCreateParams"


class ParameterTests(SynchronousTestCase):
    @settings(max_examples=100)
    @given(st.dictionaries(names, values | st.booleans(), max_size=4))
    def test_encoding(self, parameters: dict[str, Any]) -> None:
        """Whatever stripe-python encodes is read back as it was meant."""
        self.assertEqual(nested(encoded(parameters)), flat(parameters))

    @settings(max_examples=100)
    @given(st.binary(max_size=60))
    def test_garbage(self, body: bytes) -> None:
        """Any bytes are read, or refused as a bad request; nothing else."""
        try:
            checked(parameters_of(SESSION), nested(body))
        except ApiError as e:
            self.assertEqual(e.status, 400)

    def test_typed(self) -> None:
        """Numbers, truths, lists and nested objects arrive as their types."""
        asked = {
            "mode": "subscription",
            "allow_promotion_codes": True,
            "expires_at": 5,
            "expand": ["a", "b"],
            "line_items": [
                {"price": "p", "quantity": 2},
                {"price_data": {"currency": "eur", "unit_amount_decimal": "1.5"}},
            ],
            "metadata": {"a": "1"},
        }
        found = checked(parameters_of(SESSION), nested(encoded(asked)))
        asked["line_items"][1]["price_data"]["unit_amount_decimal"] = 1.5  # type: ignore[index]
        self.assertEqual(found, asked)

    def test_refused(self) -> None:
        """What the library's types would not allow is refused, and named."""
        many = {f"k{i}": "v" for i in range(51)}
        cases: list[tuple[str, dict[str, Any], str]] = [
            (SESSION, {"colour": "red"}, "colour"),
            (SESSION, {"mode": "gift"}, "mode"),
            (SESSION, {"expires_at": "soon"}, "expires_at"),
            (SESSION, {"allow_promotion_codes": "yes"}, "allow_promotion_codes"),
            (SESSION, {"line_items": {"price": "x"}}, "line_items"),
            (SESSION, {"line_items": [{"prize": "x"}]}, "line_items[0][prize]"),
            (SESSION, {"subscription_data": "x"}, "subscription_data"),
            (SESSION, {"metadata": many}, "metadata"),
            (SESSION, {"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]"),
            (SESSION, {"metadata": {"k": "v" * 501}}, "metadata[k]"),
            (SESSION, {"metadata": {"k": {"deep": "v"}}}, "metadata[k]"),
            # Options of the library are no parameters of a body.
            (SESSION, {"idempotency_key": "x"}, "idempotency_key"),
            ("PriceCreateParams", {"unit_amount": 5}, "currency"),
            (
                "PriceListParams",
                {"recurring": {"interval": "eon"}},
                "recurring[interval]",
            ),
            ("RefundCreateParams", {"reason": "whim"}, "reason"),
        ]
        for name, asked, param in cases:
            error = refused(name, asked)
            self.assertEqual((error.status, error.error["param"]), (400, param))

    def test_operations(self) -> None:
        """Each operation's parameters are a type that stripe-python has."""
        for operation in operations(lambda: ""):
            kind: Any = parameters_of(operation.parameters)
            if kind.__required_keys__:
                self.assertEqual(
                    refused(operation.parameters, {}).error["code"],
                    "parameter_missing",
                )
            else:
                self.assertEqual(checked(kind, {}), {})
