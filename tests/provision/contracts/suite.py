"""What every implementation of a door must do, the in-memory twin included.

To run it against another implementation, subclass each contract together with
``twisted.trial.unittest.TestCase``, and give ``bench()``, which makes a :class:`Bench`.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred

from lae_protocol.ids import new_grid_label
from lae_protocol.secret import Secret
from lae_provision.doors import (
    BucketRequest,
    HostKey,
    LaunchRequest,
    RoleRequest,
    Sealed,
)
from lae_provision.errors import AlreadyThere, Refused, TokenSpent, TryLater


class Bench(Protocol):
    """An account to try the doors in; attributes may be None where not tested."""

    buckets: Any
    roles: Any
    hosts: Any
    addresses: Any
    vault: Any
    data_keys: Any
    #: What requests must say there.
    region: str
    deployment: str
    role_path: str
    boundary_arn: str
    image_id: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    dns_zone: str
    tls_only: bool

    def pause(self) -> Deferred[None]:
        """Let a moment pass, on this implementation's clock."""

    def make_wildcard(self, address: str) -> Awaitable[None]:
        """Give the zone its wildcard record, as whoever made the zone."""

    def press(self, button: str, instance_id: str) -> Awaitable[None]:
        """Stop or start an instance, as somebody at the console."""

    def store(self, bucket: str, key: str, body: bytes) -> Awaitable[None]:
        """Put an object into a customer's bucket, behind the door's back."""


class Contract:
    """Shared by all contracts."""

    def bench(self) -> Awaitable[Bench] | Bench:
        """Make the bench; subclasses do."""
        raise NotImplementedError

    async def _bench(self) -> Bench:
        made = self.bench()
        return made if not hasattr(made, "__await__") else await made

    async def eventually(self, bench: Bench, look: Callable[[], Awaitable[Any]]) -> Any:
        """Look until something is found: what was made may not be visible at once."""
        for _ in range(200):
            found = await look()
            if found is not None:
                return found
            await bench.pause()
        raise AssertionError("never became visible")

    async def raises(self, error: type[Exception], waiting: Awaitable[Any]) -> Any:
        """Wait for a failure of this type."""
        try:
            answer = await waiting
        except error as e:
            return e
        raise AssertionError(f"{error.__name__} expected, not {answer!r}")


def word(prefix: str) -> str:
    """A name that nothing else has."""
    return f"{prefix}-{secrets.token_hex(5)}"


def resource(bench: Bench) -> str:
    """A name for a customer's bucket, role and profile that nothing else has."""
    return f"{bench.deployment}-{new_grid_label()}"


def host_name(bench: Bench) -> str:
    """A host's name in the zone that nothing else has."""
    return f"{new_grid_label()}.{bench.dns_zone}"


def bucket_request(bench: Bench, name: str | None = None) -> BucketRequest:
    """A request for a customer's bucket."""
    tags = (("s4:deployment", bench.deployment), ("s4:signup", "sutest"))
    name = name or resource(bench)
    return BucketRequest(name, bench.region, tags, tls_only=bench.tls_only)


def role_request(bench: Bench, name: str | None = None) -> RoleRequest:
    """A request for a host's role."""
    name = name or resource(bench)
    tags = (("s4:deployment", bench.deployment),)
    return RoleRequest(name, bench.role_path, bench.boundary_arn, name, tags)


def launch_request(bench: Bench, key: HostKey, profile: str) -> LaunchRequest:
    """A request for a small host."""
    return LaunchRequest(
        key=key,
        client_token=secrets.token_hex(16),
        image_id=bench.image_id,
        instance_type="t3a.small",
        subnet_id=bench.subnet_id,
        security_group_ids=bench.security_group_ids,
        instance_profile=profile,
        volume_gib=10,
        volume_kms_key=None,
        user_data=Secret('{"ignition":{"version":"3.4.0"}}'),
        tags=(("Name", word("s4")), ("s4:deployment", key.deployment)),
    )


class BucketsContract(Contract):
    async def test_bucket_is_found_once_made_and_not_before(self) -> None:
        """A bucket that was never made is not found; one that was made is."""
        bench = await self._bench()
        request = bucket_request(bench)
        assert await bench.buckets.find(request.name) is None
        await bench.buckets.make(request)
        found = await self.eventually(bench, lambda: bench.buckets.find(request.name))
        assert found == request.name

    async def test_bucket_made_twice_is_one_bucket_with_its_objects(self) -> None:
        """Making a bucket again is success, and touches nothing in it."""
        bench = await self._bench()
        request = bucket_request(bench)
        await bench.buckets.make(request)
        await bench.store(request.name, "v1/share", b"kept")
        await bench.buckets.make(request)
        assert await self.eventually(bench, lambda: bench.buckets.find(request.name))

    async def test_bucket_with_objects_is_unmade_and_again(self) -> None:
        """Unmaking takes the objects with it; unmaking what is gone is success."""
        bench = await self._bench()
        request = bucket_request(bench)
        await bench.buckets.make(request)
        await bench.store(request.name, "v1/a b?c", b"first")
        await bench.store(request.name, "v1/a b?c", b"second version")
        await bench.buckets.unmake(request.name)
        assert await bench.buckets.find(request.name) is None
        await bench.buckets.unmake(request.name)

    async def test_bucket_never_made_is_unmade(self) -> None:
        """Unmaking what never was is success."""
        bench = await self._bench()
        await bench.buckets.unmake(resource(bench))


class RolesContract(Contract):
    async def test_role_is_found_once_made_and_not_before(self) -> None:
        """The ARN that making answers is the one that finding answers."""
        bench = await self._bench()
        request = role_request(bench)
        assert await bench.roles.find(request.name) is None
        arn = await bench.roles.make(request)
        found = await self.eventually(bench, lambda: bench.roles.find(request.name))
        assert (found.arn, found.writes) == (arn, True)
        assert arn.endswith(f":role{request.path}{request.name}")

    async def test_right_to_write_is_taken_and_given_back(self) -> None:
        """Making the role again with another right replaces what it may do."""
        bench = await self._bench()
        request = role_request(bench)
        arn = await bench.roles.make(request)
        for writes in (False, False, True):
            asked = attrs.evolve(request, writes=writes)
            assert await bench.roles.make(asked) == arn
            found = await self.eventually(bench, lambda: bench.roles.find(request.name))
            assert (found.arn, found.writes) == (arn, writes)

    async def test_role_made_twice_is_one_role(self) -> None:
        """Making a role again is success, with the same ARN."""
        bench = await self._bench()
        request = role_request(bench)
        first = await bench.roles.make(request)
        assert await bench.roles.make(request) == first

    async def test_role_is_unmade_and_again(self) -> None:
        """Unmaking removes all of it; unmaking what is gone is success."""
        bench = await self._bench()
        request = role_request(bench)
        await bench.roles.make(request)
        await bench.roles.unmake(request.name)
        assert await bench.roles.find(request.name) is None
        await bench.roles.unmake(request.name)


class HostsContract(Contract):
    async def _launched(self, bench: Bench, generation: int = 1) -> Any:
        role = role_request(bench)
        await bench.roles.make(role)
        key = HostKey(bench.deployment, word("su"), generation)
        request = launch_request(bench, key, role.name)
        return request, await self.launch(bench, request)

    async def launch(self, bench: Bench, request: LaunchRequest) -> Any:
        """Launch; a new instance profile may be unknown for some seconds."""
        for _ in range(100):
            try:
                return await bench.hosts.make(request)
            except TryLater:
                await bench.pause()
        raise AssertionError("never launched")

    async def test_host_is_found_by_its_key_alone(self) -> None:
        """The host is found by deployment, signup and generation, and by no other."""
        bench = await self._bench()
        request, host = await self._launched(bench)
        found = await self.eventually(bench, lambda: bench.hosts.find(request.key))
        assert found.instance_id == host.instance_id
        assert found.key == request.key
        next_one = attrs.evolve(request.key, generation=2)
        assert await bench.hosts.find(next_one) is None

    async def _addressed(self, bench: Bench, key: HostKey, seen: list[Any]) -> Any:
        """The host once it runs and shows an address; *seen* is what it showed."""

        async def running() -> Any:
            host = await bench.hosts.find(key)
            if host is not None:
                seen.append(host.address)
            return host if host and host.state == "running" and host.address else None

        return await self.eventually(bench, running)

    async def test_host_gets_an_address(self) -> None:
        """A host comes to run, with a public address, and shows no other one before."""
        bench = await self._bench()
        request, launched = await self._launched(bench)
        seen = [launched.address]
        host = await self._addressed(bench, request.key, seen)
        assert set(seen) <= {None, host.address}
        (listed,) = [
            h
            for h in await bench.hosts.list(bench.deployment)
            if h.instance_id == host.instance_id
        ]
        assert listed.address == host.address

    async def test_another_address_after_a_stop_and_a_start(self) -> None:
        """A host that somebody stops has no address, and started again another one."""
        bench = await self._bench()
        request, _ = await self._launched(bench)
        first = await self._addressed(bench, request.key, [])
        await bench.press("stop", first.instance_id)

        async def stopped() -> Any:
            host = await bench.hosts.find(request.key)
            return host if host and host.state == "stopped" else None

        assert (await self.eventually(bench, stopped)).address is None
        await bench.press("start", first.instance_id)
        seen: list[Any] = []
        again = await self._addressed(bench, request.key, seen)
        assert again.instance_id == first.instance_id
        assert set(seen) <= {None, again.address}
        assert again.address != first.address

    async def test_same_token_same_request_is_one_host(self) -> None:
        """After a lost reply the same request answers with the host there is."""
        bench = await self._bench()
        request, host = await self._launched(bench)
        again = await bench.hosts.make(request)
        assert again.instance_id == host.instance_id
        await self.eventually(bench, lambda: bench.hosts.find(request.key))
        every = await bench.hosts.list(request.key.deployment)
        assert len([h for h in every if h.key == request.key]) == 1

    async def test_same_token_other_request_is_refused(self) -> None:
        """A token with other parameters is refused for good."""
        bench = await self._bench()
        request, _ = await self._launched(bench)
        other = attrs.evolve(request, user_data=Secret('{"ignition":{}}'))
        await self.raises(Refused, bench.hosts.make(other))

    async def test_unmade_host_is_found_and_listed_no_more(self) -> None:
        """Terminating is final, and terminating again is success."""
        bench = await self._bench()
        request, host = await self._launched(bench)
        await self.eventually(bench, lambda: bench.hosts.find(request.key))
        await bench.hosts.unmake(host.instance_id)

        async def gone() -> bool | None:
            return True if await bench.hosts.find(request.key) is None else None

        assert await self.eventually(bench, gone)
        every = await bench.hosts.list(request.key.deployment)
        assert request.key not in [h.key for h in every]
        await bench.hosts.unmake(host.instance_id)

    async def test_token_of_an_unmade_host_is_spent(self) -> None:
        """The token of a terminated host launches nothing."""
        bench = await self._bench()
        request, host = await self._launched(bench)
        await self.eventually(bench, lambda: bench.hosts.find(request.key))
        await bench.hosts.unmake(host.instance_id)
        await self.raises(TokenSpent, bench.hosts.make(request))

    async def test_console_of_a_host_is_read(self) -> None:
        """What a visible host wrote is text with a time; an unknown one has none."""
        bench = await self._bench()
        request, host = await self._launched(bench)
        await self.eventually(bench, lambda: bench.hosts.find(request.key))

        async def written() -> Any:
            return await bench.hosts.console(host.instance_id)

        console = await self.eventually(bench, written)
        assert isinstance(console.text, str)
        assert console.at.tzinfo is not None
        assert await bench.hosts.console("i-0123456789abcdef0") is None

    async def test_unknown_host_is_unmade(self) -> None:
        """Terminating what nobody knows is success."""
        bench = await self._bench()
        await bench.hosts.unmake("i-0123456789abcdef0")


class AddressesContract(Contract):
    async def test_address_is_made_changed_and_unmade(self) -> None:
        """A name has the address it was last given, until it is unmade."""
        bench = await self._bench()
        name = host_name(bench)
        assert await bench.addresses.find(name) is None
        await bench.addresses.make(name, "198.18.0.7")
        await bench.addresses.make(name, "198.18.0.7")
        assert await bench.addresses.find(name) == "198.18.0.7"
        await bench.addresses.make(name, "198.18.0.8")
        assert await bench.addresses.find(name) == "198.18.0.8"
        await bench.addresses.unmake(name)
        assert await bench.addresses.find(name) is None
        assert await bench.addresses.unmake(name) is None

    async def test_a_change_is_served_after_a_while(self) -> None:
        """What was made and what was removed is served sooner or later."""
        bench = await self._bench()
        name = host_name(bench)
        for change in (
            await bench.addresses.make(name, "198.18.0.7"),
            await bench.addresses.unmake(name),
        ):

            async def served(change: str = change) -> bool | None:
                return await bench.addresses.is_served(change) or None

            assert await self.eventually(bench, served)

    async def test_wildcard_is_not_the_names_own(self) -> None:
        """The zone's wildcard record is not taken for the record of a name."""
        bench = await self._bench()
        await bench.make_wildcard("198.18.0.1")
        assert await bench.addresses.find(host_name(bench)) is None

    async def test_names_are_listed_with_their_addresses(self) -> None:
        """A list has every name of its own in the zone, and those that are gone not."""
        bench = await self._bench()
        first, second = host_name(bench), host_name(bench)
        await bench.addresses.make(first, "198.18.0.7")
        await bench.addresses.make(second, "198.18.0.8")
        listed = await bench.addresses.list()
        assert (listed[first], listed[second]) == ("198.18.0.7", "198.18.0.8")
        await bench.addresses.unmake(first)
        assert first not in await bench.addresses.list()


class VaultContract(Contract):
    async def test_document_is_never_overwritten(self) -> None:
        """The same bytes again are success; other bytes are refused and not kept."""
        bench = await self._bench()
        document = Sealed(f"identities/{word('su')}/1.sealed", b"\x00first\xff")
        assert await bench.vault.get(document.key) is None
        await bench.vault.put(document)
        await bench.vault.put(document)
        other = attrs.evolve(document, body=b"second")
        await self.raises(AlreadyThere, bench.vault.put(other))
        assert await bench.vault.get(document.key) == document


class DataKeysContract(Contract):
    async def test_key_is_unwrapped_with_its_context_alone(self) -> None:
        """A data key comes back with the context it was made for, and no other."""
        bench = await self._bench()
        context = (("kind", "identity"), ("signup", "su1"))
        key, wrapped, key_id = await bench.data_keys.generate(context)
        assert await bench.data_keys.unwrap(wrapped, key_id, context) == key
        other = (("kind", "identity"), ("signup", "su2"))
        await self.raises(Refused, bench.data_keys.unwrap(wrapped, key_id, other))

    async def test_each_key_is_fresh(self) -> None:
        """Two keys for one context are two keys, of 256 bits each."""
        bench = await self._bench()
        first, _, _ = await bench.data_keys.generate((("kind", "canary"),))
        second, _, _ = await bench.data_keys.generate((("kind", "canary"),))
        assert first != second
        assert len(base64.b64decode(first.reveal())) == 32
