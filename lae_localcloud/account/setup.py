"""What an AWS account has before S4: its owner, a network, a zone, an image.

What a deployment needs besides is the stack that ``lae account`` makes, through the
front, with the owner's key (:func:`wanted_here`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from attrs import define, field

from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.principals import arn
from lae_provision.account.desired import Desired, Names

_IAM = "2010-05-08"
_EC2 = "2016-11-15"
_ROUTE53 = "https://route53.amazonaws.com/doc/2013-04-01/"
_EVERYTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)


@define(frozen=True)
class AccessKey:
    """A user's key."""

    access_key: str
    secret_key: str = field(repr=False)


@define(frozen=True)
class Deployment:
    """What names the deployment."""

    name: str
    dns_zone: str

    @property
    def role_path(self) -> str:
        """Where its roles and profiles live."""
        return f"/s4/{self.name}/"


@define(frozen=True)
class SetUp:
    """All ids that the configuration of the daemon needs.

    *admin* may do everything (for tests, and for people who look around); *daemon*
    has the policies of the template.
    """

    account_id: str
    region: str
    availability_zone: str
    admin: AccessKey
    daemon: AccessKey
    deployment: str
    role_path: str
    boundary_arn: str
    kms_key_arn: str
    state_bucket: str
    hosted_zone_id: str
    dns_zone: str
    vpc_id: str
    subnet_id: str
    security_group_id: str
    image_id: str
    instance_type: str


INSTANCE_TYPE = "t3a.small"


@define(frozen=True)
class Ground:
    """What the owner of the account has made before."""

    admin: AccessKey
    hosted_zone_id: str
    vpc_id: str
    subnet_id: str
    image_id: str


def prepare(moto: Moto, deployment: Deployment) -> Ground:
    """Make it.  Called in moto's thread."""
    vpc, subnet = _network(moto, f"{moto.region}a")
    return Ground(
        admin=_admin(moto),
        hosted_zone_id=_hosted_zone(moto, deployment.dns_zone),
        vpc_id=vpc,
        subnet_id=subnet,
        image_id=_image(moto),
    )


def wanted_here(
    region: str, deployment: Deployment, ground: Ground, ports: tuple[int, int]
) -> Desired:
    """What the deployment needs of this account; hosts on one machine share *ports*."""
    return Desired(
        account=ACCOUNT_ID,
        region=region,
        deployment=deployment.name,
        state_bucket=f"{deployment.name}-state",
        kms_key=f"alias/{deployment.name}",
        boundary_arn=arn("policy", f"{deployment.role_path}boundary"),
        role_path=deployment.role_path,
        daemon="user",
        names=Names(deployment.dns_zone, deployment.dns_zone),
        dns_zone_id=ground.hosted_zone_id,
        subnet_id=ground.subnet_id,
        zone=f"{region}a",
        instance_type=INSTANCE_TYPE,
        image_id=ground.image_id,
        image_owner=ACCOUNT_ID,
        spans=(ports,),
        # The local S3 speaks no TLS.
        tls_only=False,
    )


def whole(
    moto: Moto, desired: Desired, ground: Ground, outputs: Mapping[str, str]
) -> SetUp:
    """All ids, with a key for the daemon.  Called in moto's thread."""
    return SetUp(
        account_id=desired.account,
        region=desired.region,
        availability_zone=desired.zone,
        admin=ground.admin,
        daemon=_access_key(moto, desired.daemons_name),
        deployment=desired.deployment,
        role_path=outputs["RolePath"],
        boundary_arn=outputs["BoundaryArn"],
        kms_key_arn=outputs["SealingKeyArn"],
        state_bucket=outputs["StateBucket"],
        hosted_zone_id=outputs["HostedZoneId"],
        dns_zone=desired.names.grids,
        vpc_id=ground.vpc_id,
        subnet_id=outputs["SubnetId"],
        security_group_id=outputs["SecurityGroup"],
        image_id=ground.image_id,
        instance_type=desired.instance_type,
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"no {pattern} in moto's answer")
    return match[1]


def _admin(moto: Moto) -> AccessKey:
    moto.query("iam", "CreateUser", _IAM, UserName="admin")
    moto.query(
        "iam",
        "PutUserPolicy",
        _IAM,
        UserName="admin",
        PolicyName="everything",
        PolicyDocument=_EVERYTHING,
    )
    return _access_key(moto, "admin")


def _access_key(moto: Moto, user: str) -> AccessKey:
    made = moto.query("iam", "CreateAccessKey", _IAM, UserName=user)
    return AccessKey(
        _found("<AccessKeyId>([^<]+)<", made),
        _found("<SecretAccessKey>([^<]+)<", made),
    )


def own_zone(moto: Moto, name: str, addresses: dict[str, str]) -> None:
    """A zone of Amazon's own, for names of what the cloud serves.  Called in moto's
    thread.
    """
    zone = _hosted_zone(moto, name)
    changes = "".join(
        "<Change><Action>UPSERT</Action><ResourceRecordSet>"
        f"<Name>{host}</Name><Type>A</Type><TTL>60</TTL><ResourceRecords>"
        f"<ResourceRecord><Value>{address}</Value></ResourceRecord></ResourceRecords>"
        "</ResourceRecordSet></Change>"
        for host, address in addresses.items()
    )
    body = (
        f'<ChangeResourceRecordSetsRequest xmlns="{_ROUTE53}"><ChangeBatch><Changes>'
        f"{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
    path = f"/2013-04-01/hostedzone/{zone}/rrset"
    moto.own("route53", "POST", path, body.encode())


def _hosted_zone(moto: Moto, name: str) -> str:
    body = (
        f'<CreateHostedZoneRequest xmlns="{_ROUTE53}">'
        f"<Name>{name}</Name><CallerReference>set-up</CallerReference>"
        "</CreateHostedZoneRequest>"
    )
    made = moto.own("route53", "POST", "/2013-04-01/hostedzone", body.encode())
    return _found("<Id>/hostedzone/([^<]+)<", made)


def _network(moto: Moto, zone: str) -> tuple[str, str]:
    vpc = _found(
        "<vpcId>([^<]+)<",
        moto.query("ec2", "CreateVpc", _EC2, CidrBlock="10.78.0.0/16"),
    )
    made = moto.query(
        "ec2",
        "CreateSubnet",
        _EC2,
        VpcId=vpc,
        CidrBlock="10.78.0.0/20",
        AvailabilityZone=zone,
    )
    subnet = _found("<subnetId>([^<]+)<", made)
    moto.query(
        "ec2",
        "ModifySubnetAttribute",
        _EC2,
        SubnetId=subnet,
        MapPublicIpOnLaunch__Value="true",
    )
    _open(moto, vpc)
    return vpc, subnet


def _open(moto: Moto, vpc: str) -> None:
    """Lead the main route table of a VPC to the internet."""
    made = moto.query("ec2", "CreateInternetGateway", _EC2)
    gateway = _found("<internetGatewayId>([^<]+)<", made)
    moto.query(
        "ec2", "AttachInternetGateway", _EC2, InternetGatewayId=gateway, VpcId=vpc
    )
    tables = moto.query(
        "ec2",
        "DescribeRouteTables",
        _EC2,
        Filter__1__Name="vpc-id",
        Filter__1__Value__1=vpc,
    )
    moto.query(
        "ec2",
        "CreateRoute",
        _EC2,
        RouteTableId=_found("<routeTableId>([^<]+)<", tables),
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=gateway,
    )


def _image(moto: Moto) -> str:
    made = moto.query(
        "ec2",
        "RegisterImage",
        _EC2,
        Name="s4-local-coreos",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
    )
    image_id = _found("<imageId>([^<]+)<", made)
    # moto forgets what was registered.
    image = moto.backend("ec2").amis[image_id]
    image.architecture, image.virtualization_type = "x86_64", "hvm"
    image.root_device_name, image.root_device_type = "/dev/xvda", "ebs"
    return image_id
