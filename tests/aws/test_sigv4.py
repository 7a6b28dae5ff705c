from __future__ import annotations

import datetime as dt
import string
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_protocol.aws.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Credentials,
    Scope,
    Unsignable,
    body_sha256,
    host_of,
    sign,
)
from lae_protocol.secret import Secret

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
WHEN = dt.datetime(2026, 11, 23, 12, 36, 0, tzinfo=dt.UTC)

names = st.text(string.ascii_letters + "-", min_size=1, max_size=12).map(
    lambda n: "x-amz-meta-" + n.lower()
)
values = st.text(string.ascii_letters + string.digits + " ,;=:/+", max_size=30)
plain_headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": values,
        "range": st.just("bytes=0-9"),
        "if-none-match": st.just("*"),
        "content-md5": st.just("1B2M2Y8AsgTpgAmY7PhCfg=="),
    },
)
segments = st.text(min_size=1, max_size=8).filter(lambda s: s not in (".", ".."))
paths = st.lists(segments, max_size=4).map(
    lambda parts: "/" + "/".join(quote(p, safe="-_.~") for p in parts)
)
keys = st.text(min_size=1, max_size=20).map(lambda k: "/bucket/" + quote(k, safe="/~"))
pairs = st.lists(
    st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6)), max_size=4
)


def as_query(items: list[tuple[str, str]]) -> str:
    return "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in items
    )


def botocore_authorization(
    signer: type[SigV4Auth],
    scope: Scope,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    token: str | None,
) -> str:
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    request.context["client_config"] = None
    auth = signer(BotocoreCredentials(KEY, SECRET, token), scope.service, scope.region)
    with patch("botocore.auth.get_current_datetime", return_value=WHEN):
        auth.add_auth(request)
    return str(request.headers["Authorization"])


def ours(
    scope: Scope,
    method: str,
    url: str,
    headers: dict[str, str],
    payload: str,
    token: str | None,
) -> dict[str, str]:
    credentials = Credentials(KEY, Secret(SECRET), Secret(token) if token else None)
    return sign(
        credentials,
        scope,
        WHEN,
        method=method,
        url=url,
        headers=headers,
        payload=payload,
    )


@settings(max_examples=100)
@given(
    keys,
    pairs,
    plain_headers,
    st.dictionaries(names, values, max_size=3),
    st.binary(max_size=40),
    st.sampled_from(["GET", "PUT", "DELETE", "HEAD", "POST"]),
    st.none() | st.text(string.ascii_letters + "/+=", min_size=4, max_size=40),
)
def test_agrees_with_botocore_for_s3(
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    extra: dict[str, str],
    body: bytes,
    method: str,
    token: str | None,
) -> None:
    """For S3 the signature is botocore's, whatever the key, query and headers."""
    scope = Scope("eu-west-1", "s3")
    url = f"https://s3.example:8443{path}?{as_query(query)}"
    given_headers = headers | extra
    theirs = botocore_authorization(
        S3SigV4Auth, scope, method, url, given_headers, body, token
    )
    mine = ours(scope, method, url, given_headers, body_sha256(body), token)
    assert mine["authorization"] == theirs


@settings(max_examples=100)
@given(
    paths,
    pairs,
    plain_headers,
    st.binary(max_size=40),
    st.sampled_from(["ec2", "iam", "route53", "kms"]),
    st.none() | st.just("a/token+of=a/session"),
)
def test_agrees_with_botocore_elsewhere(
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    service: str,
    token: str | None,
) -> None:
    """For all other services the signature is botocore's, paths quoted twice."""
    scope = Scope("us-east-1", service)
    url = f"https://{service}.amazonaws.com{path}?{as_query(query)}"
    # botocore adds this header for S3 alone; given to it, it signs it like ours.
    full = headers | {"x-amz-content-sha256": body_sha256(body)}
    theirs = botocore_authorization(SigV4Auth, scope, "POST", url, full, body, token)
    mine = ours(scope, "POST", url, headers, body_sha256(body), token)
    assert mine["authorization"] == theirs


def test_unsigned_payload_agrees_with_botocore() -> None:
    """With UNSIGNED-PAYLOAD the body does not enter the signature, as in botocore."""
    scope, url = Scope("eu-west-1", "s3"), "https://s3.example/b/k"
    headers = {"x-amz-content-sha256": UNSIGNED_PAYLOAD}
    with patch.object(S3SigV4Auth, "payload", return_value=UNSIGNED_PAYLOAD):
        theirs = botocore_authorization(
            S3SigV4Auth, scope, "PUT", url, headers, b"x", None
        )
    mine = ours(scope, "PUT", url, {}, UNSIGNED_PAYLOAD, None)
    assert mine["authorization"] == theirs
    assert mine["x-amz-content-sha256"] == UNSIGNED_PAYLOAD


def test_every_amz_header_is_signed() -> None:
    """A header that begins with x-amz- is among the signed ones, in any case."""
    sent = ours(
        Scope("eu-west-1", "s3"),
        "PUT",
        "https://s3.example/b/k",
        {"X-Amz-Tagging": "a=b", "x-amz-server-side-encryption": "aws:kms"},
        EMPTY_SHA256,
        "session",
    )
    signed = sent["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {n for n in sent if n.startswith("x-amz-")} <= set(signed)
    assert {"x-amz-tagging", "x-amz-security-token"} <= set(signed)


def test_user_agent_is_sent_but_not_signed() -> None:
    """What proxies change is sent and left out of the signature."""
    sent = ours(
        Scope("r", "s3"),
        "GET",
        "https://h/",
        {"user-agent": "s4", "authorization": "old"},
        EMPTY_SHA256,
        None,
    )
    assert sent["user-agent"] == "s4"
    assert "user-agent" not in sent["authorization"]
    assert sent["authorization"].startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize(
    "url",
    [
        "/relative",
        "ftp://h/",
        "https://user@h/",
        "https://h/a b",
        "https://h/é",
        "https://h/a#b",
        "https://h/?a=b+c",
        "https://h/a/../b",
        "https://h/a//b",
        "https://h/a/.",
    ],
)
def test_ambiguous_requests_are_refused(url: str) -> None:
    """What a service might read in another way than we do is not signed."""
    with pytest.raises(Unsignable):
        ours(Scope("r", "ec2"), "GET", url, {}, EMPTY_SHA256, None)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://h:443/", "h"),
        ("http://h:80/", "h"),
        ("http://h:443/", "h:443"),
        ("http://127.0.0.1:5000/x", "127.0.0.1:5000"),
        ("http://[::1]:5000/x", "[::1]:5000"),
    ],
)
def test_host_has_no_default_port(url: str, host: str) -> None:
    """The signed Host is what HTTP clients send: the default port left out."""
    assert host_of(url) == host


def test_credentials_do_not_print_secrets() -> None:
    """Neither the secret key nor the session token is in the repr."""
    shown = repr(Credentials(KEY, Secret(SECRET), Secret("token-text")))
    assert SECRET not in shown
    assert "token-text" not in shown
