"""Stacks over HTTP, with AWS's own SDK: made, changed, undone, deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.localcloud.cloudformation.deployer import Deployer, refusal

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
NOT_ALLOWED = {"status": 403, "code": "AccessDenied"}


def log(name: str, **more: Any) -> dict[str, Any]:
    said = {"LogGroupName": name, **more.pop("said", {})}
    return {"Type": "AWS::Logs::LogGroup", "Properties": said, **more}


def role(name: str, action: str = "s3:GetObject", **more: Any) -> dict[str, Any]:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}],
    }
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": TRUST,
            "Policies": [{"PolicyName": "own", "PolicyDocument": document}],
        },
        **more,
    }


def bucket(name: str, **more: Any) -> dict[str, Any]:
    said = {"BucketName": name, **more.pop("said", {})}
    return {"Type": "AWS::S3::Bucket", "Properties": said, **more}


@pytest.fixture
def deployer(calm: Any) -> Deployer:
    return Deployer(calm)


def groups_of(deployer: Deployer) -> set[str]:
    told = deployer.cloud.client("logs").describe_log_groups(
        logGroupNamePrefix=f"/{deployer.name}"
    )
    return {group["logGroupName"] for group in told["logGroups"]}


def test_services_have_what_the_template_says(deployer: Deployer) -> None:
    """Whatever moto's own executor leaves out is there when any other client asks: a
    bucket's versioning, lifecycle and public access block, a key of elliptic curves, a
    repository's encryption and lifecycle, the metadata options of an instance.
    """
    name, facts = deployer.name, deployer.cloud.facts
    rules = '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}'
    resources = {
        "Bucket": bucket(
            name,
            said={
                "VersioningConfiguration": {"Status": "Enabled"},
                "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
                "OwnershipControls": {
                    "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
                },
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                    ]
                },
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "old",
                            "Status": "Enabled",
                            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                        }
                    ]
                },
            },
        ),
        "Policy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:DeleteObject",
                            "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
                        }
                    ],
                },
            },
        },
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
        },
        "Images": {
            "Type": "AWS::ECR::Repository",
            "Properties": {
                "RepositoryName": f"{name}/node",
                "EncryptionConfiguration": {"EncryptionType": "KMS"},
                "LifecyclePolicy": {"LifecyclePolicyText": rules},
            },
        },
        "Host": {
            "Type": "AWS::EC2::Instance",
            "Properties": {
                "ImageId": facts["image_id"],
                "InstanceType": "t3a.small",
                "SubnetId": facts["subnet_id"],
                "MetadataOptions": {"HttpTokens": "required"},
                "Tags": [{"Key": "Name", "Value": name}],
            },
        },
    }
    outputs = {
        "Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}},
        "Zone": {"Value": {"Fn::GetAtt": ["Host", "AvailabilityZone"]}},
    }
    change_set = deployer.propose(resources, "CREATE", Outputs=outputs)
    assert {c["Action"] for c in change_set["Changes"]} == {"Add"}
    order = [c["LogicalResourceId"] for c in change_set["Changes"]]
    assert order.index("Bucket") < order.index("Policy")
    assert deployer.execute(change_set) == "CREATE_COMPLETE", deployer.reasons()
    client = deployer.cloud.client
    s3, named = client("s3"), {"Bucket": name}
    assert s3.get_bucket_versioning(**named)["Status"] == "Enabled"
    block = s3.get_public_access_block(**named)["PublicAccessBlockConfiguration"]
    assert block["BlockPublicAcls"]
    (rule,) = s3.get_bucket_lifecycle_configuration(**named)["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    policy = json.loads(s3.get_bucket_policy(**named)["Policy"])
    assert policy["Statement"][0]["Resource"] == f"arn:aws:s3:::{name}/*"
    found = deployer.outputs()
    key = client("kms").describe_key(KeyId=found["Key"])["KeyMetadata"]
    assert key["KeySpec"] == "ECC_NIST_P256"
    ecr = client("ecr")
    (repository,) = ecr.describe_repositories(repositoryNames=[f"{name}/node"])[
        "repositories"
    ]
    assert repository["encryptionConfiguration"]["encryptionType"] == "KMS"
    lifecycle = ecr.get_lifecycle_policy(repositoryName=f"{name}/node")
    assert json.loads(lifecycle["lifecyclePolicyText"]) == json.loads(rules)
    told = client("ec2").describe_instances(InstanceIds=[deployer.physical("Host")])
    host = told["Reservations"][0]["Instances"][0]
    assert host["MetadataOptions"]["HttpTokens"] == "required"
    assert host["Placement"]["AvailabilityZone"] == found["Zone"]
    assert deployer.drift() == {}
    assert deployer.delete() == "DELETE_COMPLETE"


def test_nothing_to_change_is_a_failure_in_awss_words(deployer: Deployer) -> None:
    """The same again, and a comment more, fail the change set as AWS does; an output
    more does not.
    """
    resources = {"Log": log(f"/{deployer.name}")}
    assert deployer.deploy(resources, "CREATE") == "CREATE_COMPLETE"
    again = deployer.propose(resources)
    assert (again["Status"], again["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert again["StatusReason"] == (
        "The submitted information didn't contain changes. Submit different"
        " information to create a change set."
    )
    more = deployer.propose(json.dumps({"Description": "x", "Resources": resources}))
    assert more["StatusReason"] == "No updates are to be performed."
    code, _ = refusal(
        deployer.client.execute_change_set, ChangeSetName=again["ChangeSetId"]
    )
    assert code == "InvalidChangeSetStatus"
    outputs = {"Name": {"Value": {"Ref": "Log"}}}
    assert deployer.deploy(resources, Outputs=outputs) == "UPDATE_COMPLETE"
    assert deployer.outputs() == {"Name": f"/{deployer.name}"}
    deployer.delete()


def test_a_change_set_is_executed_once(deployer: Deployer) -> None:
    """The same token again does nothing, another one is refused; and so is a change set
    of a name that there is, unless it is the same call.
    """
    change_set = deployer.propose(
        {"Log": log(f"/{deployer.name}")}, "CREATE", ClientToken="one"
    )
    named = {"StackName": deployer.name, "ChangeSetName": change_set["ChangeSetName"]}
    same = {
        **named,
        "ChangeSetType": "CREATE",
        "TemplateBody": json.dumps({"Resources": {"Log": log("/other")}}),
    }
    made = deployer.client.create_change_set(**same, ClientToken="one")
    assert made["Id"] == change_set["ChangeSetId"]
    code, _ = refusal(deployer.client.create_change_set, **same, ClientToken="two")
    assert code == "AlreadyExistsException"
    status = deployer.execute(change_set, ClientRequestToken="go")
    assert status == "CREATE_COMPLETE"
    assert {e.get("ClientRequestToken") for e in deployer.events()} == {None, "go"}
    before = len(deployer.events())
    deployer.client.execute_change_set(**named, ClientRequestToken="go")
    code, _ = refusal(
        deployer.client.execute_change_set, **named, ClientRequestToken="again"
    )
    assert code == "InvalidChangeSetStatus"
    assert len(deployer.events()) == before
    deployer.delete()


def test_roles_want_to_be_acknowledged(deployer: Deployer) -> None:
    """Without CAPABILITY_NAMED_IAM nothing with a named role is even proposed."""
    resources = {"Role": role(deployer.name)}
    code, words = refusal(
        deployer.client.create_change_set,
        StackName=deployer.name,
        ChangeSetName="c",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_IAM"],
    )
    assert code == "InsufficientCapabilitiesException"
    assert words == "Requires capabilities : [CAPABILITY_NAMED_IAM]"
    code, _ = refusal(deployer.client.describe_stacks, StackName=deployer.name)
    assert code == "ValidationError"


def test_wrong_templates_and_parameters_are_refused_at_once(deployer: Deployer) -> None:
    """No stack comes of a circle, a resource that nobody knows, or a missing value."""
    circle = {
        "A": log("/a", DependsOn="B"),
        "B": log("/b", DependsOn="A"),
    }
    for resources, declared, says in (
        (circle, {}, "Circular dependency between resources: [A, B]"),
        ({"A": {"Type": "AWS::X::Y"}}, {}, "Unrecognized resource types: [AWS::X::Y]"),
        ({"A": log("/a")}, {"P": {"Type": "String"}}, "[P] must have values"),
        ({"A": log("/" + "a" * 60_000)}, {}, "less than or equal to 51200"),
        (
            {"A": log("/a", said={"LogGroupClass": {"Fn::GetAtt": ["A", "Nil"]}})},
            {},
            "does not support attribute type Nil",
        ),
    ):
        code, words = refusal(
            deployer.propose, resources=resources, kind="CREATE", Declared=declared
        )
        assert code == "ValidationError"
        assert says in words
    code, words = refusal(deployer.propose, resources={"A": log("/a")}, kind="UPDATE")
    assert words == f"Stack [{deployer.name}] does not exist"


def test_an_unknown_property_fails_the_change_set(deployer: Deployer) -> None:
    """As AWS's early validation does: DescribeEvents says which; whoever disables that
    is told by a resource that fails.
    """
    resources = {"Log": log(f"/{deployer.name}", said={"Retention": 3})}
    found = deployer.propose(resources, "CREATE")
    assert found["Status"] == "FAILED"
    assert "AWS::EarlyValidation::PropertyValidation" in found["StatusReason"]
    told = deployer.client.describe_events(ChangeSetName=found["ChangeSetId"])
    (event,) = told["OperationEvents"]
    assert event["LogicalResourceId"] == "Log"
    assert event["ValidationStatusReason"] == "Unsupported property [Retention]"
    late = deployer.propose(resources, "CREATE", DisableValidation=True)
    assert deployer.execute(late) == "ROLLBACK_COMPLETE"
    assert "Unsupported property [Retention]" in deployer.reasons()
    deployer.delete()


def test_tags_are_changed_wherever_they_are(deployer: Deployer) -> None:
    """Tags of the template and of the stack are on each resource, and change with them;
    a property that the local cloud would have to leave out is refused.
    """
    name, client = deployer.name, deployer.cloud.client

    def tagged(value: str, more: str) -> dict[str, Any]:
        tags = [{"Key": "one", "Value": value}, {"Key": more, "Value": "x"}]
        zone = {"Name": f"{name}.example", "HostedZoneTags": tags}
        images = {"RepositoryName": name, "Tags": tags}
        holder = role(name)
        holder["Properties"]["Tags"] = tags
        return {
            "Log": log(f"/{name}", said={"Tags": tags}),
            "Images": {"Type": "AWS::ECR::Repository", "Properties": images},
            "Zone": {"Type": "AWS::Route53::HostedZone", "Properties": zone},
            "Role": holder,
            "Bucket": bucket(name, said={"Tags": tags}),
        }

    def pairs(tags: list[dict[str, str]]) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in tags}

    def found() -> list[dict[str, str]]:
        iam = client("iam")
        account = f"{deployer.cloud.facts['region']}:123456789012"
        arn = f"arn:aws:ecr:{account}:repository/{name}"
        zone = {"ResourceType": "hostedzone", "ResourceId": deployer.physical("Zone")}
        told = client("route53").list_tags_for_resource(**zone)
        return [
            client("logs").list_tags_for_resource(
                resourceArn=f"arn:aws:logs:{account}:log-group:/{name}"
            )["tags"],
            pairs(client("ecr").list_tags_for_resource(resourceArn=arn)["tags"]),
            pairs(told["ResourceTagSet"]["Tags"]),
            pairs(iam.list_role_tags(RoleName=name)["Tags"]),
            pairs(client("s3").get_bucket_tagging(Bucket=name)["TagSet"]),
        ]

    assert deployer.deploy(tagged("a", "old"), "CREATE") == "CREATE_COMPLETE"
    assert found() == [{"one": "a", "old": "x"}] * 5
    assert deployer.deploy(tagged("b", "new")) == "UPDATE_COMPLETE", deployer.reasons()
    assert found() == [{"one": "b", "new": "x"}] * 5
    logging = {"LoggingConfiguration": {"LogFilePrefix": "x"}}
    refused = deployer.propose({"Bucket": bucket(name, said=logging)})
    assert refused["Status"] == "FAILED"
    told = deployer.client.describe_events(ChangeSetName=refused["ChangeSetId"])
    (event,) = told["OperationEvents"]
    words = "the local cloud does not make [LoggingConfiguration]"
    assert event["ValidationStatusReason"] == words
    assert deployer.delete() == "DELETE_COMPLETE"


def test_a_failed_creation_leaves_a_stack_that_can_only_be_deleted(
    deployer: Deployer,
) -> None:
    """A bucket that somebody has already fails the stack: what was made is taken back,
    but for what its policy keeps, and no change set is taken before the stack is deleted.
    """
    name = deployer.name
    deployer.cloud.client("s3").create_bucket(
        Bucket=name,
        CreateBucketConfiguration={
            "LocationConstraint": deployer.cloud.facts["region"]
        },
    )
    resources = {
        "Role": role(name),
        "Kept": log(f"/{name}/kept", DeletionPolicy="Retain"),
        "OnlyIfMade": log(f"/{name}/not", DeletionPolicy="RetainExceptOnCreate"),
        "Bucket": bucket(name, DependsOn=["Role", "Kept", "OnlyIfMade"]),
        "Never": log(f"/{name}/never", DependsOn="Bucket"),
    }
    change_set = deployer.propose(resources, "CREATE")
    assert deployer.execute(change_set) == "ROLLBACK_COMPLETE"
    assert deployer.history("Bucket")[:2] == ["CREATE_IN_PROGRESS", "CREATE_FAILED"]
    assert deployer.history("Never") == []
    assert deployer.history("Kept")[-1] == "DELETE_SKIPPED"
    assert "HandlerErrorCode: AlreadyExists" in deployer.reasons()
    assert "The following resource(s) failed to create: [Bucket]" in deployer.reasons()
    statuses = [e["ResourceStatus"] for e in deployer.events()]
    assert statuses.index("ROLLBACK_IN_PROGRESS") < statuses.index("ROLLBACK_COMPLETE")
    code, _ = refusal(deployer.cloud.client("iam").get_role, RoleName=name)
    assert code == "NoSuchEntity"
    assert groups_of(deployer) == {f"/{name}/kept"}
    code, words = refusal(deployer.propose, resources=resources)
    assert "is in ROLLBACK_COMPLETE state and can not be updated" in words
    code, words = refusal(deployer.propose, resources=resources, kind="CREATE")
    assert "already exists and cannot be created again" in words
    assert deployer.delete() == "DELETE_COMPLETE"
    assert deployer.deploy({"Log": log(f"/{name}")}, "CREATE") == "CREATE_COMPLETE"
    deployer.delete()


def test_a_replacement_is_made_before_the_former_one_goes(deployer: Deployer) -> None:
    """Another name makes a log group anew: first the new one, at the end without the
    old one; what is only changed keeps its id, and what is taken out goes.
    """
    name = deployer.name
    before = {"A": log(f"/{name}/a"), "B": role(name), "C": log(f"/{name}/c")}
    assert deployer.deploy(before, "CREATE") == "CREATE_COMPLETE"
    change_set = deployer.propose(
        {"A": log(f"/{name}/new"), "B": role(name, "s3:PutObject")}
    )
    rows = {c["LogicalResourceId"]: c for c in change_set["Changes"]}
    assert rows["A"]["Replacement"] == "True"
    assert rows["A"]["PolicyAction"] == "ReplaceAndDelete"
    assert (rows["B"]["Replacement"], rows["C"]["Action"]) == ("False", "Remove")
    (detail,) = rows["A"]["Details"]
    assert detail["Target"]["Name"] == "LogGroupName"
    assert detail["Target"]["RequiresRecreation"] == "Always"
    assert deployer.execute(change_set) == "UPDATE_COMPLETE"
    later = [(e["LogicalResourceId"], e["ResourceStatus"]) for e in deployer.events()]
    made = later.index(("A", "UPDATE_COMPLETE"))
    cleaning = later.index((name, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    gone = later.index(("A", "DELETE_COMPLETE"))
    assert made < cleaning < gone < later.index((name, "UPDATE_COMPLETE"))
    assert groups_of(deployer) == {f"/{name}/new"}
    policy = deployer.cloud.client("iam").get_role_policy(
        RoleName=name, PolicyName="own"
    )
    assert policy["PolicyDocument"]["Statement"][0]["Action"] == "s3:PutObject"
    assert deployer.delete() == "DELETE_COMPLETE"


def test_a_failed_update_makes_everything_as_it_was(deployer: Deployer) -> None:
    """What was changed is changed back, what was made anew or added goes, and what was
    to go stays.
    """
    name, iam = deployer.name, deployer.cloud.client("iam")
    before = {
        "A": log(f"/{name}/a"),
        "B": role(name),
        "C": log(f"/{name}/c"),
        "F": role(f"{name}-old"),
    }
    assert deployer.deploy(before, "CREATE") == "CREATE_COMPLETE"
    deployer.cloud.fault(
        "logs", "CreateLogGroup", "error-before", times=9, **NOT_ALLOWED
    )
    after = {
        "A": log(f"/{name}/a", said={"RetentionInDays": 3}),
        "B": role(name, "s3:PutObject"),
        "D": role(f"{name}-d"),
        "F": role(f"{name}-new"),
        "E": log(f"/{name}/e", DependsOn=["A", "B", "D", "F"]),
    }
    assert deployer.deploy(after) == "UPDATE_ROLLBACK_COMPLETE"
    assert "HandlerErrorCode: AccessDenied" in deployer.reasons()
    assert groups_of(deployer) == {f"/{name}/a", f"/{name}/c"}
    policy = iam.get_role_policy(RoleName=name, PolicyName="own")["PolicyDocument"]
    assert policy["Statement"][0]["Action"] == "s3:GetObject"
    for gone in (f"{name}-d", f"{name}-new"):
        code, _ = refusal(iam.get_role, RoleName=gone)
        assert code == "NoSuchEntity"
    assert deployer.physical("F") == f"{name}-old"
    assert deployer.drift() == {}
    deployer.cloud.control("DELETE", "faults")
    assert deployer.deploy(after) == "UPDATE_COMPLETE"
    assert deployer.delete() == "DELETE_COMPLETE"


@pytest.mark.parametrize("skip", [False, True])
def test_a_rollback_that_fails_is_gone_on_with(deployer: Deployer, skip: bool) -> None:
    """UPDATE_ROLLBACK_FAILED takes no change set; ContinueUpdateRollback tries again, or
    gives up on a resource by name, and on no other.
    """
    name = deployer.name
    assert deployer.deploy({"A": role(name)}, "CREATE") == "CREATE_COMPLETE"
    change_set = deployer.propose(
        {"A": role(name, "s3:PutObject"), "B": log(f"/{name}", DependsOn="A")}
    )
    # Once to change the role, then never again.
    deployer.cloud.fault("iam", "PutRolePolicy", "delay", seconds=0)
    deployer.cloud.fault("iam", "PutRolePolicy", "error-before", times=9, **NOT_ALLOWED)
    deployer.cloud.fault("logs", "CreateLogGroup", "error-before", **NOT_ALLOWED)
    assert deployer.execute(change_set) == "UPDATE_ROLLBACK_FAILED"
    code, words = refusal(deployer.propose, resources={"A": role(name)})
    assert "is in UPDATE_ROLLBACK_FAILED state and can not be updated" in words
    named = {"StackName": name}
    go_on = deployer.client.continue_update_rollback
    code, _ = refusal(go_on, **named, ResourcesToSkip=["B"])
    assert code == "ValidationError"
    more: dict[str, Any] = {"ResourcesToSkip": ["A"]} if skip else {}
    if not skip:
        deployer.cloud.control("DELETE", "faults")
    before = deployer.newest()
    go_on(**named, **more, ClientRequestToken="once")
    assert deployer.rest(before) == "UPDATE_ROLLBACK_COMPLETE"
    go_on(**named, **more, ClientRequestToken="once")
    iam = deployer.cloud.client("iam")
    policy = iam.get_role_policy(RoleName=name, PolicyName="own")["PolicyDocument"]
    left = "s3:PutObject" if skip else "s3:GetObject"
    assert policy["Statement"][0]["Action"] == left
    deployer.cloud.control("DELETE", "faults")
    assert deployer.delete() == "DELETE_COMPLETE"


def test_what_is_kept_stays_when_the_stack_goes(deployer: Deployer) -> None:
    """Retained resources stay, a volume leaves its snapshot, a bucket that is not empty
    holds the deletion up until it is given up by name.
    """
    name, client = deployer.name, deployer.cloud.client
    volume = {
        "Type": "AWS::EC2::Volume",
        "DeletionPolicy": "Snapshot",
        "Properties": {
            "Size": 1,
            "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
        },
    }
    resources = {
        "Kept": log(f"/{name}", DeletionPolicy="Retain"),
        "Bucket": bucket(name),
        "Volume": volume,
        "Role": role(name),
    }
    assert deployer.deploy(resources, "CREATE") == "CREATE_COMPLETE"
    volume_id = deployer.physical("Volume")
    client("s3").put_object(Bucket=name, Key="a", Body=b"a")
    deployer.client.update_termination_protection(
        StackName=name, EnableTerminationProtection=True
    )
    code, words = refusal(deployer.client.delete_stack, StackName=name)
    assert "cannot be deleted while TerminationProtection is enabled" in words
    deployer.client.update_termination_protection(
        StackName=name, EnableTerminationProtection=False
    )
    code, _ = refusal(
        deployer.client.delete_stack, StackName=name, RetainResources=["Bucket"]
    )
    assert code == "ValidationError"
    assert deployer.delete() == "DELETE_FAILED"
    assert deployer.delete(RetainResources=["Bucket"]) == "DELETE_COMPLETE"
    assert groups_of(deployer) == {f"/{name}"}
    snapshots = client("ec2").describe_snapshots(
        Filters=[{"Name": "volume-id", "Values": [volume_id]}]
    )
    assert len(snapshots["Snapshots"]) == 1
    code, words = refusal(deployer.client.describe_stacks, StackName=name)
    assert words == f"Stack with id {name} does not exist"
    assert deployer.told()["StackStatus"] == "DELETE_COMPLETE"
    deployer.client.delete_stack(StackName=name)


def test_drift_is_found_and_taken_back(deployer: Deployer) -> None:
    """What somebody changes or deletes by hand is told, property by property; a change
    set that reverts drift puts all of it right.
    """
    name, client = deployer.name, deployer.cloud.client
    resources = {
        "Log": log(f"/{name}/a"),
        "Kept": log(f"/{name}/b", said={"RetentionInDays": 30}),
        "Role": role(name),
    }
    assert deployer.deploy(resources, "CREATE") == "CREATE_COMPLETE"
    assert deployer.drift() == {}
    client("logs").delete_log_group(logGroupName=f"/{name}/a")
    client("logs").put_retention_policy(logGroupName=f"/{name}/b", retentionInDays=3)
    client("iam").put_role_policy(
        RoleName=name,
        PolicyName="more",
        PolicyDocument=json.dumps(
            resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
        ),
    )
    found = deployer.drift()
    assert found["Log"]["StackResourceDriftStatus"] == "DELETED"
    (difference,) = found["Kept"]["PropertyDifferences"]
    assert difference == {
        "PropertyPath": "/RetentionInDays",
        "ExpectedValue": "30",
        "ActualValue": "3",
        "DifferenceType": "NOT_EQUAL",
    }
    assert found["Role"]["PropertyDifferences"][0]["PropertyPath"] == "/Policies"
    plain = deployer.propose(resources)
    assert plain["Status"] == "FAILED"
    reverting = deployer.propose(resources, DeploymentMode="REVERT_DRIFT")
    rows = {c["LogicalResourceId"]: c["Action"] for c in reverting["Changes"]}
    assert rows == {"Log": "Add", "Kept": "Modify", "Role": "Modify"}
    assert deployer.execute(reverting) == "UPDATE_COMPLETE"
    assert deployer.drift() == {}
    deployer.delete()


def test_a_slow_stack_has_not_begun(deployer: Deployer) -> None:
    """The answer to ExecuteChangeSet says nothing: the stack is as it was for a while,
    and takes no other operation.
    """
    name = deployer.name
    change_set = deployer.propose({"Log": log(f"/{name}")}, "CREATE")
    named = {"StackName": name, "ChangeSetName": change_set["ChangeSetName"]}
    with deployer.cloud.slow(stacks=600):
        deployer.client.execute_change_set(**named)
    assert deployer.told()["StackStatus"] == "REVIEW_IN_PROGRESS"
    code, _ = refusal(deployer.client.execute_change_set, **named)
    assert code == "InvalidChangeSetStatus"
    code, _ = refusal(deployer.client.delete_stack, StackName=name)
    assert code == "ValidationError"
    assert groups_of(deployer) == set()


def test_a_stack_at_work_takes_no_other_change(deployer: Deployer) -> None:
    """While it is in progress it is neither changed nor deleted; its events come page by
    page, none twice.
    """
    name = deployer.name
    logs = {f"L{n}": log(f"/{name}/{n}") for n in range(12)}
    change_set = deployer.propose(logs, "CREATE")
    named = {"StackName": name, "ChangeSetName": change_set["ChangeSetName"]}
    held = deployer.cloud.fault("logs", "CreateLogGroup", "hold")
    deployer.client.execute_change_set(**named)
    deployer.wait(lambda: deployer.told()["StackStatus"] == "CREATE_IN_PROGRESS")
    code, words = refusal(deployer.propose, resources=logs)
    assert "is in CREATE_IN_PROGRESS state and can not be updated" in words
    code, words = refusal(deployer.client.delete_stack, StackName=name)
    assert "cannot be deleted while in status CREATE_IN_PROGRESS" in words
    code, _ = refusal(deployer.client.delete_change_set, **named)
    assert code == "InvalidChangeSetStatus"

    def is_held() -> bool:
        faults = deployer.cloud.control("GET")["faults"]
        return any(one["holding"] for one in faults if one["number"] == held)

    deployer.wait(is_held)
    deployer.cloud.control("POST", f"faults/{held}/release", {})
    deployer.wait(lambda: deployer.told()["StackStatus"] == "CREATE_COMPLETE")
    first = deployer.client.describe_stack_events(StackName=name)
    assert first["NextToken"]
    events = deployer.events()
    assert len(events) > 25
    assert len({e["EventId"] for e in events}) == len(events)
    assert first["StackEvents"][0]["EventId"] == events[-1]["EventId"]
    code, _ = refusal(
        deployer.client.describe_stack_events, StackName=name, NextToken="x"
    )
    assert code == "ValidationError"
    deployer.delete()


def test_services_that_are_too_busy_are_asked_again(deployer: Deployer) -> None:
    """A service that throttles holds a resource up, and does not fail it; a caller of
    CloudFormation itself who is throttled is told so.
    """
    deployer.cloud.fault("logs", "CreateLogGroup", "throttle", times=2)
    resources = {"Log": log(f"/{deployer.name}")}
    assert deployer.deploy(resources, "CREATE") == "CREATE_COMPLETE"
    deployer.cloud.fault("cloudformation", "DescribeStacks", "throttle")
    code, words = refusal(deployer.client.describe_stacks, StackName=deployer.name)
    assert (code, words) == ("Throttling", "Rate exceeded")
    deployer.delete()


def test_what_is_new_is_not_seen_at_once(deployer: Deployer) -> None:
    """A new change set and its stack are unknown for a while, and so is a new instance
    profile to EC2: the stack tries again until the instance runs.
    """
    name, facts = deployer.name, deployer.cloud.facts
    profile = {"InstanceProfileName": name, "Roles": [{"Ref": "Role"}]}
    resources = {
        "Role": role(name),
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": profile},
        "Host": {
            "Type": "AWS::EC2::Instance",
            "Properties": {
                "ImageId": facts["image_id"],
                "InstanceType": "t3a.small",
                "SubnetId": facts["subnet_id"],
                "IamInstanceProfile": {"Ref": "Profile"},
                "DisableApiTermination": True,
            },
        },
    }
    with deployer.cloud.slow(visibility=600):
        code, _ = refusal(deployer.propose, resources=resources, kind="CREATE")
        assert code == "ValidationError"
        code, words = refusal(deployer.client.describe_stacks, StackName=name)
        assert words == f"Stack with id {name} does not exist"
    again = Deployer(deployer.cloud)
    change_set = again.propose(resources, "CREATE")
    with deployer.cloud.slow(profile=1):
        assert again.execute(change_set) == "CREATE_COMPLETE", again.reasons()
    # Somebody has protected it: not even its stack ends it.
    assert again.delete() == "DELETE_FAILED"
    assert "may not be terminated" in again.reasons()
    deployer.cloud.client("ec2").modify_instance_attribute(
        InstanceId=again.physical("Host"), DisableApiTermination={"Value": False}
    )
    assert again.delete() == "DELETE_COMPLETE"


def test_a_stack_may_do_what_its_caller_may(calm: Any) -> None:
    """Who may not make roles makes no stack with a role; who may not speak to
    CloudFormation is told so.
    """
    iam = calm.client("iam")
    owner = Deployer(calm)
    allowed = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"},
            {"Effect": "Allow", "Action": ["logs:*", "ec2:Describe*"], "Resource": "*"},
        ],
    }
    iam.create_user(UserName=owner.name)
    iam.put_user_policy(
        UserName=owner.name, PolicyName="p", PolicyDocument=json.dumps(allowed)
    )
    made = iam.create_access_key(UserName=owner.name)["AccessKey"]
    deployer = Deployer(
        calm,
        {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
        },
    )
    deployer.name = owner.name
    resources = {"Log": log(f"/{owner.name}"), "Role": role(owner.name)}
    assert deployer.deploy(resources, "CREATE") == "ROLLBACK_COMPLETE"
    assert "is not authorized to perform: iam:CreateRole" in deployer.reasons()
    assert deployer.delete() == "DELETE_COMPLETE"
    stranger = calm.client("cloudformation", calm.daemon_key())
    code, words = refusal(stranger.describe_stacks, StackName=owner.name)
    assert code == "AccessDenied"
    assert f":stack/{owner.name}/*" in words
