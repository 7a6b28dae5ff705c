"""The S3 endpoint, with AWS's own SDK."""

from __future__ import annotations

import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ResponseStreamingError,
)


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def s3(calm: Any) -> Any:
    return calm.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"b-{secrets.token_hex(8)}"
    s3.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return name


AWKWARD = ("a b/c+d?e=f&g", "ü/€", "%41", "tail ", "x" * 250)


@pytest.mark.parametrize("key", AWKWARD)
def test_objects_keep_their_names(s3: Any, bucket: str, key: str) -> None:
    """An object is found again under exactly the name that it was stored with."""
    s3.put_object(Bucket=bucket, Key=key, Body=b"body", Metadata={"who": "me"})
    got = s3.get_object(Bucket=bucket, Key=key)
    assert (got["Body"].read(), got["Metadata"]) == (b"body", {"who": "me"})
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [o["Key"] for o in listed] == [key]


def test_a_key_may_begin_as_another_does(s3: Any, bucket: str) -> None:
    """A key is no folder: one may go on where another ends."""
    for key in ("a/b", "a", "a/b/c"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ("a/b", "a", "a/b/c"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [o["Key"] for o in listed] == ["a", "a/b", "a/b/c"]


def test_a_name_that_the_store_would_change_is_refused(s3: Any, bucket: str) -> None:
    """A key with an empty segment is refused, never kept under another name."""
    refused = code_of(s3.put_object, Bucket=bucket, Key="a//b", Body=b"")
    assert refused == "NotImplemented"


def test_large_objects_stream(s3: Any, bucket: str) -> None:
    """A 20 MB object comes back byte for byte, whole and by range."""
    body = secrets.token_bytes(20_000_000)
    s3.put_object(Bucket=bucket, Key="big", Body=body)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == body
    part = s3.get_object(Bucket=bucket, Key="big", Range="bytes=5000000-5000009")
    assert part["Body"].read() == body[5_000_000:5_000_010]


def test_listing_pages_in_order(s3: Any, bucket: str) -> None:
    """A listing in pages of a versioned bucket names each key once, in order."""
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
    keys = [f"shares/{n:03}/{s}" for n in range(12) for s in ("a", "b")]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
        s3.put_object(Bucket=bucket, Key=key, Body=b"2")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="shares/", PaginationConfig={"PageSize": 5}
    )
    assert [o["Key"] for p in pages for o in p.get("Contents", [])] == keys
    versions = s3.list_object_versions(Bucket=bucket, Prefix="shares/000/")
    assert len(versions["Versions"]) == 4


@pytest.mark.parametrize("versioned", [False, True])
def test_of_many_conditional_writes_one_wins(
    s3: Any, bucket: str, versioned: bool
) -> None:
    """Of sixteen writes on one condition, at the same time, exactly one succeeds."""
    if versioned:
        on = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=on)

    def put(condition: dict[str, str]) -> str:
        body = secrets.token_bytes(10)
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=body, **condition)
        except ClientError as e:
            return str(e.response["Error"]["Code"])
        return "done"

    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(put, [{"IfNoneMatch": "*"}] * 16))
        assert sorted(outcomes) == ["PreconditionFailed"] * 15 + ["done"]
        etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(put, [{"IfMatch": etag}] * 16))
        assert sorted(outcomes) == ["PreconditionFailed"] * 15 + ["done"]
        s3.delete_object(Bucket=bucket, Key="k")


def test_if_match_on_nothing_is_no_such_key(s3: Any, bucket: str) -> None:
    """A conditional write over a key that is not there gets NoSuchKey, as at AWS."""
    etag = '"00000000000000000000000000000000"'
    refused = code_of(s3.put_object, Bucket=bucket, Key="n", Body=b"", IfMatch=etag)
    assert refused == "NoSuchKey"


def test_multipart_uploads(s3: Any, bucket: str) -> None:
    """An upload in parts is an object only once it is completed."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="mp")["UploadId"]
    place = {"Bucket": bucket, "Key": "mp", "UploadId": upload}
    body = secrets.token_bytes(5 << 20)
    parts = []
    for n in (1, 2):
        etag = s3.upload_part(**place, PartNumber=n, Body=body)["ETag"]
        parts.append({"PartNumber": n, "ETag": etag})
    assert code_of(s3.head_object, Bucket=bucket, Key="mp") == "404"
    s3.complete_multipart_upload(
        **place, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
    )
    assert s3.get_object(Bucket=bucket, Key="mp")["Body"].read() == body * 2


def test_buckets_are_configured_and_deleted(s3: Any, bucket: str) -> None:
    """What a customer's bucket needs is kept; a bucket goes when it is empty."""
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy"), True
    ) | {"RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    got = s3.get_public_access_block(Bucket=bucket)
    assert got["PublicAccessBlockConfiguration"] == block
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    assert (
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"] == "old"
    )
    encryption = {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration=encryption
    )
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-west-1"
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert code_of(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    s3.delete_bucket(Bucket=bucket)
    assert code_of(s3.head_bucket, Bucket=bucket) == "404"


def test_a_bad_configuration_is_refused(s3: Any, bucket: str) -> None:
    """A lifecycle rule with two filters, which AWS refuses, is refused."""
    rule = {
        "ID": "x",
        "Status": "Enabled",
        "Filter": {"Prefix": "a"},
        "Prefix": "b",
        "Expiration": {"Days": 1},
    }
    configuration = {"Rules": [rule]}
    refused = code_of(
        s3.put_bucket_lifecycle_configuration,
        Bucket=bucket,
        LifecycleConfiguration=configuration,
    )
    assert refused == "MalformedXML"


def test_wrong_secrets_are_refused(calm: Any, bucket: str) -> None:
    """A request signed with another secret, or by an unknown key, gets nowhere."""
    key = calm.facts["access_key"]
    wrong = {"aws_access_key_id": key, "aws_secret_access_key": "wrong"}
    client = calm.client("s3", wrong)
    assert code_of(client.list_objects_v2, Bucket=bucket) == "SignatureDoesNotMatch"
    unknown = {"aws_access_key_id": "AKIANOBODY", "aws_secret_access_key": "x"}
    client = calm.client("s3", unknown)
    assert code_of(client.list_objects_v2, Bucket=bucket) == "InvalidAccessKeyId"


def test_another_region_is_refused(calm: Any, bucket: str) -> None:
    """A request signed for another region is told which one it should be."""
    client = calm.client("s3", region="us-west-2")
    refused = code_of(client.list_objects_v2, Bucket=bucket)
    assert refused == "AuthorizationHeaderMalformed"


def test_a_user_is_held_to_the_policy(calm: Any, s3: Any, bucket: str) -> None:
    """A user whose policy names one prefix reads there and nowhere else, at once."""
    iam, name = calm.client("iam"), f"u-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    client = calm.client(
        "s3",
        {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
        },
    )
    s3.put_object(Bucket=bucket, Key="mine/a", Body=b"a")
    s3.put_object(Bucket=bucket, Key="other/a", Body=b"a")
    assert code_of(client.get_object, Bucket=bucket, Key="mine/a") == "AccessDenied"
    statement = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/mine/*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    assert client.get_object(Bucket=bucket, Key="mine/a")["Body"].read() == b"a"
    assert code_of(client.get_object, Bucket=bucket, Key="other/a") == "AccessDenied"
    # Who may not list is not told what is not there.
    assert code_of(client.get_object, Bucket=bucket, Key="mine/b") == "AccessDenied"
    assert code_of(client.put_object, Bucket=bucket, Key="mine/a") == "AccessDenied"


def test_a_bucket_policy_denies(s3: Any, bucket: str) -> None:
    """A bucket's own policy binds everybody, the administrator as well."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"


def test_faults_of_s3(calm: Any, s3: Any, bucket: str) -> None:
    """S3 slows down, fails after the effect, and loses answers, as often as asked."""
    calm.fault("s3", "PutObject", "throttle", contains=bucket)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"") == "SlowDown"
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    calm.fault("s3", "PutObject", "error-after", contains=f"{bucket}/b")
    assert code_of(s3.put_object, Bucket=bucket, Key="b", Body=b"b") == "InternalError"
    assert s3.get_object(Bucket=bucket, Key="b")["Body"].read() == b"b"
    calm.fault("s3", "PutObject", "lost-reply")
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=bucket, Key="c", Body=b"c")
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"c"


def test_bodies_are_cut_and_late(calm: Any, s3: Any, bucket: str) -> None:
    """A download ends in the middle, or begins late, where a fault says so."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 300_000)
    calm.fault("s3", "GetObject", "cut-body", bytes=100_000)
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    calm.fault("s3", "GetObject", "delay", seconds=0.4)
    began = time.monotonic()
    assert len(s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == 300_000
    assert time.monotonic() - began >= 0.4
    calm.fault("s3", "GetObject", "doubled")
    assert len(s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == 300_000


def test_a_held_write_waits_for_its_release(calm: Any, s3: Any, bucket: str) -> None:
    """A held PUT has no effect until it is released, and then has it."""
    number = calm.fault("s3", "PutObject", "hold", contains=f"{bucket}/h")
    put = threading.Thread(
        target=s3.put_object, kwargs={"Bucket": bucket, "Key": "h", "Body": b"h"}
    )
    put.start()
    deadline = time.monotonic() + 60
    while calm.control("GET")["faults"][0]["holding"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert code_of(s3.head_object, Bucket=bucket, Key="h") == "404"
    assert calm.control("POST", f"faults/{number}/release", {}) == {"released": 1}
    put.join(10)
    assert s3.get_object(Bucket=bucket, Key="h")["Body"].read() == b"h"


def test_a_young_bucket_does_not_show_what_was_written(
    calm: Any, s3: Any, bucket: str
) -> None:
    """For a while an object that was just written is not there, to read or to compare
    with; a listing and If-None-Match know of it.
    """
    with calm.slow(objects=1.0):
        etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
        asked = {"Bucket": bucket, "Key": "k"}
        assert code_of(s3.get_object, **asked) == "NoSuchKey"
        assert code_of(s3.head_object, **asked) == "404"
        write = {**asked, "Body": b"two"}
        assert code_of(s3.put_object, IfMatch=etag, **write) == "NoSuchKey"
        assert code_of(s3.put_object, IfNoneMatch="*", **write) == "PreconditionFailed"
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        assert [o["Key"] for o in listed] == ["k"]
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                assert s3.get_object(**asked)["Body"].read() == b"one"
            except ClientError:
                continue
            break
        else:
            raise AssertionError("it never came to light")
