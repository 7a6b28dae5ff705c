"""Every resource type that the local cloud makes."""

from __future__ import annotations

from lae_localcloud.cloudformation.kinds.access import (
    IamRole,
    IamUser,
    InstanceProfile,
    ManagedPolicy,
)
from lae_localcloud.cloudformation.kinds.buckets import S3Bucket, S3BucketPolicy
from lae_localcloud.cloudformation.kinds.computers import (
    AddressAssociation,
    EbsVolume,
    Ec2Instance,
    ElasticAddress,
    VolumeAttachment,
)
from lae_localcloud.cloudformation.kinds.groups_of_rules import (
    EgressRule,
    IngressRule,
    SecurityGroup,
)
from lae_localcloud.cloudformation.kinds.kind import Kind
from lae_localcloud.cloudformation.kinds.network import (
    GatewayAttachment,
    InternetGateway,
    Route,
    RouteTable,
    Subnet,
    TableAssociation,
    Vpc,
)
from lae_localcloud.cloudformation.kinds.sealing import KmsAlias, KmsKey
from lae_localcloud.cloudformation.kinds.shelves_of_images import (
    EcrRepository,
    LogGroup,
)
from lae_localcloud.cloudformation.kinds.zones_of_names import HostedZone, RecordSet

KINDS: dict[str, Kind] = {
    "AWS::EC2::VPC": Vpc(),
    "AWS::EC2::Subnet": Subnet(),
    "AWS::EC2::InternetGateway": InternetGateway(),
    "AWS::EC2::VPCGatewayAttachment": GatewayAttachment(),
    "AWS::EC2::RouteTable": RouteTable(),
    "AWS::EC2::Route": Route(),
    "AWS::EC2::SubnetRouteTableAssociation": TableAssociation(),
    "AWS::EC2::SecurityGroup": SecurityGroup(),
    "AWS::EC2::SecurityGroupIngress": IngressRule(),
    "AWS::EC2::SecurityGroupEgress": EgressRule(),
    "AWS::EC2::Instance": Ec2Instance(),
    "AWS::EC2::Volume": EbsVolume(),
    "AWS::EC2::VolumeAttachment": VolumeAttachment(),
    "AWS::EC2::EIP": ElasticAddress(),
    "AWS::EC2::EIPAssociation": AddressAssociation(),
    "AWS::IAM::Role": IamRole(),
    "AWS::IAM::User": IamUser(),
    "AWS::IAM::InstanceProfile": InstanceProfile(),
    "AWS::IAM::ManagedPolicy": ManagedPolicy(),
    "AWS::S3::Bucket": S3Bucket(),
    "AWS::S3::BucketPolicy": S3BucketPolicy(),
    "AWS::KMS::Key": KmsKey(),
    "AWS::KMS::Alias": KmsAlias(),
    "AWS::ECR::Repository": EcrRepository(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::Route53::HostedZone": HostedZone(),
    "AWS::Route53::RecordSet": RecordSet(),
}
