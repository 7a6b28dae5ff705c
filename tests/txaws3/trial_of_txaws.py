"""Runs txAWS' own tests under the import hook: ``trial_of_txaws.py MODULE ...``.

What differs from ``trial MODULE ...``: the tests' own Python 2 habits are translated
by the overrides below, and ``assertEqual`` takes text and bytes of equal content for
equal, as Python 2 did (what is text and what bytes our own tests check).
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.scripts.trial import run
from twisted.trial import _synctest

from lae_provision.txaws3.hook import install
from lae_provision.txaws3.native import native
from lae_provision.txaws3.overrides import Override, Table, anywhere

HABITS: tuple[Override, ...] = (
    anywhere(r"\.(setContent|putChild)\((['\"])", r".\1(b\2"),
    anywhere(r"\bputChild\(k,", "putChild(k.encode() if isinstance(k, str) else k,"),
    anywhere(r"open\(full_path, \"w\"\)", "open(full_path, 'wb')"),
    anywhere(r"b(['\"]text/xml['\"])", r"\1"),
    # A literal with a byte of 128 or more is bytes.
    anywhere(
        r"(?<![\w'\"])(['\"])((?:[^'\"\\\n]|\\.)*\\x[89a-f][0-9a-f](?:[^'\"\\\n]|\\.)*)\1",
        r"b\1\2\1",
    ),
    anywhere(r"(\"[0-9a-f]{40}\")\.decode\(\"hex\"\)", r"bytes.fromhex(\1)"),
)
BYTES_LITERAL = r"(?<=[\s(,=\[{])b(?=['\"])(?!.*\\x)"
MODULES: Table = {
    "txaws.client.tests.test_base": (
        Override("from StringIO import StringIO", "from io import BytesIO as StringIO"),
        anywhere(r"(dataReceived|StringBodyProducer)\((['\"])", r"\1(b\2"),
        Override("        return ''\n", "        return b''\n"),
        # Twisted's Error has bytes for a message.
        anywhere(r"(TwistedWebError\(\d+, )\"", r'\1b"'),
    ),
    "txaws.ec2.tests.test_client": (
        Override(
            "type(status, message, response)",
            "type(str(status).encode(), message.encode(), response)",
        ),
    ),
    "txaws.s3.tests.test_client": (
        Override("test_uri = b", "test_uri = ", times=3),
        anywhere("test_uri \\+ b'foo", "test_uri + 'foo"),
        anywhere(r"b\"/\"", "'/'"),
        anywhere(r"bucket = b\"", 'bucket = "'),
    ),
    # The fake that the tests of EC2 use.
    "txaws.testing.ec2": (
        Override('Error(self.status, "', 'Error(str(self.status).encode(), b"'),
    ),
    "txaws.tests.test_auth_v4": (
        anywhere(BYTES_LITERAL, ""),
        # Each piece of a literal in two is bytes, also the one without high bytes.
        anywhere(r"'(xx\\xf0|\\xd31I)", r"b'\1"),
    ),
}


def overrides(modules: list[str]) -> dict[str, tuple[Override, ...]]:
    return {**MODULES, **{n: (*MODULES.get(n, ()), *HABITS) for n in modules}}


def python_2_equality() -> None:
    """Let assertEqual compare text and bytes by their content."""
    strict = _synctest._Assertions.assertEqual

    def content(value: Any) -> Any:
        try:
            return native(value)
        except UnicodeDecodeError:
            return value

    def assert_equal(self: Any, first: Any, second: Any, msg: Any = None) -> Any:
        if first == second or content(first) == content(second):
            return first
        return strict(self, content(first), content(second), msg)

    _synctest._Assertions.assertEqual = assert_equal  # type: ignore[method-assign]
    for alias in ("assertEquals", "failUnlessEqual"):
        if hasattr(_synctest._Assertions, alias):
            setattr(_synctest._Assertions, alias, assert_equal)


if __name__ == "__main__":
    modules = [name for name in sys.argv[1:] if name.startswith("txaws.")]
    install(overrides(modules))
    python_2_equality()
    run()
