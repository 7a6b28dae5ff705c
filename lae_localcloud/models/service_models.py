"""The models of AWS's services, as botocore ships them."""

from __future__ import annotations

from functools import cache
from typing import Any

#: Names that requests are signed for, where the model has another.
_MODEL_OF = {"servicequotas": "service-quotas"}


class NotInModel(ValueError):
    """AWS has no such service or call."""


@cache
def _session() -> Any:
    import botocore.session  # noqa: PLC0415  (slow to import)

    return botocore.session.get_session()


@cache
def service_model(service: str) -> Any:
    """The newest model of a service that requests are signed for."""
    from botocore.exceptions import UnknownServiceError  # noqa: PLC0415  (as above)

    try:
        return _session().get_service_model(_MODEL_OF.get(service, service))
    except UnknownServiceError:
        raise NotInModel(f"AWS has no service {service!r}") from None


@cache
def operation_model(service: str, action: str) -> Any:
    """The model of one call; raises :class:`NotInModel`."""
    from botocore.model import OperationNotFoundError  # noqa: PLC0415  (as above)

    try:
        return service_model(service).operation_model(action)
    except OperationNotFoundError:
        raise NotInModel(f"{service} has no call {action!r}") from None
