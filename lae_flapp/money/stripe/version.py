"""The version of Stripe's API that everything here is written for.

It stands in this one place: requests name it, the webhook endpoint is made with it
(that, not the library, decides the shape of events), and ``lae config check`` compares.
stripe-python's own pin is of the same version, and a test keeps it so.
"""

from __future__ import annotations

API_VERSION = "2026-10-28.endive"
