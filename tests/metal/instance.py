"""An instance that a test has launched, seen through EC2 and from within."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from attrs import define, field

from tests.end_to_end.process import until
from tests.localcloud.conftest import CloudClients

#: Says a word on the console at each boot, and lives on.
SPEAKING = """\
[Unit]
Description=says that the instance runs
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/echo the instance speaks
StandardOutput=journal+console
[Install]
WantedBy=multi-user.target
"""


def ignition(files: dict[str, str] | None = None, **units: str) -> str:
    """User-data with these files and enabled services."""
    return json.dumps(
        {
            "ignition": {"version": "3.3.0"},
            "storage": {
                "files": [
                    {"path": path, "mode": 0o644, "contents": {"source": _data(text)}}
                    for path, text in (files or {}).items()
                ]
            },
            "systemd": {
                "units": [
                    {"name": f"{name}.service", "enabled": True, "contents": text}
                    for name, text in units.items()
                ]
            },
        }
    )


def _data(text: str) -> str:
    return "data:;base64," + base64.b64encode(text.encode()).decode()


@define
class Instance:
    """One of them."""

    cloud: CloudClients
    instance_id: str
    _heard: int = 0

    @property
    def shown(self) -> dict[str, Any]:
        """As EC2 describes it."""
        ec2 = self.cloud.client("ec2")
        found = ec2.describe_instances(InstanceIds=[self.instance_id])
        shown: dict[str, Any] = found["Reservations"][0]["Instances"][0]
        return shown

    @property
    def state(self) -> str:
        return str(self.shown["State"]["Name"])

    @property
    def public(self) -> str | None:
        return self.shown.get("PublicIpAddress")

    @property
    def private(self) -> str:
        return str(self.shown["PrivateIpAddress"])

    @property
    def console(self) -> str:
        ec2 = self.cloud.client("ec2")
        said = ec2.get_console_output(InstanceId=self.instance_id)
        return str(said.get("Output", ""))

    @property
    def listed(self) -> dict[str, Any]:
        """As the control endpoint lists it."""
        every = self.cloud.control("GET")["instances"]
        (found,) = [i for i in every if i["instance_id"] == self.instance_id]
        return dict(found)

    def control(self, what: str) -> dict[str, Any]:
        path = f"instances/{self.instance_id}/{what}"
        told: dict[str, Any] = self.cloud.control("POST", path, {})
        return told

    def wait_until_it_speaks(self) -> None:
        """Once more than when this was called last."""

        def speaks() -> bool:
            return self.console.count("the instance speaks") > self._heard

        until(speaks, "the instance speaks", 60)
        self._heard += 1

    def wait_for(self, state: str) -> None:
        until(lambda: self.state == state, f"the instance is {state}", 60)

    def wait_for_address(self) -> str:
        until(lambda: self.public is not None, "it has a public address", 30)
        return str(self.public)

    def run(self, *argv: str, check: bool = True) -> str:
        """As root in it; what it says."""
        enter = self.listed["enter"].split()
        assert enter, f"the instance is off; its console: {self.console[-2000:]}"
        done = subprocess.run(
            [*enter, *argv], capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout


def wish(host: Instance, program: str, floor: int = 0) -> None:
    """As the node writes what the daemon told it."""
    told = json.dumps({"program": program, "floor": floor})
    folder = "/var/lib/s4/program"
    write = f"mkdir -p {folder} && echo '{told}' >{folder}/new"
    host.run("sh", "-c", f"{write} && mv {folder}/new {folder}/wanted.json")


@define
class Launcher:
    """Launches, and ends what it launched."""

    cloud: CloudClients
    _launched: list[str] = field(factory=list)

    def launch(self, user_data: str, **more: Any) -> Instance:
        facts = self.cloud.facts
        answer = self.cloud.client("ec2").run_instances(
            **{
                "ImageId": facts["image_id"],
                "InstanceType": facts["instance_type"],
                "MinCount": 1,
                "MaxCount": 1,
                "SubnetId": facts["subnet_id"],
                "SecurityGroupIds": [facts["security_group_id"]],
                "UserData": user_data,
                **more,
            }
        )
        self._launched.append(answer["Instances"][0]["InstanceId"])
        return Instance(self.cloud, self._launched[-1])

    def speaking(self, files: dict[str, str] | None = None, **more: Any) -> Instance:
        """One whose first boot is through."""
        launched = self.launch(ignition(files, speaking=SPEAKING), **more)
        launched.wait_until_it_speaks()
        return launched

    def end(self) -> None:
        if self._launched:
            ec2 = self.cloud.client("ec2")
            ec2.terminate_instances(InstanceIds=self._launched)
            for instance_id in self._launched:
                Instance(self.cloud, instance_id).wait_for("terminated")
