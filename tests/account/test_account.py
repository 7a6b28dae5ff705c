"""A deployment's stack, made in an account of the local cloud, and broken there."""

from __future__ import annotations

import hashlib
import json
from random import Random
from typing import Any

import pytest
from attrs import evolve
from botocore.exceptions import ClientError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.account.account import Account, NeedsPermissions
from lae_provision.account.applying import Applied, StackFailed, Unsaid
from lae_provision.account.change_set import Judged
from lae_provision.account.desired import Desired, Machine, MailRecords, Names
from lae_provision.aws.channel import Patience
from lae_provision.aws.cloud import open_cloud
from lae_provision.aws.cloudformation import open_account
from lae_provision.errors import Refused
from lae_provision.hosts.programs import ImageReference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


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
        self.said: list[str] = []
        self.asked: list[Judged] = []

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
            names=Names(facts["dns_zone"], f"{self.name}.{facts['dns_zone']}"),
            dns_zone_id=facts["hosted_zone_id"],
            subnet_id=facts["subnet_id"],
            zone=facts["availability_zone"],
            instance_type="t3a.small",
            image_id=facts["image_id"],
            image_owner=facts["account_id"],
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
        return open_account(opened.channel, evolve(self.desired(), **changed))

    async def apply(self, account: Account | None = None, **more: Any) -> Applied:
        account = account or self.account()
        return await account.apply(self.asked.append, self.said.append, **more)

    async def differs(self, account: Account) -> list[str]:
        """What differs of the stack itself."""
        checked = await account.check()
        mine = ("quota", "image", "instance type", "network", "repository", "settings")
        return [
            f"{d.name}: {d.found}" for d in checked.differences if d.thing not in mine
        ]

    def failed(self, waiting: Any, kind: type[Exception]) -> Deferred:
        return self.assertFailure(Deferred.fromCoroutine(waiting), kind)


class MakingTests(OnLocalCloud):
    async def test_all_of_it(self) -> None:
        """From nothing to all of it, as AWS' own client sees it; then nothing to do."""
        account = self.account()
        made = await self.apply(account)
        self.assertEqual(made.stack.status, "CREATE_COMPLETE")
        self.assertEqual(len(self.asked), 1)
        again = await self.apply(account)
        self.assertEqual((again.changes, len(self.asked)), ((), 1))
        self.assertEqual(await self.differs(account), [])

        bucket, outputs = f"{self.name}-state", made.stack.outputs
        s3, iam, kms = (self.cloud.client(n) for n in ("s3", "iam", "kms"))
        self.assertEqual(s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
        blocked = s3.get_public_access_block(Bucket=bucket)
        self.assertTrue(all(blocked["PublicAccessBlockConfiguration"].values()))
        key = outputs["SealingKeyArn"]
        aliases = [a["AliasName"] for a in kms.list_aliases(KeyId=key)["Aliases"]]
        self.assertEqual(aliases, [f"alias/{self.name}"])
        self.assertTrue(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])
        signing = kms.describe_key(KeyId=f"alias/{self.name}-images")["KeyMetadata"]
        self.assertEqual(
            (signing["KeySpec"], signing["KeyUsage"]), ("ECC_NIST_P256", "SIGN_VERIFY")
        )
        profile = iam.get_instance_profile(InstanceProfileName=f"{self.name}-daemon")
        [role] = profile["InstanceProfile"]["Roles"]
        self.assertEqual(role["Path"], "/s4-daemon/")
        attached = iam.list_attached_role_policies(RoleName=f"{self.name}-daemon")
        documents = ""
        for held in attached["AttachedPolicies"]:
            version = iam.get_policy_version(
                PolicyArn=held["PolicyArn"], VersionId="v1"
            )
            documents += json.dumps(version["PolicyVersion"]["Document"])
        self.assertIn(key, documents)
        group = outputs["SecurityGroup"]
        self.assertIn(group, documents)
        [rules] = self.cloud.client("ec2").describe_security_groups(GroupIds=[group])[
            "SecurityGroups"
        ]
        ports = {(p["FromPort"], p["ToPort"]) for p in rules["IpPermissions"]}
        self.assertEqual(ports, {(3456, 3456), (3457, 3457)})

    async def test_a_network_and_a_zone_of_its_own(self) -> None:
        """Where the settings leave subnet and zone open the stack has them; they stay its
        own when the settings name them later, with a machine and records beside.
        """
        names = Names(f"{self.name}.example", f"grids.{self.name}.example")
        account = self.account(subnet_id="", dns_zone_id="", names=names)
        made = await self.apply(account)
        outputs = made.stack.outputs
        self.assertTrue(outputs["NameServers"])
        checked = await account.check()
        told = {d.remedy.rpartition(": ")[2] for d in checked.by_hand}
        self.assertLessEqual({outputs["SubnetId"], outputs["HostedZoneId"]}, told)
        named = self.account(
            subnet_id=outputs["SubnetId"],
            dns_zone_id=outputs["HostedZoneId"],
            security_groups=(outputs["SecurityGroup"],),
            names=evolve(names, site=names.domain, daemon=f"flapp.{names.domain}"),
            mail=MailRecords(
                names.domain, f"b.{names.domain}", "v=spf1 -all", "v=DMARC1; p=none"
            ),
            machine=Machine(
                "r1",
                self.facts["image_id"],
                "t3a.small",
                "ssh-ed25519 A",
                "192.0.2.0/24",
            ),
        )
        grown = await self.apply(named)
        self.assertEqual({c.fate.value for c in grown.changes}, {"made"})
        self.assertEqual(await self.differs(named), [])
        zone = outputs["HostedZoneId"]
        listed = self.cloud.client("route53").list_resource_record_sets(
            HostedZoneId=zone
        )["ResourceRecordSets"]
        records = {
            (r["Name"].rstrip("."), r["Type"]): r["ResourceRecords"][0]["Value"]
            for r in listed
        }
        self.assertEqual(records[names.domain, "TXT"], '"v=spf1 -all"')
        self.assertEqual(
            records[f"flapp.{names.domain}", "A"], grown.stack.outputs["MachineAddress"]
        )
        ec2 = self.cloud.client("ec2")
        [volume] = ec2.describe_volumes(VolumeIds=[grown.stack.outputs["VolumeId"]])[
            "Volumes"
        ]
        self.assertTrue(volume["Encrypted"])
        self.assertEqual(
            [a["InstanceId"] for a in volume["Attachments"]],
            [grown.stack.outputs["MachineId"]],
        )
        with_less = self.account(subnet_id="", dns_zone_id="", names=names)
        refused = await self.failed(self.apply(with_less), Unsaid)
        things = {c.row.thing for c in refused.refused}
        self.assertEqual(things, {"Machine", "Volume", "Address"})

    async def test_the_state_is_written_once(self) -> None:
        """In the bucket that is made, an object can be neither replaced nor deleted, not
        even by an administrator; and a bucket that lost that is named and mended.
        """
        account, bucket = self.account(), f"{self.name}-state"
        await self.apply(account)
        s3 = self.cloud.client("s3")
        s3.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")
        for attack in (
            lambda: s3.put_object(Bucket=bucket, Key="a", Body=b"2"),
            lambda: s3.delete_object(Bucket=bucket, Key="a"),
        ):
            with self.assertRaises(ClientError) as refused:
                attack()
            self.assertIn("AccessDenied", str(refused.exception))
        s3.delete_bucket_policy(Bucket=bucket)
        [found] = await self.differs(account)
        self.assertIn("StateBucketPolicy", found)
        await self.apply(account)
        self.assertEqual(await self.differs(account), [])
        with self.assertRaises(ClientError):
            s3.delete_object(Bucket=bucket, Key="a")

    async def test_a_right_that_somebody_added(self) -> None:
        """A policy that somebody attached to the daemon, or edited, is named, and put
        right by the next apply.
        """
        account = self.account()
        made = await self.apply(account)
        iam, role = self.cloud.client("iam"), f"{self.name}-daemon"
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam.create_policy_version(
            PolicyArn=made.stack.outputs["BoundaryArn"],
            PolicyDocument=document,
            SetAsDefault=True,
        )
        theirs = iam.create_policy(
            PolicyName=f"{self.name}-theirs", PolicyDocument=document
        )
        iam.attach_role_policy(RoleName=role, PolicyArn=theirs["Policy"]["Arn"])
        found = await self.differs(account)
        self.assertEqual(
            {name.partition(" ")[0] for name in found}, {"Boundary", "DaemonRole"}
        )
        await self.apply(account)
        self.assertEqual(await self.differs(account), [])

    async def test_a_name_that_is_taken(self) -> None:
        """A bucket of that name which is there already: the stack comes to nothing, the
        bucket and the reason are told, and after another name was chosen it is made.
        """
        s3 = self.cloud.client("s3")
        where = {"LocationConstraint": self.facts["region"]}
        s3.create_bucket(Bucket=f"{self.name}-state", CreateBucketConfiguration=where)
        failure = await self.failed(self.apply(), StackFailed)
        self.assertIn("StateBucket", failure.message)
        self.assertIn("choose another name", failure.message)
        kms = self.cloud.client("kms")
        aliases = {a["AliasName"] for a in kms.list_aliases()["Aliases"]}
        self.assertNotIn(f"alias/{self.name}", aliases)
        made = await self.apply(self.account(state_bucket=f"{self.name}-other"))
        self.assertEqual(made.stack.status, "CREATE_COMPLETE")
        self.assertTrue(any("ROLLBACK_COMPLETE" in line for line in self.said))

    async def test_a_bucket_for_the_backup(self) -> None:
        """The backup's bucket is a stack of its own, made first, and looked at too; what
        the daemon may is changed with it.
        """
        account = self.account(backup_bucket=f"{self.name}-backup")
        self.assertEqual(
            await self.differs(account),
            [f"{self.name}-backup: missing", f"{self.name}: missing"],
        )
        made = await self.apply(account)
        self.assertEqual([len(j.changes) > 0 for j in self.asked], [True, True])
        self.assertEqual(made.stack.outputs["BackupBucket"], f"{self.name}-backup")
        s3 = self.cloud.client("s3")
        bucket = {"Bucket": f"{self.name}-backup"}
        self.assertEqual(s3.get_bucket_versioning(**bucket)["Status"], "Enabled")
        s3.put_bucket_versioning(
            **bucket, VersioningConfiguration={"Status": "Suspended"}
        )
        [found] = await self.differs(account)
        self.assertIn("BackupBucket", found)
        await self.apply(account)
        self.assertEqual(await self.differs(account), [])

    async def test_a_bucket_is_not_replaced_by_accident(self) -> None:
        """Another name for the state bucket would leave the old one behind: refused
        unless the bucket is named, and then the old one stays.
        """
        await self.apply()
        other = self.account(state_bucket=f"{self.name}-new")
        refused = await self.failed(self.apply(other), Unsaid)
        self.assertEqual([c.row.thing for c in refused.refused], ["StateBucket"])
        await self.apply(other, replace=frozenset({"StateBucket"}))
        names = {b["Name"] for b in self.cloud.client("s3").list_buckets()["Buckets"]}
        self.assertLessEqual({f"{self.name}-new", f"{self.name}-state"}, names)

    async def test_stopped_on_the_way(self) -> None:
        """A run that was ended while AWS was at work is gone on from by the next."""

        def pull(_: str) -> None:
            raise Stopped

        account = self.account()
        await self.failed(account.apply(self.asked.append, pull), Stopped)
        made = await self.apply(account)
        self.assertEqual(made.stack.status, "CREATE_COMPLETE")
        self.assertEqual(await self.differs(account), [])

    async def test_a_no_leaves_nothing_behind(self) -> None:
        """Who says no finds nothing in the account, and no stack."""

        def say_no(_: Judged) -> None:
            raise Stopped

        account = self.account()
        await self.failed(account.apply(say_no, self.said.append), Stopped)
        self.assertIsNone(await account.stacks.find(self.name))

    async def by_hand(self, **changed: Any) -> list[tuple[str, str]]:
        """What a person must mend of that which boots, and is reached, and is pulled."""
        differences = (await self.account(**changed).check()).by_hand
        kinds = ("image", "instance type", "network", "repository")
        return [(d.thing, d.found) for d in differences if d.thing in kinds]

    async def test_an_image_that_no_host_can_boot(self) -> None:
        """Each reason for which EC2 would refuse the launches is named before any."""
        self.assertEqual(await self.by_hand(), [])
        for changed, found in (
            ({"image_id": "ami-0123456789abcdef0"}, "no such image in eu-west-1"),
            ({"instance_type": "t4g.small"}, "for x86_64"),
            ({"volume_gib": 9}, "10 GiB"),
            ({"image_owner": "125523088429"}, "of the account 123456789012"),
        ):
            self.assertEqual(await self.by_hand(**changed), [("image", found)])

    async def test_a_subnet_that_nobody_reaches(self) -> None:
        """A subnet's own route table counts, and the VPC's main one where it has none."""
        ec2, vpc = self.cloud.client("ec2"), self.facts["vpc_id"]
        made = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock="10.78.16.0/24",
            AvailabilityZone=self.facts["availability_zone"],
        )
        subnet = made["Subnet"]["SubnetId"]
        no_addresses = ("network", "without public addresses")
        self.assertEqual(await self.by_hand(subnet_id=subnet), [no_addresses])
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        self.assertEqual(
            await self.by_hand(subnet_id=subnet),
            [no_addresses, ("network", "no route out")],
        )
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
        nat = gateway["NatGateway"]["NatGatewayId"]
        everywhere = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
        ec2.create_route(**everywhere, NatGatewayId=nat)
        found = await self.by_hand(subnet_id=subnet)
        self.assertEqual(found[1], ("network", f"the route out is {nat}"))

    async def test_an_image_that_no_host_can_pull(self) -> None:
        """A repository that is missing, whose tags may change, or without the image or
        its signature, is named; one with both, and the signatures' tags free, is not.
        """
        ecr, name = self.cloud.client("ecr"), f"{self.name}/node"
        registry = f"{self.facts['account_id']}.dkr.ecr.eu-west-1.amazonaws.com"
        manifest = json.dumps({"mediaType": MANIFEST, "layers": [], "config": {}})
        digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        image = ImageReference(f"{registry}/{name}@{digest}")

        async def found() -> list[str]:
            return [what for _, what in await self.by_hand(image=image)]

        self.assertEqual(await found(), ["missing"])
        ecr.create_repository(repositoryName=name, imageTagMutability="MUTABLE")
        self.assertEqual(await found(), ["tags may change: *", f"without {digest}"])
        ecr.put_image_tag_mutability(
            repositoryName=name,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[
                {"filterType": "WILDCARD", "filter": "sha256-*.sig"}
            ],
        )
        put = {"repositoryName": name, "imageManifest": manifest}
        ecr.put_image(**put, imageTag="v1", imageDigest=digest)
        self.assertEqual(await found(), [f"without {image.signature_tag}"])
        signature = manifest.replace("[]", '["signature"]')
        ecr.put_image(
            repositoryName=name,
            imageManifest=signature,
            imageTag=image.signature_tag,
            imageDigest="sha256:" + hashlib.sha256(signature.encode()).hexdigest(),
        )
        self.assertEqual(await found(), [])

    async def test_more_than_the_account_has(self) -> None:
        """Quotas are compared with what the settings count on."""
        account = self.account()
        wanted = evolve(
            account.desired.capacity, instances=1025, roles=5000, records=10
        )
        checked = await self.account(capacity=wanted).check()
        quotas = {d.name: d.found for d in checked.differences if d.thing == "quota"}
        self.assertEqual(quotas, {"instances": "1024", "roles": "1000"})
        self.assertEqual(checked.unreported, ())


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
        may = ("cloudformation:*", "ec2:*", "servicequotas:*", "route53:*")
        account = self.account(self.keys(*may), daemon="user")
        failure = await self.failed(account.check(), NeedsPermissions)
        self.assertEqual(
            failure.actions, ("iam:GetAccountSummary", "iam:ListAccessKeys")
        )

    async def test_a_permission_that_is_missing_on_the_way(self) -> None:
        """Who may make a stack, and not what is in it, is told what is missing; nothing
        of it is left.
        """
        keys = self.keys("cloudformation:*", "ec2:*", "route53:*", "s3:*", "iam:*")
        failure = await self.failed(self.apply(self.account(keys)), StackFailed)
        self.assertIn("kms:CreateKey", failure.message)
        self.assertIn("grant it", failure.message)

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
        """Throttling is waited out, also while a stack is watched."""
        for action in ("CreateChangeSet", "DescribeStacks", "DescribeStackEvents"):
            self.cloud.fault("cloudformation", action, "throttle", times=2)
        made = await self.apply()
        self.assertEqual(made.stack.status, "CREATE_COMPLETE")

    async def test_a_lost_answer(self) -> None:
        """An answer that is lost after the change set was executed does no harm."""
        for action in ("CreateChangeSet", "ExecuteChangeSet"):
            self.cloud.fault("cloudformation", action, "lost-reply", times=1)
        made = await self.apply()
        self.assertEqual(made.stack.status, "CREATE_COMPLETE")

    async def test_a_subnet_of_another_region(self) -> None:
        """A subnet that the region does not have is refused before anything is made."""
        account = self.account(subnet_id="subnet-0123456789abcdef0")
        failure = await self.failed(self.apply(account), Refused)
        self.assertEqual(failure.code, "NoSubnet")
        self.assertIsNone(await account.stacks.find(self.name))
