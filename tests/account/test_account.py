"""A deployment's things, made in an account of the local cloud, and broken there."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.account.account import Account, NeedsPermissions
from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference
from lae_provision.account.plan import plan
from lae_provision.aws.channel import Patience
from lae_provision.aws.cloud import open_cloud
from lae_provision.errors import Refused, TryLater


class Stopped(Exception):
    """Somebody pulled the plug."""


class OnLocalCloud(TestCase):
    @pytest.fixture(autouse=True)
    def _cloud(self, cloud: Any, request: pytest.FixtureRequest) -> None:
        self.cloud, self.facts = cloud, cloud.facts
        self.name = (
            "t" + "".join(c for c in request.node.name if c.isalnum())[-14:].lower()
        )

    def setUp(self) -> None:
        self.agent = pooled_agent(reactor)
        self.addCleanup(self.agent._pool.closeCachedConnections)
        self.addCleanup(self.cloud.calm)

    def desired(self) -> Desired:
        facts, path = self.facts, f"/s4/{self.name}/"
        return Desired(
            account=facts["account_id"],
            region=facts["region"],
            deployment=self.name,
            state_bucket=f"{self.name}-state",
            kms_key=f"alias/{self.name}",
            boundary_arn=f"arn:aws:iam::{facts['account_id']}:policy{path}boundary",
            role_path=path,
            daemon="role",
            dns_zone=facts["dns_zone"],
            dns_zone_id=facts["hosted_zone_id"],
            subnet_id=facts["subnet_id"],
            zone=facts["availability_zone"],
            instance_type="t3.small",
            spans=((3456, 3456), (3457, 3457)),
            tls_only=False,
        )

    def account(self, keys: tuple[str, str] | None = None, **changed: Any) -> Account:
        key, secret = keys or (self.facts["access_key"], self.facts["secret_key"])
        opened = open_cloud(
            reactor,
            Random(1),
            StaticCredentials(Credentials(key, Secret(secret))),
            self.facts["region"],
            endpoint=self.facts["aws_endpoint"],
            s3_endpoint=self.facts["s3_endpoint"],
            agent=self.agent,
            patience=Patience(seconds=20, attempts=3, base=0.01),
        )
        return Account(opened.channel, evolve(self.desired(), **changed))

    async def steps(self, account: Account) -> list[str]:
        seen = await account.look()
        return [f"{d.thing}: {d.step}" for d in plan(account.desired, seen).steps]

    def failed(self, waiting: Any, kind: type[Exception]) -> Deferred:
        return self.assertFailure(Deferred.fromCoroutine(waiting), kind)

    def keys_of_deployment(self) -> list[str]:
        kms = self.cloud.client("kms")
        tag = {"TagKey": "s4:deployment", "TagValue": self.name}
        return [
            key["KeyId"]
            for key in kms.list_keys()["Keys"]
            if tag in kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
        ]


class MakingTests(OnLocalCloud):
    async def test_all_of_it(self) -> None:
        """From nothing to all of it, as AWS' own client sees it; then nothing to do."""
        account = self.account()
        said: list[Difference] = []
        left, seen = await account.apply(said.append)
        self.assertEqual([d.thing for d in left.differences], ["security group"])
        self.assertEqual(len(said), 7)
        again: list[Difference] = []
        await account.apply(again.append)
        self.assertEqual(again, [])
        group = seen.groups.groups[0].group_id
        named = self.account(security_groups=(group,))
        decided = plan(named.desired, await named.look())
        self.assertEqual(decided.differences, ())

        bucket = f"{self.name}-state"
        s3, iam, kms = (self.cloud.client(n) for n in ("s3", "iam", "kms"))
        self.assertEqual(s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
        blocked = s3.get_public_access_block(Bucket=bucket)
        self.assertTrue(all(blocked["PublicAccessBlockConfiguration"].values()))
        rule = s3.get_bucket_encryption(Bucket=bucket)[
            "ServerSideEncryptionConfiguration"
        ]
        self.assertIn("AES256", json.dumps(rule))
        [key] = self.keys_of_deployment()
        aliases = [a["AliasName"] for a in kms.list_aliases(KeyId=key)["Aliases"]]
        self.assertEqual(aliases, [f"alias/{self.name}"])
        self.assertTrue(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])
        profile = iam.get_instance_profile(InstanceProfileName=f"{self.name}-daemon")
        [role] = profile["InstanceProfile"]["Roles"]
        self.assertEqual(role["Path"], "/s4-daemon/")
        attached = iam.list_attached_role_policies(RoleName=f"{self.name}-daemon")
        [held] = attached["AttachedPolicies"]
        version = iam.get_policy_version(PolicyArn=held["PolicyArn"], VersionId="v1")
        self.assertIn(key, json.dumps(version["PolicyVersion"]["Document"]))
        [rules] = self.cloud.client("ec2").describe_security_groups(GroupIds=[group])[
            "SecurityGroups"
        ]
        ports = {(p["FromPort"], p["ToPort"]) for p in rules["IpPermissions"]}
        self.assertEqual(ports, {(3456, 3456), (3457, 3457)})

    async def test_stopped_at_every_step(self) -> None:
        """Stopped before any step, and begun again: still one of each."""
        account = self.account()
        steps = 0

        def stop(_: Difference) -> None:
            nonlocal steps
            steps += 1
            if steps % 2:
                raise Stopped

        for _ in range(20):
            try:
                left, _ = await account.apply(stop)
            except Stopped:
                continue
            break
        self.assertEqual(left.steps, ())
        self.assertEqual(len(self.keys_of_deployment()), 1)

    async def test_half_made(self) -> None:
        """A call that fails in the middle leaves what the next call makes whole."""
        self.cloud.fault(
            "kms", "CreateAlias", "error-before", status=400, code="NoGood"
        )
        self.cloud.fault(
            "s3", "PutBucketVersioning", "error-before", status=400, code="NoGood"
        )
        self.cloud.fault(
            "iam", "AddRoleToInstanceProfile", "error-before", status=400, code="NoGood"
        )
        self.cloud.fault(
            "ec2",
            "AuthorizeSecurityGroupIngress",
            "error-before",
            status=400,
            code="NoGood",
        )
        account = self.account()
        failed = []
        while True:
            try:
                left, _ = await account.apply(lambda _: None)
            except Refused as e:
                failed.append(e.message.partition(":")[0])
                continue
            break
        self.assertEqual(len(failed), 4)
        self.assertEqual(left.steps, ())
        self.assertEqual(len(self.keys_of_deployment()), 1)

    async def test_lost_replies(self) -> None:
        """Every answer to what makes something is lost after its effect: one of each."""
        for service, action in (
            ("s3", "CreateBucket"),
            ("kms", "CreateKey"),
            ("kms", "CreateAlias"),
            ("iam", "CreatePolicy"),
            ("iam", "CreateRole"),
            ("iam", "CreateInstanceProfile"),
            ("logs", "CreateLogGroup"),
            ("ec2", "CreateSecurityGroup"),
        ):
            self.cloud.fault(service, action, "lost-reply")
        left, seen = await self.account().apply(lambda _: None)
        self.assertEqual(left.steps, ())
        self.assertEqual(len(self.keys_of_deployment()), 1)
        self.assertEqual(len(seen.groups.groups), 1)

    async def test_drift(self) -> None:
        """What somebody changed by hand is named, and put back by apply alone."""
        account = self.account()
        _, seen = await account.apply(lambda _: None)
        bucket, role = f"{self.name}-state", f"{self.name}-daemon"
        s3, iam, kms, logs, ec2 = (
            self.cloud.client(n) for n in ("s3", "iam", "kms", "logs", "ec2")
        )
        s3.delete_public_access_block(Bucket=bucket)
        s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
        )
        kms.disable_key_rotation(KeyId=self.keys_of_deployment()[0])
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam.create_policy_version(
            PolicyArn=account.desired.boundary_arn,
            PolicyDocument=document,
            SetAsDefault=True,
        )
        iam.detach_role_policy(
            RoleName=role, PolicyArn=account.desired.daemons_policy_arn
        )
        iam.remove_role_from_instance_profile(InstanceProfileName=role, RoleName=role)
        logs.delete_retention_policy(logGroupName=f"/s4/{self.name}")
        group = seen.groups.groups[0].group_id
        ec2.revoke_security_group_ingress(
            GroupId=group,
            IpProtocol="tcp",
            FromPort=3456,
            ToPort=3456,
            CidrIp="0.0.0.0/0",
        )
        broken = await self.steps(account)
        self.assertEqual(
            broken,
            [
                "state bucket: publicAccessBlock",
                "state bucket: versioning",
                "sealing key: rotation",
                "boundary: replace",
                "daemon: attach",
                "daemon: profile",
                "log group: retention",
                "security group: open",
            ],
        )
        self.assertEqual(await self.steps(account), broken)
        left, _ = await account.apply(lambda _: None)
        self.assertEqual(left.steps, ())

    async def test_a_long_remembered_wildcard(self) -> None:
        """A wildcard of an operator's own keeps its values, and is remembered shortly."""
        account, values = self.account(), [{"Value": "198.51.100.7"}]
        route53 = self.cloud.client("route53")
        record = {
            "Name": f"*.{self.facts['dns_zone']}",
            "Type": "A",
            "TTL": 3600,
            "ResourceRecords": values,
        }
        change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        zone = self.facts["hosted_zone_id"]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
        await account.apply(lambda _: None)
        kept = route53.list_resource_record_sets(HostedZoneId=zone)[
            "ResourceRecordSets"
        ]
        [found] = [r for r in kept if r["Type"] == "A"]
        self.assertEqual((found["TTL"], found["ResourceRecords"]), (60, values))

    async def test_more_than_the_account_has(self) -> None:
        """Quotas are compared with what the settings count on."""
        account = self.account()
        wanted = evolve(
            account.desired.capacity, instances=1025, roles=5000, records=10
        )
        seen = await account.look()
        decided = plan(evolve(account.desired, capacity=wanted), seen)
        quotas = {d.name: d.found for d in decided.differences if d.thing == "quota"}
        self.assertEqual(quotas, {"instances": "1024", "roles": "1000"})
        self.assertEqual(decided.unreported, ())


class RefusalTests(OnLocalCloud):
    def keys(self, *actions: str) -> tuple[str, str]:
        """Keys of somebody who may do this much."""
        iam, name = self.cloud.client("iam"), f"{self.name}-somebody"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    async def test_missing_permissions(self) -> None:
        """Every permission that is missing is named at once."""
        account = self.account(
            self.keys("s3:*", "ec2:*", "servicequotas:*", "iam:GetPolicy", "route53:*")
        )
        failure = await self.failed(account.look(), NeedsPermissions)
        self.assertEqual(
            failure.actions,
            (
                "iam:GetAccountSummary",
                "iam:GetRole",
                "kms:DescribeKey",
                "logs:DescribeLogGroups",
            ),
        )

    async def test_a_permission_that_is_missing_on_the_way(self) -> None:
        """Who may look and not make is told what for; nothing is half made of it."""
        looks = (
            "*:Get*",
            "s3:*",
            "ec2:Describe*",
            "iam:Get*",
            "iam:List*",
            "kms:Describe*",
            "kms:List*",
            "kms:Get*",
            "logs:Describe*",
            "route53:*",
            "servicequotas:*",
        )
        account = self.account(self.keys(*looks))
        failure = await self.failed(account.apply(lambda _: None), Refused)
        self.assertEqual(failure.action, "kms:CreateKey")
        self.assertEqual(self.keys_of_deployment(), [])

    async def test_another_account(self) -> None:
        """Keys of another account than the settings' are refused before anything."""
        account = self.account(account="210987654321")
        failure = await self.failed(account.identify(), Refused)
        self.assertEqual(failure.code, "WrongAccount")
        self.assertIn("210987654321", failure.message)

    async def test_the_daemons_own_keys(self) -> None:
        """The daemon's keys are not taken: it must not change what it may do."""
        keys = (self.facts["daemon_access_key"], self.facts["daemon_secret_key"])
        account = self.account(keys, deployment=self.facts["deployment"])
        failure = await self.failed(account.identify(), Refused)
        self.assertEqual(failure.code, "DaemonsKeys")

    async def test_throttled(self) -> None:
        """Throttling is waited out; where it lasts, the next call goes on."""
        self.cloud.fault("iam", "CreatePolicy", "throttle", times=2)
        self.cloud.fault("logs", "CreateLogGroup", "throttle", times=3)
        account = self.account()
        await self.failed(account.apply(lambda _: None), TryLater)
        said: list[str] = []
        left, _ = await account.apply(lambda d: said.append(d.thing))
        self.assertEqual(left.steps, ())
        self.assertEqual(said, ["log group", "security group"])

    async def test_another_region(self) -> None:
        """A bucket in another region than the settings', and a subnet that the region
        does not have, are for a person; neither is made.
        """
        other = self.account(
            region="us-west-2",
            zone="us-west-2a",
            subnet_id="subnet-0123456789abcdef0",
            state_bucket=self.facts["state_bucket"],
        )
        decided = plan(other.desired, await other.look())
        by_hand = [(d.thing, d.found) for d in decided.by_hand]
        self.assertIn(("state bucket", "in eu-west-1"), by_hand)
        self.assertIn(("network", "no such subnet in us-west-2"), by_hand)
