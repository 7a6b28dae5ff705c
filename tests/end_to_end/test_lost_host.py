"""An instance that vanishes, with the whole of S4 as processes."""

from __future__ import annotations

import secrets

from lae_localcloud.customer.laptop import LaptopTrouble
from lae_localcloud.customer.story import receive_mail, sign_up
from tests.end_to_end.process import until
from tests.names import addresses

#: Until the daemon looks, the next host is ready, and a client's introducer connection
#: has backed off and come back.
BACK_WITHIN = 150.0
#: Where the wildcard leads: an address for documentation, which nobody uses.
NOWHERE = "192.0.2.1"


def test_a_lost_instance_is_replaced_under_a_running_client(stack) -> None:
    """Stopped and started at the console, a host has another address, and its name leads
    there.  Lost, it is followed by the next host, which serves what was stored, under the
    same furl, to a client that went on running; there is no second mail, and one live
    host, which alone has a name.
    """
    stack.daemon.stop()
    stack.start_daemon(lost_hosts=2, visibility=5)
    places = stack.places("lost-host")
    address = "lost.host@example.org"
    signup = sign_up(places, address)
    mail = receive_mail(places, signup)
    (first,) = stack.cloud.instances(signup.signup_id)
    before, after = places.folder / "before.bin", places.folder / "after.bin"
    for path in (before, after):
        path.write_bytes(secrets.token_bytes(200_000))
    laptop = places.laptop("laptop")
    try:
        laptop.join(mail)
        laptop.start()
        cap = laptop.put(before)

        def led() -> list[str]:
            label = stack.operator.show(signup.signup_id).row.grid_label
            name = f"{label}.{stack.cloud.facts['dns_zone']}"
            return addresses(stack.cloud.facts["names"], name)

        def shown() -> list[str]:
            (one,) = stack.cloud.instances(signup.signup_id)
            return [one.get("PublicIpAddress")]

        assert led() == shown() == [first["PublicIpAddress"]]
        here = f"instances/{first['InstanceId']}/"
        stack.cloud.control.post(here + "stop")
        until(lambda: led() == [NOWHERE], "a name that leads nowhere", BACK_WITHIN)
        stack.cloud.control.post(here + "start")
        until(lambda: led() == shown(), "a name that leads on", BACK_WITHIN)
        assert led() != [first["PublicIpAddress"]]
        stack.cloud.terminate(first["InstanceId"])

        def stored() -> bool:
            try:
                laptop.put(after)
            except LaptopTrouble:
                return False
            return True

        until(stored, "a write on the next host", BACK_WITHIN)
        laptop.get(cap, places.folder / "back.bin")
        assert (places.folder / "back.bin").read_bytes() == before.read_bytes()
    finally:
        laptop.stop()
    (second,) = stack.cloud.instances(signup.signup_id)
    assert second["InstanceId"] != first["InstanceId"]
    assert led() == [second["PublicIpAddress"]]
    assert len(stack.mailbox.about(signup.signup_id)) == 1
