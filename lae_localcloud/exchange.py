"""One API request and its answer, as values; and errors as each protocol has them."""

from __future__ import annotations

import json
import secrets
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from attrs import define, field

#: Services whose calls and errors are JSON.
SPEAK_JSON = frozenset({"ecr", "kms", "logs", "servicequotas"})

Headers = tuple[tuple[str, str], ...]


@define(frozen=True)
class ApiRequest:
    """A request whole.  *path* and *query* are as sent (still quoted); header names
    are in lower case.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    def form(self) -> dict[str, str]:
        """The parameters of AWS's query protocol, from the URL and the body."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        kind = self.headers.get("content-type", "")
        if "x-www-form-urlencoded" in kind:
            text = self.body.decode("utf-8", "replace")
            pairs += parse_qsl(text, keep_blank_values=True)
        return dict(pairs)

    def json(self) -> dict[str, object]:
        """The body as a JSON object; an empty one where it is something else."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@define(frozen=True)
class ApiResponse:
    """An answer whole."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Tell whether the request was done."""
        return self.status < 300  # noqa: PLR2004  (HTTP's own bound of success)


@define(frozen=True)
class ApiError(Exception):
    """What a service refuses with: HTTP status, code and sentence."""

    status: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def request_id() -> str:
    """A fresh id in the form AWS has."""
    n = secrets.token_hex(16)
    return f"{n[:8]}-{n[8:12]}-{n[12:16]}-{n[16:20]}-{n[20:]}"


def error_response(service: str, error: ApiError) -> ApiResponse:
    """The error in the form that clients of this service read."""
    render = {"ec2": _ec2, "s3": _s3, **dict.fromkeys(SPEAK_JSON, _json)}.get(
        service, _query
    )
    kind, body = render(error)
    headers = (("content-type", kind), ("x-amzn-requestid", request_id()))
    return ApiResponse(error.status, headers, body.encode())


def _ec2(error: ApiError) -> tuple[str, str]:
    return "text/xml;charset=UTF-8", (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id()}</RequestID></Response>"
    )


def _s3(error: ApiError) -> tuple[str, str]:
    return "application/xml", (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{request_id()}</RequestId></Error>"
    )


def _query(error: ApiError) -> tuple[str, str]:
    blame = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004
    return "text/xml", (
        '<?xml version="1.0"?>\n<ErrorResponse><Error>'
        f"<Type>{blame}</Type><Code>{escape(error.code)}</Code>"
        f"<Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{request_id()}</RequestId></ErrorResponse>"
    )


def _json(error: ApiError) -> tuple[str, str]:
    body = json.dumps({"__type": error.code, "message": error.message})
    return "application/x-amz-json-1.1", body
