"""Which browser the tests drive, and with what options."""

from __future__ import annotations

import shutil

#: Debian's Chromium as a headless shell: the same engine without the browser's own
#: windows, which took two thirds of the processor's time.  Else the whole browser.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
MISSING = "no Chromium here: apt-get install chromium-headless-shell"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
