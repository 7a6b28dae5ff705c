"""The local cloud from behind: its faults, and what really is in it."""

from __future__ import annotations

import email
import json
import time
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

_SECONDS = 15


class Control:
    """A control endpoint (of AWS and S3, of SMTP, of Stripe)."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") + "/"

    def get(self, path: str = "") -> Any:
        return self._answer(requests.get(self.url + path, timeout=_SECONDS))

    def post(self, path: str, **said: Any) -> Any:
        return self._answer(requests.post(self.url + path, json=said, timeout=_SECONDS))

    def put(self, path: str, **said: Any) -> Any:
        return self._answer(requests.put(self.url + path, json=said, timeout=_SECONDS))

    def fault(self, **said: Any) -> Any:
        """Write one in; its number, where faults have numbers."""
        told = self.post("faults", **said)
        return told["number"] if isinstance(told, dict) else None

    def struck(self, number: int) -> int:
        """How often this fault struck."""
        (one,) = [f for f in self.get()["faults"] if f["number"] == number]
        return int(one["struck"])

    def calm(self) -> None:
        """All faults out."""
        self._answer(requests.delete(self.url + "faults", timeout=_SECONDS))

    @staticmethod
    def _answer(response: requests.Response) -> Any:
        assert response.ok, f"{response.url}: {response.status_code} {response.text}"
        return response.json()


class Cloud:
    """What AWS holds, seen with the account's own keys; and what the booter runs."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.control = Control(facts["control_url"])
        self._session = boto3.Session(
            facts["access_key"], facts["secret_key"], region_name=facts["region"]
        )

    def client(self, service: str) -> Any:
        """A boto3 client."""
        key = "s3_endpoint" if service == "s3" else "aws_endpoint"
        config = Config(s3={"addressing_style": "path"})
        return self._session.client(
            service, endpoint_url=self.facts[key], config=config
        )

    def instances(self, signup_id: str, *, live: bool = True) -> list[dict[str, Any]]:
        """The instances made for a signup, as EC2 describes them."""
        found = []
        pages = self.client("ec2").get_paginator("describe_instances").paginate()
        for page in pages:
            for reservation in page["Reservations"]:
                found += [
                    one
                    for one in reservation["Instances"]
                    if signup_id in {tag["Value"] for tag in one.get("Tags", ())}
                ]
        ended = {"terminated", "shutting-down"}
        return [i for i in found if not live or i["State"]["Name"] not in ended]

    def booted(self) -> dict[str, dict[str, Any]]:
        """What the booter runs, by instance."""
        return {one["instance_id"]: one for one in self.control.get()["instances"]}

    def user_data(self, instance_id: str) -> bytes:
        """As EC2 keeps it."""
        import base64  # noqa: PLC0415

        told = self.client("ec2").describe_instance_attribute(
            InstanceId=instance_id, Attribute="userData"
        )
        return base64.b64decode(told["UserData"].get("Value", ""))

    def named_after(self, label: str) -> set[str]:
        """Everything in the account that is named after a grid."""
        iam = self.client("iam")
        names = {
            *(
                f"bucket {b['Name']}"
                for b in self.client("s3").list_buckets()["Buckets"]
            ),
            *(f"record {name}" for name in self.records()),
            *(f"role {r['RoleName']}" for r in iam.list_roles()["Roles"]),
            *(
                f"profile {p['InstanceProfileName']}"
                for p in iam.list_instance_profiles()["InstanceProfiles"]
            ),
        }
        return {name for name in names if label in name}

    def records(self) -> dict[str, str]:
        """The addresses that Route 53 has, by name."""
        listed = self.client("route53").get_paginator("list_resource_record_sets")
        pages = listed.paginate(HostedZoneId=self.facts["hosted_zone_id"])
        return {
            record["Name"].rstrip("."): record["ResourceRecords"][0]["Value"]
            for page in pages
            for record in page["ResourceRecordSets"]
            if record["Type"] == "A"
        }

    def shares(self, bucket: str) -> tuple[int, int]:
        """How many objects a bucket has, and their bytes."""
        sizes = [
            item["Size"]
            for page in self.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=bucket)
            for item in page.get("Contents", ())
        ]
        return len(sizes), sum(sizes)

    def halt(self, instance_id: str) -> None:
        """Stop an instance that no test needs any more."""
        self.client("ec2").stop_instances(InstanceIds=[instance_id])

    def terminate(self, instance_id: str) -> None:
        """End an instance as if the cloud had lost it."""
        self.client("ec2").terminate_instances(InstanceIds=[instance_id])


class Stripe:
    """The local Stripe: its control, and its API with the key that may do all."""

    def __init__(self, endpoint: str, secret_key: str) -> None:
        self.endpoint, self._key = endpoint, secret_key
        self.control = Control(f"{endpoint}/_control")

    def ask(self, path: str, **params: Any) -> Any:
        """GET of the API."""
        answer = requests.get(
            f"{self.endpoint}/v1/{path}",
            params=params,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=_SECONDS,
        )
        assert answer.ok, answer.text
        return answer.json()

    def make(self, path: str, **form: Any) -> Any:
        """POST to the API."""
        answer = requests.post(
            f"{self.endpoint}/v1/{path}",
            data=form,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=_SECONDS,
        )
        assert answer.ok, answer.text
        return answer.json()

    def all(self, path: str, **params: Any) -> list[Any]:
        """Every object of a list."""
        found: list[Any] = []
        page = self.ask(path, limit=100, **params)
        found += page["data"]
        while page["has_more"]:
            page = self.ask(path, limit=100, starting_after=found[-1]["id"], **params)
            found += page["data"]
        return found

    def sessions(self, signup_id: str) -> list[dict[str, Any]]:
        """All Checkout sessions of a signup, oldest first."""
        every = self.control.get("sessions")
        return [s for s in every if s["client_reference_id"] == signup_id]

    def subscriptions(self, signup_id: str) -> list[dict[str, Any]]:
        """All subscriptions that were ever made for a signup."""
        return [
            s
            for s in self.all("subscriptions", status="all")
            if s["metadata"].get("s4_signup_id") == signup_id
        ]

    def charges(self, signup_id: str) -> list[dict[str, Any]]:
        """Every charge that succeeded for a signup."""
        customers = {s["customer"] for s in self.sessions(signup_id)} - {None}
        return [
            charge
            for customer in customers
            for charge in self.all("charges", customer=customer)
            if charge["status"] == "succeeded"
        ]

    def kept_charges(self, signup_id: str) -> list[int]:
        """What each payment of a signup left with us, in cents."""
        kept = [c["amount"] - c["amount_refunded"] for c in self.charges(signup_id)]
        return [amount for amount in kept if amount]

    def twin_of(self, session: dict[str, Any]) -> str:
        """Open another session like one of ours, which no daemon would: the id."""
        items = self.ask(f"checkout/sessions/{session['id']}/line_items")["data"]
        form = {
            "mode": "subscription",
            "success_url": session["success_url"],
            "cancel_url": session["cancel_url"],
            "client_reference_id": session["client_reference_id"],
            "customer_email": session["customer_email"],
            "line_items[0][price]": items[0]["price"]["id"],
            "line_items[0][quantity]": 1,
        }
        for name, value in session["metadata"].items():
            form[f"metadata[{name}]"] = value
            form[f"subscription_data[metadata][{name}]"] = value
        return str(self.make("checkout/sessions", **form)["id"])

    def clock_for(self, signup_id: str) -> Clock:
        """Put a signup's present customer onto a test clock of Stripe's."""
        (one,) = [s for s in self.subscriptions(signup_id) if s["status"] != "canceled"]
        frozen = int(time.time())
        made = self.make(
            "test_helpers/test_clocks", frozen_time=frozen, customer=one["customer"]
        )
        return Clock(self, made["id"], one["customer"], frozen)

    def pay_invoice(self, signup_id: str, card: str = "4242424242424242") -> None:
        """Pay the open invoice of a signup on Stripe's page, with this card."""
        (one,) = [s for s in self.subscriptions(signup_id) if s["latest_invoice"]]
        invoice = self.ask(f"invoices/{one['latest_invoice']}")
        form = {"number": card, "expiry": "12/39", "cvc": "123"}
        url = invoice["hosted_invoice_url"]
        answer = requests.post(url, form, timeout=_SECONDS, allow_redirects=False)
        assert answer.status_code == 303, answer.text

    def deliveries(self, since: int = 0) -> list[dict[str, Any]]:
        """Every sending of a webhook, and what was answered."""
        sent: list[dict[str, Any]] = self.control.get("deliveries")
        return sent[since:]

    def weather(self, **said: Any) -> None:
        """How webhooks travel; nothing said: as in good times."""
        self.control.put("weather", **said)


class Clock:
    """A test clock; its customer's months pass on demand."""

    def __init__(self, stripe: Stripe, name: str, customer: str, start: int) -> None:
        self._stripe, self._name, self._start = stripe, name, start
        self.customer = customer

    def pass_days(self, days: float) -> None:
        """So many days after its start."""
        to = self._start + int(days * 86_400)
        path = f"test_helpers/test_clocks/{self._name}"
        self._stripe.make(f"{path}/advance", frozen_time=to)
        assert self._stripe.ask(path)["status"] == "ready"

    def bank_says(self, number: str) -> None:
        """The bank says of the kept card what it says of this one."""
        self._stripe.control.post(f"customers/{self.customer}/card", number=number)


class Mailbox:
    """The Maildir in which all mail arrives."""

    def __init__(self, maildir: Path) -> None:
        self.folder = maildir

    def about(self, signup_id: str) -> list[EmailMessage]:
        """All mails of a signup (its VERP sender says so), oldest first."""
        return [m for m in self.every() if f"+{signup_id}@" in m["Return-Path"]]

    def every(self) -> list[EmailMessage]:
        """All of them."""
        paths = sorted((self.folder / "new").iterdir())
        return [
            email.message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in paths
        ]


def facts_of(path: Path) -> dict[str, Any]:
    """A JSON file that a part wrote of itself."""
    told: dict[str, Any] = json.loads(path.read_text())
    return told
