"""The scripts that log in and pull, run by a real shell with real jq.

curl and podman are stand-ins that answer, and note their words and what they read.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from attrs import asdict, define, evolve

from lae_provision.hosts.program_change import ProgramState
from lae_provision.hosts.program_unit import PROVED, STATE
from lae_provision.hosts.programs import ImageReference
from lae_provision.hosts.pulling import log_in, pull
from tests.hosts.launches import IMAGE, LARGEST, REFERENCE, REGISTRY

ROLE_KEYS = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "secret/of+the/role",
    "Token": "session/token+of/the/role==",
}
SESSION = "session-of-the-metadata-service"
ECR_TOKEN = "QVdTOnBhc3N3b3Jk"
SECRETS = (*list(ROLE_KEYS.values())[1:], SESSION, ECR_TOKEN)

#: Answers by the last word, which is the URL; notes what it was told, and how.
CURL = """#!/bin/sh
for url; do :; done
echo "curl $*" >>"$NOTES/words"
cat >>"$NOTES/read"
name=$(echo "$url" | sed 's|.*//||; s|[/.:]|-|g; s|-$||')
cat "$NOTES/answers/$name" || exit 22
"""
JQ = """#!/bin/sh
echo "jq $*" >>"$NOTES/words"
exec {jq} "$@"
"""
PODMAN = """#!/bin/sh
echo "podman $*" >>"$NOTES/words"
case "$1" in
image) test -e "$NOTES/here" ;;
pull)
  for word; do case "$word" in *.json) cat "$word" >"$NOTES/auth" ;; esac; done
  exec cat "$NOTES/pulled"
  ;;
esac
"""


@define(frozen=True)
class Machine:
    """A folder with the stand-ins, their answers, and what they noted."""

    folder: Path

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run *script*, whose ``/run/s4``, ``/etc`` and ``/var`` are in the folder."""
        path = self.folder / "script"
        script = script.replace("/run/s4", str(self.folder / "run"))
        for place in ("/etc/", "/var/"):
            script = script.replace(place, f"{self.folder}{place}")
        path.write_text(script)
        path.chmod(0o755)
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.defpath}",
            "NOTES": str(self.folder),
        }
        return subprocess.run(
            [path, *words], env=environment, capture_output=True, text=True, check=False
        )

    def program(self, name: str, text: str) -> None:
        """Put a program into its path."""
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def answer(self, name: str, text: str) -> None:
        """What curl gets from a URL, by its last parts."""
        (self.folder / "answers" / name).write_text(text)

    def stand(self, standing: ProgramState) -> None:
        """What root keeps."""
        path = self.folder / STATE.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(standing)))

    def noted(self, name: str) -> str:
        """What the stand-ins noted."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""


TOKEN = "169-254-169-254-latest-api-token"
ROLE = "169-254-169-254-latest-meta-data-iam-security-credentials"
KEYS = f"{ROLE}-s4-prod-gaaa"
ECR = "api-ecr-eu-central-1-amazonaws-com"
AUTHORIZED = json.dumps({"authorizationData": [{"authorizationToken": ECR_TOKEN}]})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host whose metadata service and ECR answer."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "answers").mkdir()
    made = Machine(tmp_path)
    made.program("curl", CURL)
    made.program("jq", JQ.format(jq=shutil.which("jq")))
    made.program("podman", PODMAN)
    made.answer(TOKEN, SESSION)
    made.answer(ROLE, "s4-prod-gaaa")
    made.answer(KEYS, json.dumps(ROLE_KEYS))
    made.answer(ECR, AUTHORIZED)
    (tmp_path / "pulled").write_text("0000\n")
    made.stand(ProgramState(REFERENCE.text))
    return made


def test_the_token_is_where_podman_reads_it(machine: Machine) -> None:
    """The file is podman's own form, for this registry, and root's alone."""
    target = machine.folder / "auth.json"
    done = machine.run(log_in(IMAGE), str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(target.read_text()) == {"auths": {REGISTRY: {"auth": ECR_TOKEN}}}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_no_credential_is_on_a_command_line_or_printed(machine: Machine) -> None:
    """Whoever lists processes, or reads the console, learns no secret; curl reads
    them from its standard input.
    """
    done = machine.run(log_in(IMAGE), str(machine.folder / "auth.json"))
    words, read = machine.noted("words"), machine.noted("read")
    for secret in SECRETS:
        assert secret not in words
        assert secret not in done.stdout + done.stderr
    assert 'user = "ASIAEXAMPLE:secret/of+the/role"\n' in read
    assert 'header = "X-Amz-Security-Token: session/token+of/the/role=="' in read
    assert f'header = "X-aws-ec2-metadata-token: {SESSION}"\n' in read


def test_the_request_is_signed_for_the_registrys_region(machine: Machine) -> None:
    """curl signs for ECR in the region that the registry's name tells."""
    machine.run(log_in(IMAGE), str(machine.folder / "auth.json"))
    last = [line for line in machine.noted("words").splitlines() if "sigv4" in line]
    assert len(last) == 1
    assert "--aws-sigv4 aws:amz:eu-central-1:ecr " in last[0]
    assert "GetAuthorizationToken" in last[0]
    assert "--cacert" not in last[0]


def test_the_local_clouds_authority_is_believed_where_it_is_named() -> None:
    """On AWS curl believes the system's authorities alone."""
    assert "--cacert /etc/pki/s4/registry-ca.pem" in log_in(LARGEST)
    assert "--cacert" not in log_in(IMAGE)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (TOKEN, "the metadata service gives no token"),
        (ROLE, "the instance has no role (yet)"),
        (KEYS, "the role has no credentials (yet)"),
        (ECR, "ECR gives no token"),
    ],
)
def test_each_failure_is_named(machine: Machine, broken: str, said: str) -> None:
    """The console tells which answer was missing, and no file is left."""
    (machine.folder / "answers" / broken).unlink()
    target = machine.folder / "auth.json"
    done = machine.run(log_in(IMAGE), str(target))
    assert done.returncode != 0
    assert f"s4-log-in: {said}" in done.stderr
    assert not target.exists()


@pytest.mark.parametrize("answer", ["{}", "", "<html>", '{"authorizationData": [{}]}'])
def test_an_answer_without_a_token_is_a_failure(machine: Machine, answer: str) -> None:
    """podman is not sent to pull with a file that holds no token."""
    machine.answer(ECR, answer)
    done = machine.run(log_in(IMAGE), str(machine.folder / "auth.json"))
    assert done.returncode != 0
    assert "s4-log-in: ECR answers without a token" in done.stderr


def test_an_image_that_is_here_is_not_pulled(machine: Machine) -> None:
    """A host starts again without registry, ECR or metadata service."""
    (machine.folder / "here").touch()
    done = machine.run(pull(), REFERENCE.text)
    assert done.returncode == 0
    assert machine.noted("words") == f"podman image exists {REFERENCE.text}\n"


@pytest.mark.parametrize("trial", ["", REFERENCE.text.replace("0" * 64, "1" * 64)])
def test_the_unit_starts_what_stands_or_is_tried(machine: Machine, trial: str) -> None:
    """Without a word the image that runs next is meant; systemd reads which one that
    is, and the last start's proof is gone.
    """
    (machine.folder / "here").touch()
    proved = machine.folder / PROVED.lstrip("/")
    proved.parent.mkdir(parents=True)
    proved.touch()
    machine.stand(ProgramState(REFERENCE.text, trial=trial))
    done = machine.run(pull())
    assert done.returncode == 0, done.stderr
    told = (machine.folder / "run" / "program.env").read_text()
    assert told == f"S4_PROGRAM={trial or REFERENCE.text}\n"
    assert machine.noted("words").endswith(f" {trial or REFERENCE.text}\n")
    assert not proved.exists()


def test_an_image_is_pulled_once_logged_in(machine: Machine) -> None:
    """podman pulls by digest with the fresh token, which is then removed."""
    machine.program("s4-log-in", log_in(IMAGE))
    done = machine.run(pull(), REFERENCE.text)
    assert done.returncode == 0, done.stderr
    assert f"podman pull -q --authfile {machine.folder}" in machine.noted("words")
    assert machine.noted("words").endswith(f" {REFERENCE.text}\n")
    assert ECR_TOKEN in machine.noted("auth")
    assert not list((machine.folder / "run").iterdir())


def test_a_pull_that_fails_leaves_no_token(machine: Machine) -> None:
    """The unit fails, so that it is tried again; the token does not stay."""
    machine.program("s4-log-in", log_in(IMAGE))
    (machine.folder / "pulled").unlink()
    done = machine.run(pull(), REFERENCE.text)
    assert done.returncode != 0
    assert not list((machine.folder / "run").iterdir())


def test_without_a_token_nothing_is_pulled(machine: Machine) -> None:
    """A log-in that fails ends the try."""
    machine.program("s4-log-in", log_in(IMAGE))
    machine.answer(ECR, "{}")
    assert machine.run(pull(), REFERENCE.text).returncode != 0
    assert "podman pull" not in machine.noted("words")


def test_a_registry_with_a_port(machine: Machine) -> None:
    """The local cloud's registry is named with its port."""
    named = evolve(
        IMAGE, image=ImageReference("127.0.0.1:5000/s4/node@sha256:" + "1" * 64)
    )
    target = machine.folder / "auth.json"
    assert machine.run(log_in(named), str(target)).returncode == 0
    assert list(json.loads(target.read_text())["auths"]) == ["127.0.0.1:5000"]
