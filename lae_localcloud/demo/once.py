"""``make demo ONCE=1``: one customer's story, told as it happens."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.config import Config

from lae_localcloud.customer.story import (
    BIG_FILE,
    Places,
    Signup,
    StoryFailed,
    live_with_it,
    receive_mail,
    sign_up,
)
from lae_localcloud.demo.state import Endpoints

Say = Callable[[str], None]

#: An address that many forms would mangle.
ADDRESS = "o'neil+x&co@exämple.org"
ADDRESS_IN_SMTP = "o'neil+x&co@xn--exmple-cua.org"

_WORDS = {
    "journaled": "the daemon has the payment in its journal",
    "furl_on_the_page": "the furl is on the customer's page",
    "instance_launched": "an instance is launched for this customer",
    "claimed": "the host has claimed its identity",
    "self_test_passed": "the host has proved itself by a write and a read",
    "mail_accepted": "the mail server has the mail",
}


def client_tahoe() -> Path:
    """The unmodified tahoe of PyPI, in an environment of its own."""
    beside = Path(sys.prefix).with_name(".client-venv") / "bin" / "tahoe"
    if beside.exists():
        return beside
    found = shutil.which("tahoe")
    if found is None:
        raise StoryFailed(f"no tahoe: neither {beside} nor on the path")
    return Path(found)


def _places(endpoints: Endpoints, folder: Path) -> Places:
    customer = folder / "customer"
    customer.mkdir(exist_ok=True)
    return Places(
        endpoints.site_url,
        endpoints.stripe_endpoint,
        Path(endpoints.maildir),
        client_tahoe(),
        customer,
        endpoints.customer,
    )


def perform_signup(endpoints: Endpoints, folder: Path, say: Say) -> Signup:
    """Sign up and pay; say when what happened."""
    say(f"Signing up as {ADDRESS}, paying with a test card ...")
    signup = sign_up(_places(endpoints, folder), ADDRESS)
    say(f"\nSignup {signup.signup_id}, seconds since the payment was accepted:")
    for name, seconds in signup.timeline.items():
        say(f"  {seconds:7.3f}  {_WORDS[name]}")
    say("")
    return signup


def perform_once(endpoints: Endpoints, folder: Path, say: Say) -> None:
    """The whole story; raises what went wrong."""
    signup = perform_signup(endpoints, folder, say)
    places = _places(endpoints, folder)
    signup.address = ADDRESS_IN_SMTP
    mail = receive_mail(places, signup)

    def stored() -> None:
        count, size = shares_in_s3(endpoints)
        say(f"in S3: {count} objects of shares, {size / 1e6:.1f} MB.")
        if not count or size < BIG_FILE:
            raise StoryFailed("the shares are not in S3")

    live_with_it(places, mail, say, stored)
    say("\nAll of it held.")


def shares_in_s3(endpoints: Endpoints) -> tuple[int, int]:
    """How many objects of shares the customer's bucket has, and their bytes."""
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoints.s3_endpoint,
        aws_access_key_id=endpoints.access_key,
        aws_secret_access_key=endpoints.secret_key,
        region_name=endpoints.region,
        config=Config(s3={"addressing_style": "path"}),
    )
    count = size = 0
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].endswith("-state"):
            continue
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
        for page in pages:
            for item in page.get("Contents", ()):
                count, size = count + 1, size + item["Size"]
    return count, size
