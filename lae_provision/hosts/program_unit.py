"""The unit by which root decides which program the node runs, and its script.

The script acts; what it decides stands in one program for jq, which says the same as
:mod:`lae_provision.hosts.program_change`: a Fedora CoreOS has no Python.

===============================  =====================================================
``/etc/s4-program/state.json``   what stands: root's alone, written whole or not at all
``/etc/s4/program.json``         what the node may tell of it
``/var/lib/s4/program/``         the node's: its wish, and that it has proved itself
``/run/s4/program.env``          what the node's unit has started last
===============================  =====================================================
"""

from __future__ import annotations

import json
import shlex

from attrs import asdict

from lae_provision.hosts.entries import NODE_USER, Entry, file, script
from lae_provision.hosts.program_change import MOST, PASSING, ProgramState
from lae_provision.hosts.programs import RELEASE_LABEL, ImageLaunch

UNIT = "s4-program.service"
SCRIPT = "/usr/local/bin/s4-program"
FOLDER = "/etc/s4-program"
STATE = f"{FOLDER}/state.json"
TOLD = "/etc/s4/program.json"
#: ``S4_PROGRAM=REFERENCE``, for systemd.
STARTED = "/run/s4/program.env"
WISH = "/var/lib/s4/program/wanted.json"
PROVED = "/var/lib/s4/program/proved"

#: From the restart until the self-test has passed.  It bounds how long a customer is
#: without service while an image is tried that starts and never serves.
PROVE_WITHIN = 60  # s
#: Until a wish is tried again that could not be pulled.
PULL_AGAIN = 60  # s
#: Until a look whether what ran before was started again.
BACK_AGAIN = 5  # s

UNIT_TEXT = f"""\
[Unit]
Description=S4: decides which program the node runs
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={SCRIPT}
Restart=always
RestartSec=5
StandardOutput=journal+console
StandardError=journal+console
SyslogIdentifier=s4-program

[Install]
WantedBy=multi-user.target
"""

#: Reads the wish, which the node may have written in any way.
READ = """
(try fromjson catch null) as $w
| if ($w | type) == "object" and ($w | keys) == ["floor", "program"]
    and ($w.program | type) == "string" and ($w.floor | type) == "number"
    and $w.floor == ($w.floor | floor) and $w.floor >= 0 and $w.floor <= @MOST@
  then $w else {program: "", floor: 0} end
""".replace("@MOST@", str(MOST))

#: What :func:`lae_provision.hosts.program_change.decide` says.
DECIDE = """
def rest: {step: "rest", standing: .};
def refuse(program; trouble): .refused = program | .trouble = trouble;
def lift: .floor = ([.floor, ([$wanted.floor, .release // 0] | min)] | max);
def number: if test("\\\\A[1-9][0-9]{0,8}\\\\z") then tonumber else 0 end;
def ours: startswith($repository + "@sha256:") and
  (ltrimstr($repository + "@sha256:") | test("\\\\A[0-9a-f]{64}\\\\z"));
def look:
  if .trial != "" then {step: "try", standing: .}
  elif $seen.started != "" and $seen.started != .current then
    {step: "go-back", standing: .}
  elif $wanted.program == "" or $wanted.program == .current then
    refuse(""; "") | rest
  elif $wanted.program == .refused and (.trouble | IN(@PASSING@) | not) then rest
  elif $wanted.program | ours | not then
    refuse($wanted.program; "other-repository") | rest
  else {step: "pull", standing: .} end;
if $seen.is == "looked" then if .trial == "" then lift else . end | look
elif $seen.is == "found" then .release = ($seen.label | number) | rest
elif $seen.is == "pulled" then
  if ($seen.label | number) < ([.floor, $wanted.floor, 1] | max) then
    refuse($wanted.program; "below-floor") | rest
  else
    .trial = $wanted.program | .trial_release = ($seen.label | number)
    | {step: "try", standing: .}
  end
elif $seen.is == "not-pulled" then refuse($wanted.program; $seen.trouble) | rest
elif $seen.is == "proved" then
  {current: .trial, release: .trial_release, previous: .current, floor, trial: "",
    trial_release: 0, refused: "", trouble: ""} | lift | rest
else
  refuse(.trial; "did-not-start") | .trial = "" | .trial_release = 0
  | {step: "go-back", standing: .}
end | .step, (.standing | tojson)
""".replace("@PASSING@", ", ".join(f'"{one}"' for one in PASSING))

_SCRIPT = r"""#!/bin/sh
# s4-program: run the program that the daemon wishes, if it may run here.
# All waits are for the next wish; what stands is in /etc/s4-program.
set -eu
umask 077
state=@STATE@ told=@TOLD@ wish=@WISH@ proved=@PROVED@
looked=/run/s4/looked
again=0 # look at once: an earlier start may have died of its look
read_wish='@READ@'
decide='@DECIDE@'

say() {
  echo "s4-program: $1" >&2
}
now() {
  read -r up _ </proc/uptime
  up=${up%.*}
}
write() { # write FILE MODE: whole or not at all
  cat >"$1.new"
  chmod "$2" "$1.new"
  sync "$1.new"
  mv "$1.new" "$1"
  sync "${1%/*}"
}
of() { # of WORDS: a part of what stands
  printf '%s' "$standing" | jq -r "$1"
}
tell() {
  of '{program: .current, release: (.release // 0), trouble, refused} | tojson' |
    write "$told" 644
}
see() { # see KIND [KEY WORD]: decide, and keep it before anything is done
  seen=$(jq -cn --arg is "$1" --arg key "${2:-}" --arg word "${3:-}" \
    '{is: $is} + if $key == "" then {} else {($key): $word} end')
  answer=$(printf '%s' "$standing" | jq -r --argjson wanted "$wanted" \
    --argjson seen "$seen" --arg repository @REPOSITORY@ "$decide")
  step=$(printf '%s\n' "$answer" | head -n 1)
  next=$(printf '%s\n' "$answer" | tail -n 1)
  if [ "$next" != "$standing" ]; then
    printf '%s\n' "$next" | write "$state" 600
    standing=$next
    tell
  fi
}
label() { # label IMAGE: the number of its release
  podman image inspect --format '{{index .Labels "@LABEL@"}}' "$1"
}
started() {
  line=
  [ ! -e @STARTED@ ] || read -r line <@STARTED@
  echo "${line#S4_PROGRAM=}"
}
forget() { # forget IMAGE: remove all images but this one
  podman images --digests --format '{{.Repository}}@{{.Digest}}' | sort -u |
    while read -r image; do
      [ "$image" = "$1" ] || podman rmi "$image" >/dev/null 2>&1 || :
    done
}
pull() { # pull IMAGE
  say "$1 is wished"
  forget "$(of .current)"
  if said=$(s4-pull "$1" 2>&1); then
    see pulled label "$(label "$1")"
    return
  fi
  say "$said"
  case $said in
  *[Ss]ignature* | *"rejected by policy"*) see not-pulled trouble not-signed ;;
  *) see not-pulled trouble cannot-pull ;;
  esac
}
try() { # whether the trial starts and proves itself in time
  now
  end=$((up + @PROVE@))
  if [ "$(started)" != "$(of .trial)" ]; then
    timeout @PROVE@ systemctl restart @NODE@ || return 1
  fi
  until [ -e "$proved" ]; do
    now
    [ "$up" -lt "$end" ] && systemctl is-active --quiet @NODE@ || return 1
    sleep 0.5
  done
}
look() {
  : >"$looked"
  again=
  wanted=$(setpriv --reuid=@USER@ --regid=@USER@ --clear-groups \
    timeout 5 head -c 4096 "$wish" 2>/dev/null | jq -cRs "$read_wish")
  if [ "$(of .release)" = null ]; then
    if podman image exists "$(of .current)"; then
      see found label "$(label "$(of .current)")"
    else
      now
      again=$((up + 2))
    fi
  fi
  see looked started "$(started)"
  [ "$step" != pull ] || pull "$(printf '%s' "$wanted" | jq -r .program)"
  if [ "$step" = try ]; then
    if try; then see proved; else see not-proved; fi
    say "$(of '"release \(.release // "unknown") stands; \(.trouble) \(.refused)"')"
  fi
  if [ "$step" = go-back ]; then
    # What failed is not waited for: it may not hear that it shall stop.
    podman kill s4-node >/dev/null 2>&1 || :
    systemctl restart --no-block @NODE@
    # Until it has: then the wish is looked at.
    now
    again=$((up + @BACK@))
  fi
  case $(of .trouble) in
  @PASSING@)
    now
    again=$((up + @AGAIN@))
    ;;
  esac
}
due() {
  [ -e "$looked" ] || return 0
  [ ! -e "$wish" ] || [ "$wish" -ot "$looked" ] || return 0
  [ -n "$again" ] || return 1
  now
  [ "$up" -ge "$again" ]
}

mkdir -p -m 700 /run/s4
standing=$(jq -c . "$state")
tell
while :; do
  if due; then look; fi
  sleep 2
done
"""


def judging_script(launch: ImageLaunch) -> str:
    """The script."""
    words = {
        "@READ@": READ,
        "@DECIDE@": DECIDE,
        "@STATE@": STATE,
        "@TOLD@": TOLD,
        "@WISH@": WISH,
        "@PROVED@": PROVED,
        "@STARTED@": STARTED,
        "@REPOSITORY@": shlex.quote(launch.image.repository),
        "@LABEL@": RELEASE_LABEL,
        "@PROVE@": str(PROVE_WITHIN),
        "@AGAIN@": str(PULL_AGAIN),
        "@BACK@": str(BACK_AGAIN),
        "@PASSING@": " | ".join(PASSING),
        "@NODE@": "s4-node.service",
        "@USER@": str(NODE_USER),
    }
    text = _SCRIPT
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


def program_files(launch: ImageLaunch) -> list[Entry]:
    """The script, and what stands at the first boot: the image of the launch."""
    stands = json.dumps(asdict(ProgramState(launch.image.text)), separators=(",", ":"))
    return [script(SCRIPT, judging_script(launch)), file(STATE, stands + "\n", 0o600)]
