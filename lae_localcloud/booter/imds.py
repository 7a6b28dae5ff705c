"""The metadata service of one instance, on a port of its own: that is who asks.

Version 2 alone: every read carries a token, got by a PUT that no proxy passes on.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from twisted.web.resource import Resource

from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.principals import open_session
from lae_localcloud.exchange import ApiResponse
from lae_localcloud.front.machines import Addresses, LaunchOrder
from lae_localcloud.front.web import spawn, write_response

_LONGEST_TTL = 21_600
_TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105  (a header's name)
_VERSION = re.compile(r"latest|\d{4}-\d\d-\d\d")
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


class Signs(Protocol):
    """Signs identity documents."""

    def sign(self, document: bytes) -> str:
        """The signature, in base64."""
        ...


class Keys:
    """The keys of the instance's role: one session at a time, renewed in time."""

    def __init__(
        self, moto: Moto, order: LaunchOrder, seconds: int, now: Callable[[], datetime]
    ) -> None:
        self._moto, self._order, self._seconds, self._now = moto, order, seconds, now
        self._held: tuple[str, Any] | None = None

    async def current(self) -> tuple[str, dict[str, str]] | None:
        """The role's name and its keys; None where there is no role."""
        if self._order.profile is None:
            return None
        if self._held is None or self._runs_out(self._held[1]):
            self._held = await self._moto.run(
                open_session,
                self._moto,
                self._order.profile,
                self._order.instance_id,
                self._seconds,
            )
        if self._held is None:
            return None
        role, session = self._held
        return role, {
            "Code": "Success",
            "LastUpdated": self._now().strftime(_STAMP),
            "Type": "AWS-HMAC",
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": session.expiration.strftime(_STAMP),
        }

    def _runs_out(self, session: Any) -> bool:
        """AWS shows new keys at least five minutes before the old ones end."""
        left = session.expiration.replace(tzinfo=UTC) - self._now()
        return bool(
            left < min(timedelta(minutes=6), timedelta(seconds=self._seconds / 2))
        )


class Metadata(Resource):
    """Answers every path."""

    isLeaf = True

    def __init__(
        self,
        order: LaunchOrder,
        region: str,
        keys: Keys,
        *,
        signer: Signs,
        now: Callable[[], datetime],
        addresses: Callable[[], Addresses],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._order, self._region, self._keys = order, region, keys
        self._signer, self._now, self._addresses = signer, now, addresses
        self._tokens: dict[str, datetime] = {}

    def render(self, request: Any) -> int:
        """One request."""
        return spawn(request, "imds", self._serve(request))

    async def _serve(self, request: Any) -> None:
        method = request.method.decode()
        path = request.path.decode("ascii", "replace")
        if method == "PUT":
            status, body = self._token(path, request)
        elif method != "GET":
            status, body = 405, b""
        elif not self._knows(request.getHeader(_TOKEN_HEADER)):
            status, body = 401, b""
        else:
            found = await self._read(path)
            status, body = (404, b"") if found is None else (200, found)
        headers = [("content-type", "text/plain"), ("server", "EC2ws")]
        if method == "PUT" and status == 200:  # noqa: PLR2004  (HTTP's OK)
            headers.append((_TTL_HEADER, request.getHeader(_TTL_HEADER)))
        write_response(request, ApiResponse(status, tuple(headers), body))

    def _token(self, path: str, request: Any) -> tuple[int, bytes]:
        if path != "/latest/api/token":
            return 404, b""
        if request.getHeader("x-forwarded-for") is not None:
            return 403, b""
        ttl = request.getHeader(_TTL_HEADER) or ""
        if not re.fullmatch(r"\d{1,5}", ttl) or not 1 <= int(ttl) <= _LONGEST_TTL:
            return 400, b""
        now = self._now()
        self._tokens = {t: end for t, end in self._tokens.items() if end > now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = now + timedelta(seconds=int(ttl))
        return 200, token.encode()

    def _knows(self, token: str | None) -> bool:
        end = self._tokens.get(token or "")
        return end is not None and end > self._now()

    async def _read(self, path: str) -> bytes | None:
        version, _, rest = path.lstrip("/").partition("/")
        if not version:
            return b"latest"
        if not _VERSION.fullmatch(version):
            return None
        if rest == "user-data":
            return self._order.user_data or None
        tree: Any = await self._tree()
        for part in filter(None, rest.split("/")):
            if not isinstance(tree, dict) or part not in tree:
                return None
            tree = tree[part]
        if isinstance(tree, dict):
            names = (k + "/" if isinstance(v, dict) else k for k, v in tree.items())
            return "\n".join(names).encode()
        return str(tree).encode()

    async def _tree(self) -> dict[str, Any]:
        order, addresses = self._order, self._addresses()
        data: dict[str, Any] = {
            "ami-id": order.image_id,
            "hostname": "localhost",
            "instance-id": order.instance_id,
            "instance-type": order.instance_type,
            "local-hostname": "localhost",
            "local-ipv4": addresses.private,
            "placement": {"availability-zone": order.zone, "region": self._region},
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        }
        if addresses.public is not None:
            data["public-ipv4"] = addresses.public
        held = await self._keys.current()
        if held is not None:
            role, keys = held
            document = json.dumps(keys, indent=2)
            data["iam"] = {"security-credentials": {role: document}}
        identity = self._document()
        signed = {
            "document": identity,
            "signature": self._signer.sign(identity.encode()),
        }
        tree = {"dynamic": {"instance-identity": signed}, "meta-data": data}
        return tree | ({"user-data": ""} if order.user_data else {})

    def _document(self) -> str:
        """The identity document: the same bytes at every read, since it is signed."""
        order = self._order
        return json.dumps(
            {
                "accountId": ACCOUNT_ID,
                "architecture": "x86_64",
                "availabilityZone": order.zone,
                "imageId": order.image_id,
                "instanceId": order.instance_id,
                "instanceType": order.instance_type,
                "pendingTime": order.launch_time.strftime(_STAMP),
                "privateIp": self._addresses().private,
                "region": self._region,
                "version": "2017-09-30",
            },
            indent=2,
        )
