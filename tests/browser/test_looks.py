"""Pages and mails on a narrow phone, in the light and in the dark."""

from __future__ import annotations

import re

import pytest

from lae_flapp.mail.kinds import MAILS
from tests.browser.conftest import SCREENSHOTS
from tests.browser.looking import find_faint, find_overflow
from tests.browser.test_pictures import PAGES
from tests.mail.test_kinds import rendered

pytestmark = pytest.mark.browser

#: The narrowest phones.
NARROW = {"width": 320, "height": 640}
SCHEMES = ("light", "dark")
#: The worst layout shift that counts as good.  https://web.dev/articles/cls
MOST_SHIFT = 0.1
WATCH_SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def narrow(chromium, running):
    """Pages on the narrowest phone, by the scheme of their colours."""
    contexts = {
        scheme: chromium.new_context(
            base_url=running.site_url, viewport=NARROW, color_scheme=scheme
        )
        for scheme in SCHEMES
    }
    yield {scheme: context.new_page() for scheme, context in contexts.items()}
    for context in contexts.values():
        context.close()


def look(page, name: str) -> None:
    """Nothing sticks out, and everything can be read."""
    page.screenshot(path=SCREENSHOTS / f"narrow-{name}.png", full_page=True)
    assert find_overflow(page) <= 0, name
    assert find_faint(page) == [], name


def test_every_mail_can_be_read_on_a_phone(narrow) -> None:
    """Each mail in HTML fits a phone of 320 pixels, and has enough contrast, in the
    light and in the dark.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for kind in MAILS:
        html = rendered(kind).get_body(("html",)).get_content()
        for scheme, page in narrow.items():
            page.set_content(html)
            look(page, f"mail-{kind}-{scheme}")


def test_every_page_can_be_read_on_a_phone(narrow) -> None:
    """Each page fits a phone of 320 pixels; texts have a contrast of 4.5 at least, and
    the borders of fields one of 3, in the light and in the dark.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for name, path in PAGES.items():
        for scheme, page in narrow.items():
            page.goto(path)
            look(page, f"{name}-{scheme}")


def test_the_status_page_holds_still(narrow, running) -> None:
    """A status page moves nothing about while it is loaded, and can be read."""
    for scheme, page in narrow.items():
        page.goto("/signup")
        page.get_by_label("Email address").fill("ann@example.org")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Go on to payment").click()
        page.wait_for_url("**/c/pay/*")
        signup_id = re.search(r"su[a-z2-7]{20}", page.url)[0]
        running.happen(signup_id, "paid", "identity-sealed", "bucket-ready")
        page.add_init_script(WATCH_SHIFTS)
        page.goto(f"/signup/{signup_id}")
        page.get_by_role("button", name="Copy").wait_for()
        assert page.evaluate("window.shift") < MOST_SHIFT
        look(page, f"status-{scheme}")
