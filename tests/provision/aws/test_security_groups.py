from __future__ import annotations

import attrs
import pytest
from twisted.trial.unittest import TestCase

from lae_provision.aws.security_groups import GroupRequest
from lae_provision.errors import Refused


class OnMotoTests(TestCase):
    @pytest.fixture(autouse=True)
    def _benches(self, benches: object) -> None:
        self.benches = benches
        self.ec2 = benches.account.client("ec2")

    def setUp(self) -> None:
        self.addCleanup(self.benches.close)
        self.door = self.benches.cloud(self.benches.account.own).security_groups

    def request(self, name: str) -> GroupRequest:
        vpc = self.benches.account.vpc_id
        return GroupRequest(name, vpc, (3456, 3457), (("s4:deployment", "s4"),))

    async def test_made_and_made_again(self) -> None:
        """The group lets in two ports from everywhere, and is made once."""
        request = self.request("made")
        made = await self.door.make(request)
        self.assertEqual(await self.door.make(request), made)
        shown = self.ec2.describe_security_groups(GroupIds=[made])
        [group] = shown["SecurityGroups"]
        rules = {
            (p["FromPort"], p["ToPort"], r)
            for p in group["IpPermissions"]
            for r in [
                *(x["CidrIp"] for x in p["IpRanges"]),
                *(x["CidrIpv6"] for x in p["Ipv6Ranges"]),
            ]
        }
        self.assertEqual(
            rules,
            {(p, p, s) for p in (3456, 3457) for s in ("0.0.0.0/0", "::/0")},
        )
        self.assertEqual(group["Tags"], [{"Key": "s4:deployment", "Value": "s4"}])

    async def test_a_missing_rule_is_put_back(self) -> None:
        """A rule that somebody took away is made again."""
        request = self.request("missing")
        made = await self.door.make(request)
        self.ec2.revoke_security_group_ingress(
            GroupId=made,
            IpProtocol="tcp",
            FromPort=3456,
            ToPort=3456,
            CidrIp="0.0.0.0/0",
        )
        self.assertEqual(await self.door.make(request), made)
        more = attrs.evolve(request, ports=(3456, 3457, 3458))
        self.assertEqual(await self.door.make(more), made)

    async def test_an_open_door_is_told(self) -> None:
        """A group that lets in more than it should is refused: somebody must look."""
        request = self.request("open")
        made = await self.door.make(request)
        self.ec2.authorize_security_group_ingress(
            GroupId=made,
            IpProtocol="tcp",
            FromPort=22,
            ToPort=22,
            CidrIp="0.0.0.0/0",
        )
        failure = await self.assertFailure(self.door.make(request), Refused)
        self.assertEqual(failure.code, "GroupChanged")
        self.assertIn("22", failure.message)
