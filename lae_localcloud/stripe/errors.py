"""Errors in Stripe's shape."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is an error: its HTTP status and Stripe's error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            self.error["code"] = code
            self.error["doc_url"] = (
                f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
            )
        if param is not None:
            self.error["param"] = param

    def body(self) -> dict[str, Any]:
        """What goes over the wire."""
        return {"error": self.error}


def missing(param: str) -> ApiError:
    """A parameter that must be there is not."""
    return ApiError(
        f"Missing required param: {param}.", code="parameter_missing", param=param
    )


def no_such(kind: str, name: str, param: str = "id") -> ApiError:
    """Stripe answers 404 when the id is in the URL and 400 when it is a parameter."""
    return ApiError(
        f"No such {kind}: '{name}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )
