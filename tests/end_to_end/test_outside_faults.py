"""AWS throttles and loses answers, S3 refuses, the mail server is down."""

from __future__ import annotations

import secrets

from lae_localcloud.customer.story import receive_mail, sign_up
from tests.end_to_end.checks import check_mailed_once, check_refunded, check_served
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until


def test_a_throttled_cloud_delays_and_doubles_nothing(stack) -> None:
    """Who is throttled by EC2, IAM, S3 and KMS is served all the same, once."""
    customer = Customer(stack, "throttled@example.org")
    customer.register()
    control = stack.cloud.control
    numbers = [
        control.fault(service=service, action=action, kind="throttle", times=2)
        for service, action in (
            *(("ec2", "RunInstances"), ("ec2", "DescribeInstances")),
            *(("iam", "CreateRole"), ("iam", "CreateInstanceProfile")),
            *(("s3", "CreateBucket"), ("kms", "GenerateDataKey")),
        )
    ]
    customer.pay()
    check_served(stack, customer)
    assert [control.struck(number) for number in numbers] == [2] * len(numbers)


def test_a_lost_reply_to_run_instances_is_one_instance(stack) -> None:
    """The instance whose launch was not answered is found, and no other is made."""
    customer = Customer(stack, "lost-reply@example.org")
    customer.register()
    number = stack.cloud.control.fault(
        service="ec2", action="RunInstances", kind="lost-reply"
    )
    customer.pay()
    check_served(stack, customer)
    assert stack.cloud.control.struck(number) == 1
    assert len(stack.cloud.instances(customer.signup_id, live=False)) == 1


def test_s3_refusing_for_a_while_delays_a_signup(stack) -> None:
    """While S3 refuses the host's writes nobody is told that it is ready; then it is."""
    customer = Customer(stack, "s3-away@example.org")
    signup_id = customer.register()
    bucket = stack.bucket_of(signup_id)
    number = stack.cloud.control.fault(
        service="s3", action="PutObject", kind="error-before", status=503,
        code="ServiceUnavailable", contains=bucket, times=100_000,
    )  # fmt: skip
    customer.pay()
    stack.operator.wait_for(signup_id, "claimed")
    until(lambda: stack.cloud.control.struck(number) > 1, "S3 refuses")
    assert "ready" not in stack.operator.kinds(signup_id)
    assert "You can join now" not in customer.status()
    stack.cloud.control.calm()
    check_served(stack, customer)


def test_a_bucket_that_does_not_show_what_was_written(stack) -> None:
    """A customer whose new bucket says for a while that nothing is there signs up, stores
    and reads like any other.
    """
    stack.cloud.control.put("slowness", objects=0.5)
    places = stack.places("young-bucket")
    signup = sign_up(places, "young-bucket@example.org")
    mail = receive_mail(places, signup)
    sent, back = places.folder / "sent.bin", places.folder / "back.bin"
    sent.write_bytes(secrets.token_bytes(200_000))
    laptop = places.laptop("laptop")
    try:
        laptop.join(mail)
        laptop.start()
        laptop.get(laptop.put(sent), back)
    finally:
        laptop.stop()
    assert back.read_bytes() == sent.read_bytes()


def test_mail_waits_for_the_mail_server_and_goes_out_once(stack) -> None:
    """With SMTP down the customer has the furl on the page; the mail comes later,
    once.
    """
    customer = Customer(stack, "smtp-down@example.org")
    customer.register()
    number = stack.smtp.fault(
        service="smtp", action="CONNECT", kind="lost-call", times=100_000
    )
    customer.pay()
    stack.operator.wait_for(customer.signup_id, "ready")
    until(lambda: stack.smtp.struck(number) > 1, "the mail was tried again")
    assert customer.furl_on_page()
    assert stack.mailbox.about(customer.signup_id) == []
    stack.smtp.calm()
    check_served(stack, customer)


def test_a_mail_taken_without_an_answer_keeps_its_message_id(stack) -> None:
    """When the server's 250 is lost the same mail is sent again, under one id."""
    customer = Customer(stack, "lost-250@example.org")
    customer.register()
    stack.smtp.fault(service="smtp", action="DATA", kind="lost-reply")
    customer.pay()
    stack.operator.wait_for(customer.signup_id, "mail-accepted")
    check_mailed_once(stack, customer, copies=2)


def test_a_signup_that_cannot_be_served_is_refunded(stack) -> None:
    """A role that is refused for good ends in money back, a mail, and nothing left;
    another customer is served meanwhile.
    """
    stack.daemon.stop()
    stack.start_daemon(give_up=25, visibility=1)
    customer, other = (
        Customer(stack, name + "@example.org") for name in ("unserved", "served")
    )
    signup_id = customer.register()
    stack.cloud.control.fault(
        service="iam", action="CreateRole", kind="error-before", status=403,
        code="AccessDenied", contains=stack.bucket_of(signup_id), times=100_000,
    )  # fmt: skip
    customer.pay()
    other.sign_up()
    stack.operator.wait_for(signup_id, "troubled")
    check_served(stack, other)
    check_refunded(stack, customer)
    stack.daemon.stop()
