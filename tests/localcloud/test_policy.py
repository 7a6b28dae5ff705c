"""IAM's decision and the check of signatures, without any server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_localcloud.account.policy import (
    Ask,
    UnknownPolicyElement,
    is_allowed,
)
from lae_localcloud.account.signature import Authorization, check_signature
from lae_localcloud.exchange import ApiError, ApiRequest
from tests.provision import wanted as wants
from tests.provision.wanted import ACCOUNT, LABEL

BUCKET = "arn:aws:s3:::b"
CUSTOMERS = f"arn:aws:s3:::local-{LABEL}"


def policy(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "s3:*", "Resource": "*", **elements}
    return {"Version": "2012-10-17", "Statement": [statement]}


def read(key: str = "k", **context: tuple[str, ...]) -> Ask:
    return Ask("s3:GetObject", f"{BUCKET}/{key}", dict(context))


def test_nothing_is_allowed_by_nobody() -> None:
    """Without a statement that allows it, everything is refused."""
    assert not is_allowed(read(), [])
    assert is_allowed(read(), [policy()])


def test_a_deny_wins() -> None:
    """A statement that denies wins over any that allows, wherever it stands."""
    deny = policy("Deny", Action="s3:Get*")
    assert not is_allowed(read(), [policy(), deny])
    assert not is_allowed(read(), [policy()], boundary=deny)


def test_a_boundary_limits_and_gives_nothing() -> None:
    """What a boundary allows must be allowed by a policy too."""
    narrow = policy(Resource=f"{BUCKET}/mine/*")
    assert is_allowed(read("mine/a"), [policy()], boundary=narrow)
    assert not is_allowed(read("other/a"), [policy()], boundary=narrow)
    assert not is_allowed(read("mine/a"), [], boundary=narrow)


@pytest.mark.parametrize(
    ("elements", "allowed"),
    [
        ({"Action": ["s3:PutObject", "S3:GETOBJECT"]}, True),
        ({"Action": "s3:GetObject?"}, False),
        ({"Resource": f"{BUCKET}/*"}, True),
        ({"Resource": BUCKET}, False),
        ({"Resource": f"{BUCKET.upper()}/*"}, False),
        ({"Resource": f"{BUCKET}/k.*"}, False),
    ],
)
def test_names_match_as_patterns(elements: dict[str, Any], allowed: bool) -> None:
    """Actions match in any case, resources exactly; a star is the only wild thing."""
    assert is_allowed(read(), [policy(**elements)]) is allowed


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"aws:RequestTag/T": "v"}}, True),
        ({"StringEquals": {"aws:RequestTag/T": ["x", "v"]}}, True),
        ({"StringEquals": {"aws:RequestTag/T": "x"}}, False),
        ({"StringEquals": {"aws:RequestTag/Other": "v"}}, False),
        ({"StringEqualsIfExists": {"aws:RequestTag/Other": "v"}}, True),
        ({"StringNotEquals": {"aws:RequestTag/T": "v"}}, False),
        ({"StringNotEquals": {"aws:RequestTag/Other": "v"}}, True),
        ({"StringLike": {"aws:RequestTag/T": "?"}}, True),
        ({"Bool": {"secure": False}}, True),
        ({"Null": {"aws:RequestTag/Other": "true"}}, True),
        ({"Null": {"aws:RequestTag/T": "true"}}, False),
        ({"NumericLessThanEquals": {"hops": "1"}}, True),
        ({"NumericLessThanEquals": {"hops": "0"}}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, True),
        ({"StringEquals": {"aws:RequestTag/T": "${same}"}}, True),
        ({"StringEquals": {"aws:RequestTag/T": "${unknown}"}}, False),
        # All conditions of a statement must hold.
        ({"Bool": {"secure": False}, "StringEquals": {"same": "x"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], allowed: bool) -> None:
    """Each operator as the manual has it, on keys that are there and that are not."""
    context: dict[str, tuple[str, ...]] = {
        "aws:requesttag/t": ("v",),
        "same": ("v",),
        "secure": ("false",),
        "hops": ("1",),
        "aws:tagkeys": ("a", "b"),
    }
    ask = read(**context)
    assert is_allowed(ask, [policy(Condition=condition)]) is allowed


@pytest.mark.parametrize(
    "elements",
    [
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Condition": {"Sometimes:StringEquals": {"a": "b"}}},
        {"Principal": "*"},
    ],
)
def test_what_cannot_be_judged_is_an_error(elements: dict[str, Any]) -> None:
    """A policy with something unknown is neither allowed nor silently refused."""
    with pytest.raises(UnknownPolicyElement):
        is_allowed(read(a=("b",)), [policy(**elements)])


def test_the_shipped_policies_can_be_judged() -> None:
    """The daemon's policy and the boundary have nothing that we cannot evaluate, and
    keep the daemon from deleting its own state.
    """
    named = {"deployment": "local", "state_bucket": "local-state"}
    daemon, boundary = wants.daemons(**named), wants.boundary(**named)
    state, customer = "arn:aws:s3:::local-state/i", f"{CUSTOMERS}/o"
    here = {"s3:resourceaccount": (ACCOUNT,)}
    assert is_allowed(Ask("s3:PutObject", state, here), [daemon])
    assert not is_allowed(Ask("s3:DeleteObject", state, here), [daemon])
    assert is_allowed(Ask("s3:DeleteObjectVersion", customer, here), [daemon])
    assert not is_allowed(Ask("s3:GetObject", customer, here), [daemon])
    everything = [policy(Action="*")]
    assert is_allowed(Ask("s3:PutObject", customer, here), everything, boundary)
    for action, resource in (
        ("s3:GetObject", state),
        ("s3:DeleteObjectVersion", customer),
        ("s3:PutBucketPolicy", CUSTOMERS),
        ("ec2:RunInstances", "*"),
    ):
        assert not is_allowed(Ask(action, resource, here), everything, boundary)


KEY = Credentials("AKIATEST", "secret+/key")


def signed(service: str, method: str, url: str, body: bytes) -> ApiRequest:
    """A request as AWS's own SDK signs it."""
    request = AWSRequest(
        method=method,
        url=url,
        data=body,
        headers={"Content-Type": "text/plain;  charset=x", "X-Amz-Thing": " a  b "},
    )
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(KEY, service, "eu-west-1").add_auth(request)
    host, _, rest = url.removeprefix("http://").partition("/")
    path, _, query = ("/" + rest).partition("?")
    headers = {n.lower(): v for n, v in request.headers.items()} | {"host": host}
    return ApiRequest(method, path, query, headers, body)


def stamp(request: ApiRequest) -> datetime:
    text = request.headers["x-amz-date"]
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def check(request: ApiRequest, secret: str = "secret+/key") -> None:
    said = Authorization.of(request.headers)
    check_signature(request, said, secret, stamp(request))


PATHS = st.lists(
    st.text("aZ09-_.~%20+", min_size=1, max_size=5).filter(
        lambda s: s not in (".", "..") and "%" not in s
    ),
    max_size=4,
)
PAIRS = st.dictionaries(
    st.text("ab-_", min_size=1, max_size=4),
    st.text("xyZ09-_.~", max_size=6),
    max_size=4,
)


@settings(max_examples=100)
@given(st.sampled_from(["s3", "ec2"]), PATHS, PAIRS, st.binary(max_size=50))
def test_signatures_of_the_sdk_are_right(
    service: str, path: list[str], query: dict[str, str], body: bytes
) -> None:
    """What AWS's own SDK signs is accepted; with one thing changed it is not."""
    text = "&".join(f"{k}={v}" for k, v in query.items())
    url = f"http://localhost:8080/{'/'.join(path)}" + (f"?{text}" if text else "")
    request = signed(service, "PUT", url, body)
    check(request)
    for other in (
        ApiRequest("GET", request.path, request.query, request.headers, body),
        ApiRequest("PUT", request.path + "x", request.query, request.headers, body),
        ApiRequest("PUT", request.path, "q=1&" + text, request.headers, body),
        ApiRequest("PUT", request.path, request.query, request.headers, body + b"x"),
    ):
        with pytest.raises(ApiError):
            check(other)
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        check(request, "another secret")


def test_headers_of_amazon_must_be_signed() -> None:
    """A header that AWS acts on and that nobody signed is refused."""
    request = signed("s3", "PUT", "http://localhost/b/k", b"")
    with_acl = ApiRequest(
        "PUT", "/b/k", "", {**request.headers, "x-amz-acl": "public-read"}, b""
    )
    with pytest.raises(ApiError, match="not signed"):
        check(with_acl)


def test_old_signatures_are_refused() -> None:
    """A request signed twenty minutes ago is refused."""
    request = signed("ec2", "POST", "http://localhost/", b"")
    late = stamp(request) + timedelta(minutes=20)
    said = Authorization.of(request.headers)
    with pytest.raises(ApiError, match="RequestTimeTooSkewed"):
        check_signature(request, said, "secret+/key", late)
