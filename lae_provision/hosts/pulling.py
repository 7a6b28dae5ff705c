"""Two scripts: one logs in to ECR, one pulls an image.

They use what Fedora CoreOS has: curl, jq and podman.  A credential goes from program to
program through pipes and a file of root's in ``/run``: it is never on a command line,
which every process can read, nor in what is printed, which goes to the console.
"""

from __future__ import annotations

import shlex

from lae_provision.hosts.entries import Entry, script
from lae_provision.hosts.program_unit import PROVED, STARTED, STATE
from lae_provision.hosts.programs import ImageLaunch
from lae_provision.hosts.signatures import CA

LOG_IN = "/usr/local/bin/s4-log-in"
PULL = "/usr/local/bin/s4-pull"
#: The longest time for one try; then the unit tries again.
PULL_SECONDS = 600

_LOG_IN = r"""#!/bin/sh
# s4-log-in FILE: write FILE, with which podman may pull from ECR for twelve hours.
# No credential is on a command line or printed: curl and jq read them from pipes.
set -eu
umask 077
metadata=http://169.254.169.254/latest

fail() {
  echo "s4-log-in: $1" >&2
  exit 1
}
ask() {
  curl -fsS -m 10 --retry 6 --retry-connrefused --retry-max-time 60 -K - "$@"
}
read_metadata() {
  printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$token" |
    ask "$metadata/meta-data/$1"
}

token=$(echo 'header = "X-aws-ec2-metadata-token-ttl-seconds: 300"' |
  ask -X PUT "$metadata/api/token") ||
  fail 'the metadata service gives no token'
role=$(read_metadata iam/security-credentials/) ||
  fail 'the instance has no role (yet)'
keys=$(read_metadata "iam/security-credentials/$role") ||
  fail 'the role has no credentials (yet)'
signing=$(printf '%s' "$keys" |
  jq -r '"user = \"\(.AccessKeyId):\(.SecretAccessKey)\"",
    "header = \"X-Amz-Security-Token: \(.Token)\""') ||
  fail 'the credentials of the role cannot be read'
answer=$(printf '%s' "$signing" | ask @TRUST@--aws-sigv4 @SCOPE@ \
  -H 'X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken' \
  -H 'Content-Type: application/x-amz-json-1.1' -d '{}' @ENDPOINT@) ||
  fail 'ECR gives no token: may the role call ecr:GetAuthorizationToken?'
printf '%s' "$answer" |
  jq -n --arg registry @REGISTRY@ '{auths: {($registry): {auth:
    (input.authorizationData[0].authorizationToken // error("no token"))}}}' >"$1" ||
  fail 'ECR answers without a token'
"""

_PULL = """\
#!/bin/sh
# s4-pull [IMAGE]: pull the image, unless this digest is here already.
# podman checks its signature by /etc/containers/policy.json.
# Without IMAGE it is the one that the node's unit starts next.
set -eu
mkdir -p -m 700 /run/s4
if [ $# -gt 0 ]; then
  image=$1
else
  image=$(jq -r 'if .trial == "" then .current else .trial end' @STATE@)
  # Each start proves itself anew.
  rm -f @PROVED@
  echo "S4_PROGRAM=$image" >@STARTED@
fi
if podman image exists "$image"; then
  exit 0
fi
auth=/run/s4/auth-$$.json
trap 'rm -f "$auth"' EXIT
s4-log-in "$auth"
echo "s4-pull: pulling $image"
timeout @SECONDS@ podman pull -q --authfile "$auth" "$image"
"""


def pulling_files(launch: ImageLaunch) -> list[Entry]:
    """Both scripts."""
    return [script(LOG_IN, log_in(launch)), script(PULL, pull())]


def log_in(launch: ImageLaunch) -> str:
    """The script that logs in."""
    trust = "" if launch.registry_ca is None else f"--cacert {CA} "
    words = {
        "@TRUST@": trust,
        "@SCOPE@": shlex.quote(f"aws:amz:{launch.ecr.region}:ecr"),
        "@ENDPOINT@": shlex.quote(launch.ecr.endpoint),
        "@REGISTRY@": shlex.quote(launch.image.registry),
    }
    return _filled(_LOG_IN, words)


def pull() -> str:
    """The script that pulls."""
    words = {
        "@STATE@": STATE,
        "@PROVED@": PROVED,
        "@STARTED@": STARTED,
        "@SECONDS@": str(PULL_SECONDS),
    }
    return _filled(_PULL, words)


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text
