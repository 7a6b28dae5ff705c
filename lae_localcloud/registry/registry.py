"""The registry whole: certificate, program, checks, and the door to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import maybeDeferred
from twisted.internet.ssl import PrivateCertificate
from twisted.protocols.tls import TLSMemoryBIOFactory

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import Moto
from lae_localcloud.certificates import make_certificates
from lae_localcloud.exchange import ApiResponse
from lae_localcloud.front.trouble import Trouble
from lae_localcloud.listening import LoopbackSite
from lae_localcloud.registry.data_plane import DataPlane
from lae_localcloud.registry.docker_registry import DockerRegistry
from lae_localcloud.registry.tokens import TokenBook


@define(frozen=True)
class RegistryOptions:
    """Where the registry is, for this machine, and what it is called.

    *name* is what images are named by: ``HOST`` or ``HOST:PORT``; None is this
    machine's loopback.  *port* is a free one where it is 0.
    """

    name: str | None = None
    address: str = "127.0.0.1"
    port: int = 0


@define(frozen=True)
class RegistryFacts:
    """What clients need: *url* is where it listens, *name* what images are named by,
    *authority* the PEM file of who signed its certificate.
    """

    name: str
    url: str
    authority: Path


class Registry:
    """Made, started, stopped."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        moto: Moto,
        *,
        tokens: TokenBook,
        trouble: Trouble,
        options: RegistryOptions,
    ) -> None:
        self._reactor, self._folder, self._options = reactor, folder, options
        self.tokens = tokens
        self._docker = DockerRegistry(reactor, folder / "docker")
        self._resource = DataPlane(moto, tokens, self._docker, trouble)
        self._listening: Any = None
        self._facts: RegistryFacts | None = None
        self._factory: Any = None

    @property
    def facts(self) -> RegistryFacts:
        """Once it is started."""
        assert self._facts is not None, "not started"
        return self._facts

    @property
    def factory(self) -> Any:
        """What speaks TLS with its clients: for other doors to the same registry."""
        assert self._factory is not None, "not started"
        return self._factory

    async def start(self) -> RegistryFacts:
        """Raises :class:`~lae_localcloud.registry.docker_registry.NoRegistry`."""
        await self._docker.start()
        options = self._options
        named = (options.name or "localhost").partition(":")[0]
        made = make_certificates(self._folder, named)
        pem = made.certificate.read_bytes() + made.key.read_bytes()
        context = PrivateCertificate.loadPEM(pem).options()  # type: ignore[no-untyped-call]
        site = LoopbackSite(self._resource)  # type: ignore[no-untyped-call]
        self._factory = TLSMemoryBIOFactory(
            context, isClient=False, wrappedFactory=site
        )
        self._factory.noisy = False
        self._listening = self._reactor.listenTCP(
            options.port, self._factory, interface=options.address
        )
        here = f"{options.address}:{self._listening.getHost().port}"
        name = options.name or here
        self._facts = RegistryFacts(name, f"https://{here}", made.authority)
        return self._facts

    async def stop(self) -> None:
        """Take no more connections, and end the program."""
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
        await self._docker.stop()

    def answer(self, call: Call, access_key: str) -> ApiResponse | None:
        """ECR's own call for a token; None for all that moto answers."""
        if (call.service, call.action) != ("ecr", "GetAuthorizationToken"):
            return None
        token, ends = self.tokens.give(access_key)
        told = {
            "authorizationToken": token,
            "expiresAt": ends.timestamp(),
            "proxyEndpoint": f"https://{self.facts.name}",
        }
        return ApiResponse(
            200,
            (("content-type", "application/x-amz-json-1.1"),),
            json.dumps({"authorizationData": [told]}).encode(),
        )
