"""An instance that vanishes, with the whole of S4 as processes."""

from __future__ import annotations

import secrets

from lae_localcloud.customer.laptop import Laptop, LaptopTrouble
from lae_localcloud.customer.story import receive_mail, sign_up
from tests.end_to_end.process import until

#: Until the daemon looks, the next host is ready, and a client's introducer connection
#: has backed off and come back.
BACK_WITHIN = 150.0


def test_a_lost_instance_is_replaced_under_a_running_client(stack) -> None:
    """The next host serves what was stored, under the same furl, to a client that went on
    running; there is no second mail, and one live host.
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
    laptop = Laptop(places.folder / "laptop", places.tahoe)
    try:
        laptop.join(mail)
        laptop.start()
        cap = laptop.put(before)
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
    assert len(stack.mailbox.about(signup.signup_id)) == 1
