"""Standard library names as txAWS' Python 2 source expects them.

Where Python 2's ``str`` was both, these take text or bytes, and give text.
Translated modules import from here; nothing else does.
"""

from __future__ import annotations

import base64
import hashlib as real_hashlib
import hmac as real_hmac
import io
import urllib.parse
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

from zope.interface.interface import InterfaceClass


def to_bytes(value: Any) -> Any:
    """Text as UTF-8; anything else as it is."""
    return value.encode("utf-8") if isinstance(value, str) else value


def native(value: Any) -> Any:
    """Bytes as text, inside lists, tuples and dictionaries too."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list | tuple):
        return type(value)(native(v) for v in value)
    if isinstance(value, dict):
        return {native(k): native(v) for k, v in value.items()}
    return value


def b64encode(data: str | bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(to_bytes(data)).decode("ascii")


def b64decode(data: str | bytes) -> bytes:
    """What Base64 stands for."""
    return base64.b64decode(data)


def md5(data: str | bytes = b"") -> Any:
    """Of text or bytes; S3's Content-MD5, no protection."""
    return real_hashlib.md5(to_bytes(data), usedforsecurity=False)


def sha1(data: str | bytes = b"") -> Any:
    """Of text or bytes; old signatures, which are never sent."""
    return real_hashlib.sha1(to_bytes(data), usedforsecurity=False)


def sha256(data: str | bytes = b"") -> Any:
    """Of text or bytes."""
    return real_hashlib.sha256(to_bytes(data))


hashlib = SimpleNamespace(md5=md5, sha1=sha1, sha256=sha256)


def _new(key: str | bytes, message: str | bytes, digest: Callable[..., Any]) -> Any:
    # hmac calls the constructor itself, so it is given the name of the real one.
    return real_hmac.new(to_bytes(key), to_bytes(message), digest.__name__)


hmac = SimpleNamespace(new=_new)


def quote(text: str | bytes, safe: str | bytes = "/") -> str:
    """Percent-encoding as text.

    Since Python 3.7 ``~`` stays, as AWS wants it.
    """
    return urllib.parse.quote(to_bytes(text), safe=safe)


def bytes_quote(text: str | bytes, safe: str | bytes = "/") -> bytes:
    """Percent-encoding as bytes, for URLs that go to an agent."""
    return quote(text, safe).encode("ascii")


unquote = urllib.parse.unquote


def urlencode(query: Iterable[tuple[Any, Any]]) -> str:
    """A query string with ``%20`` for a space: a plus is wrong in a signature, and
    lost in txAWS' own unquote.
    """
    pairs = [(native(k), native(v)) for k, v in query]
    return urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)


def urlparse(url: str | bytes) -> urllib.parse.ParseResult:
    """The parts of a URL, as text."""
    text: str = native(url)
    return urllib.parse.urlparse(text)


urlunparse = urllib.parse.urlunparse
parse_qs = urllib.parse.parse_qs


class StringIO(io.BytesIO):
    """A buffer of bytes that may begin with text."""

    def __init__(self, value: str | bytes = b"") -> None:
        super().__init__(to_bytes(value))


def provides(interface: InterfaceClass) -> Callable[[Any, Any, Any], None]:
    """The validator of this name that attrs no longer has."""

    def validate(_instance: Any, attribute: Any, value: Any) -> None:
        if not interface.providedBy(value):
            name = attribute.name
            raise TypeError(f"{name!r} must provide {interface!r}, {value!r} does not")

    return validate


class XMLTreeBuilder:
    """ElementTree's old parser class, whose ``_fixname`` txAWS overrides.

    It inherits from nothing in C, since C would never call ``_fixname``; and it
    refuses a document type, which no answer of AWS has.
    """

    def __init__(self) -> None:
        self._builder = ET.TreeBuilder()
        self._parser: ET.XMLParser[Any] | None = ET.XMLParser(target=self)  # noqa: S314
        self.feed = self._parser.feed

    def _fixname(self, key: str) -> str:
        return key

    def start(self, tag: str, attributes: dict[str, str]) -> Any:
        """An element begins."""
        fixed = {self._fixname(name): value for name, value in attributes.items()}
        return self._builder.start(self._fixname(tag), fixed)

    def end(self, tag: str) -> Any:
        """An element ends."""
        return self._builder.end(self._fixname(tag))

    def data(self, data: str) -> None:
        """Text inside an element."""
        self._builder.data(data)

    def doctype(self, *_: str | None) -> None:
        """A document type declaration."""
        raise ET.ParseError("a document type declaration in an answer of AWS")

    def close(self) -> Any:
        """The root.  Called by txAWS on us, and by the parser on its target."""
        if self._parser is not None:
            parser, self._parser = self._parser, None
            return parser.close()
        return self._builder.close()
