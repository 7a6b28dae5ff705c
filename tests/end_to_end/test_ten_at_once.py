"""Many customers at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.end_to_end.checks import check_served
from tests.end_to_end.customer import Customer

TEN = 10


def test_ten_signups_at_once(stack) -> None:
    """Ten who register and pay at the same time all get their mail, none twice."""
    customers = [Customer(stack, f"one-of-ten-{n}@example.org") for n in range(TEN)]
    with ThreadPoolExecutor(TEN) as pool:
        list(pool.map(Customer.sign_up, customers))
    for customer in customers:
        check_served(stack, customer)
    assert len({customer.furl_on_page() for customer in customers}) == TEN
