"""The account's template is one that CloudFormation takes, and loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lae_provision.aws.policies import ANY_LABEL, trust_policy
from lae_provision.aws.repositories import LIFECYCLE, SIGNATURE_TAGS
from tests.provision.template import BACKUP, TEMPLATE, Filled, load_template

PARAMETERS = {
    "Deployment": "s4",
    "StateBucketName": "s4-state",
    "BackupBucketName": "s4-backup",
    "AvailabilityZone": "eu-west-1a",
    "Domain": "s4.example.org",
    "GridsDomain": "grids.s4.example.org",
    "MailDomain": "s4.example.org",
    "BounceDomain": "bounces.s4.example.org",
    "Dkim1Selector": "one",
    "Dkim1Value": '"v=DKIM1; p=MIIB"',
    "Release": "abc",
    "MachineImageId": "ami-0123456789abcdef0",
    "OperatorsFrom": "203.0.113.7/32",
    "SiteName": "s4.example.org",
    "DaemonName": "flapp.s4.example.org",
}
#: What an update, or the stack's end, must not take away.
KEPT = {
    "AWS::EC2::Volume",
    "AWS::ECR::Repository",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
}


def test_the_template_lints_clean() -> None:
    """cfn-lint, which knows each property of each type, has no complaint."""
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [lint, "-r", "eu-west-1", "us-east-1", "--", *TEMPLATE.parent.glob("*.yaml")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_template_is_sent_whole() -> None:
    """It is short enough to be sent in the call itself, in ASCII."""
    assert len(TEMPLATE.read_bytes().decode("ascii")) < 51_200


def test_what_holds_data_stays() -> None:
    """A bucket, a key, a volume, a zone, a repository and the logs outlive the stack and
    every update; only the failed making of one takes it away again.
    """
    kept = {
        name: (r.get("DeletionPolicy"), r.get("UpdateReplacePolicy"))
        for path in (TEMPLATE, BACKUP)
        for name, r in load_template(path)["Resources"].items()
        if r["Type"] in KEPT
    }
    assert set(kept.values()) == {("RetainExceptOnCreate", "Retain")}
    assert len(kept) == 10


def test_what_a_linter_takes() -> None:
    """The mistakes that cfn-lint does not see are not made."""
    for resource in Filled(PARAMETERS).resources().values():
        has = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::KMS::Key":
                signs = has.get("KeySpec", "SYMMETRIC_DEFAULT") == "ECC_NIST_P256"
                assert (has.get("KeyUsage") == "SIGN_VERIFY") is signs
                assert has.get("EnableKeyRotation", False) is not signs
                assert has["Enabled"] is True
            case "AWS::Route53::RecordSet":
                assert 60 <= int(has["TTL"]) <= 3600
                assert has["Name"].endswith("s4.example.org")
            case "AWS::EC2::SecurityGroup":
                for rule in has["SecurityGroupIngress"]:
                    assert 0 < int(rule["FromPort"]) <= int(rule["ToPort"]) < 65_536
            case "AWS::Logs::LogGroup":
                assert int(has["RetentionInDays"]) == 90
            case "AWS::S3::Bucket":
                assert has["VersioningConfiguration"] == {"Status": "Enabled"}
                assert all(has["PublicAccessBlockConfiguration"].values())
                (rule,) = has["LifecycleConfiguration"]["Rules"]
                assert set(rule) == {"Id", "Status", "AbortIncompleteMultipartUpload"}


def test_each_policy_fits() -> None:
    """No managed policy exceeds IAM's 6,144 characters, with the longest names."""
    longest = {**PARAMETERS, "Deployment": "s" * 20, "StateBucketName": "b" * 63}
    filled = Filled(
        {
            **longest,
            "BackupBucketName": "c" * 63,
            "SubnetId": f"subnet-{'0' * 17}",
            "VpcId": f"vpc-{'0' * 17}",
            "SealingKeyArn": f"arn:aws:kms:ap-southeast-1:123456789012:key/{'k' * 36}",
            "VolumesKeyArn": f"arn:aws:kms:ap-southeast-1:123456789012:key/{'k' * 36}",
        },
        region="ap-southeast-1",
    )
    for resource in filled.resources().values():
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            document = resource["Properties"]["PolicyDocument"]
            assert len(json.dumps(document, separators=(",", ":"))) <= 6144


def test_facts_that_stand_in_the_code_too() -> None:
    """A label's form, the tags of signatures, how long untagged images stay and whom a
    role trusts are what the code that works with them holds.
    """
    filled = Filled(PARAMETERS)
    boundary = json.dumps(filled.properties("Boundary")["PolicyDocument"])
    assert f"s4-{ANY_LABEL}/*" in boundary
    images = filled.properties("NodeImages")
    (excluded,) = images["ImageTagMutabilityExclusionFilters"]
    assert excluded["ImageTagMutabilityExclusionFilterValue"] == SIGNATURE_TAGS
    assert json.loads(images["LifecyclePolicy"]["LifecyclePolicyText"]) == LIFECYCLE
    trust = filled.properties("DaemonRole")["AssumeRolePolicyDocument"]
    assert trust == json.loads(trust_policy())


def test_the_daemon_cannot_end_its_own_machine() -> None:
    """The daemon may end instances of its deployment's tag; its machine has none."""
    tags = {t["Key"] for t in Filled(PARAMETERS).properties("Machine")["Tags"]}
    assert "s4:deployment" not in tags


def test_without_a_release_there_is_no_machine() -> None:
    """Neither machine, volume, address nor their records, until a release is named."""
    there = Filled({**PARAMETERS, "Release": ""}).resources()
    types = {r["Type"] for r in there.values()}
    assert not types & {"AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::EC2::EIP"}
    assert not {"SiteRecord", "DaemonRecord"} & set(there)
