"""``lae account``, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lae_protocol.aws.administrator import NoKeys, administrators_keys


def test_from_nothing_to_whole(operator) -> None:
    """What would be made is shown and nothing done; then it is done, and named what is
    left for a person.
    """
    name = operator.settings["deployment"]
    planned = operator.account("plan", code=2)
    assert "+ StateBucket (S3 Bucket): made" in planned
    refused = operator.account("apply", code=1)
    assert "+ StateBucket (S3 Bucket): made" in refused
    assert "--yes does it without asking" in refused
    done = operator.json("apply", "--yes", code=2)
    assert "StateBucket" in {c["thing"] for c in done["changes"]}
    (group,) = [d["remedy"] for d in done["differences"]]
    operator.change("cells", security_groups=[group.partition("[")[2].rstrip("]")])
    operator.cloud.client("iam").create_access_key(UserName=f"{name}-daemon")
    assert "Everything is as it should be." in operator.account("check")
    assert "Nothing to change." in operator.account("plan")


def test_drift_is_named(settled) -> None:
    """Each difference is a line, and the exit status says that there is one."""
    kms, key = settled.cloud.client("kms"), settled.cloud.facts["kms_key_arn"]
    kms.disable_key_rotation(KeyId=key)
    said = settled.account("check", code=2)
    assert said.startswith("KMS Key SealingKey")
    assert "EnableKeyRotation" in said
    assert "1 changed" in settled.account("apply", "--yes")
    told = settled.json("check")
    assert (told["version"], told["differences"]) == (2, [])


def test_what_is_refused(settled, tmp_path: Path) -> None:
    """Keys that are none, and settings of another account, are told in one line."""
    keys = settled.keys
    settled.keys = ("AKIANOBODY", "x" * 40)
    said = settled.account("plan", code=1)
    assert "AWS does not take these keys" in said
    settled.keys = ("", "no secret")
    assert "no keys: neither AWS_ACCESS_KEY_ID" in settled.account("plan", code=1)
    settled.keys = keys
    held = settled.settings["aws"]["account"]
    settled.change("aws", account="210987654321")
    said = settled.account("plan", code=1)
    assert "cells.boundary_arn is arn:aws:iam::123456789012:policy" in said
    settled.change("aws", account=held)


HELD = """
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = se%cret
[work]
aws_access_key_id = ASIAWORK
aws_secret_access_key = other
aws_session_token = token
[sso]
sso_session = x
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(HELD)
    return tmp_path


def test_where_keys_come_from(home: Path) -> None:
    """The environment counts, then the profile; one that is named counts most."""
    environment = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "s"}
    assert administrators_keys(environment, home).access_key == "AKIAENV"
    held = administrators_keys({}, home)
    assert held.secret_key.reveal() == "se%cret"
    assert held.token is None
    named = administrators_keys(environment, home, "work")
    assert (named.access_key, named.token.reveal()) == ("ASIAWORK", "token")
    assert administrators_keys({"AWS_PROFILE": "work"}, home) == named
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials")}
    assert administrators_keys(elsewhere, Path("/nowhere")) == held


@pytest.mark.parametrize("profile", ["sso", "unknown"])
def test_a_profile_without_keys(home: Path, profile: str) -> None:
    """A profile that only AWS' own command can use is told how."""
    with pytest.raises(NoKeys, match=f"export-credentials --profile {profile}"):
        administrators_keys({}, home, profile)


def test_a_file_that_is_none(home: Path) -> None:
    """A file of something else is named, and none of its text is shown."""
    (home / ".aws" / "credentials").write_text("aws_secret_access_key = hidden\n")
    with pytest.raises(NoKeys, match="not a file of credentials") as told:
        administrators_keys({}, home)
    assert "hidden" not in str(told.value)
    with pytest.raises(NoKeys, match="AWS_SECRET_ACCESS_KEY is not"):
        administrators_keys({"AWS_ACCESS_KEY_ID": "AKIA"}, home)
