from __future__ import annotations

import json

import attrs
import pytest
from twisted.trial.unittest import TestCase

from lae_provision.aws.policies import host_policy
from lae_provision.doors import Role
from lae_provision.errors import AlreadyThere, Refused
from tests.provision.contracts.suite import bucket_request, role_request


class OnMotoTests(TestCase):
    @pytest.fixture(autouse=True)
    def _benches(self, benches: object) -> None:
        self.benches = benches
        self.iam = benches.account.client("iam")

    def setUp(self) -> None:
        self.addCleanup(self.benches.close)
        self.bench = self.benches.bench()
        self.door = self.bench.roles

    async def test_all_that_is_made(self) -> None:
        """The role is under its path and boundary, for EC2 alone, with one policy; its
        instance profile has the same name and holds it.
        """
        request = role_request(self.bench)
        arn = await self.door.make(request)
        role = self.iam.get_role(RoleName=request.name)["Role"]
        self.assertEqual((role["Arn"], role["Path"]), (arn, request.path))
        boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
        self.assertEqual(boundary, request.boundary_arn)
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]
        self.assertEqual(trust["Principal"], {"Service": "ec2.amazonaws.com"})
        names = self.iam.list_role_policies(RoleName=request.name)["PolicyNames"]
        self.assertEqual(names, ["own-bucket"])
        policy = self.iam.get_role_policy(
            RoleName=request.name, PolicyName="own-bucket"
        )["PolicyDocument"]
        self.assertEqual(policy, json.loads(host_policy(request.bucket)))
        profile = self.iam.get_instance_profile(InstanceProfileName=request.name)
        [held] = profile["InstanceProfile"]["Roles"]
        self.assertEqual(held["RoleName"], request.name)
        tags = self.iam.list_role_tags(RoleName=request.name)["Tags"]
        self.assertEqual(tags, [{"Key": "s4:deployment", "Value": "s4"}])

    async def test_half_made_is_not_found_and_is_finished(self) -> None:
        """After each step that a crash can leave behind, the role is not found, and
        making it again finishes it.
        """
        for lost in ("policy", "profile", "membership"):
            request = role_request(self.bench)
            name = request.name
            arn = await self.door.make(request)
            if lost == "policy":
                self.iam.delete_role_policy(RoleName=name, PolicyName="own-bucket")
            else:
                self.iam.remove_role_from_instance_profile(
                    InstanceProfileName=name, RoleName=name
                )
            if lost == "profile":
                self.iam.delete_instance_profile(InstanceProfileName=name)
            self.assertIsNone(await self.door.find(name), lost)
            self.assertEqual(await self.door.make(request), arn)
            self.assertEqual(await self.door.find(name), Role(arn, writes=True))
            await self.door.unmake(name)

    async def test_half_unmade_is_unmade(self) -> None:
        """A role that lost its profile is still taken away."""
        request = role_request(self.bench)
        await self.door.make(request)
        names = {"InstanceProfileName": request.name}
        self.iam.remove_role_from_instance_profile(RoleName=request.name, **names)
        self.iam.delete_instance_profile(**names)
        await self.door.unmake(request.name)
        left = [r["RoleName"] for r in self.iam.list_roles()["Roles"]]
        self.assertNotIn(request.name, left)

    async def test_a_role_of_another_shape(self) -> None:
        """A role of this name under another boundary or path is none of ours."""
        request = role_request(self.bench)
        await self.door.make(request)
        for other in (
            attrs.evolve(request, boundary_arn="arn:aws:iam::123456789012:policy/x"),
            attrs.evolve(request, path="/else/"),
        ):
            with self.assertRaises(AlreadyThere):
                await self.door.make(other)

    async def test_a_profile_with_another_role(self) -> None:
        """An instance profile that holds another role is none of ours."""
        one, other = role_request(self.bench), role_request(self.bench)
        await self.door.make(one)
        self.iam.create_role(RoleName=other.name, AssumeRolePolicyDocument="{}")
        names = {"InstanceProfileName": one.name}
        self.iam.remove_role_from_instance_profile(RoleName=one.name, **names)
        self.iam.add_role_to_instance_profile(RoleName=other.name, **names)
        with self.assertRaises(AlreadyThere):
            await self.door.find(one.name)
        with self.assertRaises(AlreadyThere):
            await self.door.make(one)

    async def test_a_suspended_hosts_keys_change_no_share(self) -> None:
        """With a right that was taken the same session, which the host still holds, is
        refused to write or delete shares, and reads; given back, it writes again.
        """
        mine = bucket_request(self.bench)
        await self.bench.buckets.make(mine)
        role = role_request(self.bench, mine.name)
        await self.door.make(role)
        host = self.benches.cloud(self.benches.account.session(role.name))
        client, share = host.buckets._client, "immutable/s/0"
        await client.call("PUT", mine.name, key=share, body=b"kept")
        await self.door.make(attrs.evolve(role, writes=False))
        for key in (share, "mutable/s", "chunks/s/c", "elsewhere", "s4"):
            with self.assertRaises(Refused):
                await client.call("PUT", mine.name, key=key, body=b"x")
            with self.assertRaises(Refused):
                await client.call("DELETE", mine.name, key=key)
        read = await client.call("GET", mine.name, key=share)
        self.assertEqual(read.body, b"kept")
        for key in ("s4/epoch", "leases/s", "meter/d/1", "advisories/a"):
            await client.call("PUT", mine.name, key=key, body=b"x")
        await self.door.make(role)
        await client.call("PUT", mine.name, key="mutable/s", body=b"x")

    async def test_a_hosts_keys_reach_its_own_bucket_alone(self) -> None:
        """With the session of a host's role, objects of its own bucket are written,
        read, listed (with their versions) and deleted; another bucket, older versions
        themselves and settings are refused.
        """
        mine, others = bucket_request(self.bench), bucket_request(self.bench)
        for request in (mine, others):
            await self.bench.buckets.make(request)
        await self.bench.store(others.name, "v1/a", b"secret")
        role = role_request(self.bench, mine.name)
        await self.door.make(role)
        session = self.benches.account.session(role.name)
        host = self.benches.cloud(session)
        client = host.buckets._client
        await client.call("PUT", mine.name, key="v1/a", body=b"kept")
        read = await client.call("GET", mine.name, key="v1/a")
        self.assertEqual(read.body, b"kept")
        await client.call("GET", mine.name, subresource=[("list-type", "2")])
        version = read.headers.getRawHeaders("x-amz-version-id")[0]
        await client.call("DELETE", mine.name, key="v1/a")
        told = await client.call("GET", mine.name, subresource=[("versions",)])
        self.assertIn(b"<Size>4</Size>", told.body)
        for method, bucket, more in (
            ("GET", others.name, {"key": "v1/a"}),
            ("PUT", others.name, {"key": "v1/b", "body": b"x"}),
            ("DELETE", others.name, {"key": "v1/a"}),
            ("GET", others.name, {}),
            ("GET", others.name, {"subresource": [("versions",)]}),
            # It may know how large an older version is, and not what it says.
            (
                "GET",
                mine.name,
                {"key": "v1/a", "subresource": [("versionId", version)]},
            ),
            (
                "DELETE",
                mine.name,
                {"key": "v1/a", "subresource": [("versionId", version)]},
            ),
            ("DELETE", mine.name, {}),
            ("GET", mine.name, {"subresource": [("policy",)]}),
            (
                "PUT",
                mine.name,
                {
                    "subresource": [("versioning",)],
                    "body": b"<V><Status>Suspended</Status></V>",
                },
            ),
        ):
            with self.assertRaises(Refused) as caught:
                await client.call(method, bucket, **more)
            code = caught.exception.code
            self.assertEqual(code, "AccessDenied", (method, more))
        with self.assertRaises(Refused):
            await host.roles.find(role.name)
        with self.assertRaises(Refused):
            await host.hosts.list("s4")

    async def test_strangers_keys_reach_nothing(self) -> None:
        """Keys without a policy are refused everywhere: moto does check."""
        stranger = self.benches.cloud(self.benches.account.stranger)
        with self.assertRaises(Refused):
            await stranger.roles.find("any")
        with self.assertRaises(Refused):
            await stranger.hosts.list("s4")
        with self.assertRaises(Refused):
            await stranger.vault("s4-state").get("a")
        zone = self.benches.account.zone_id
        with self.assertRaises(Refused):
            await stranger.addresses(zone).find("a.grid.example")
        key = self.benches.account.kms_key_arn
        with self.assertRaises(Refused):
            await stranger.data_keys(key).generate(())
