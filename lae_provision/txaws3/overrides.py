"""What a translator cannot know: where txAWS means text and where bytes.

The rule is Python 2's own: names, hosts, paths and headers are text; bodies, and
what is handed to an agent, are bytes.  Each override shows txAWS' own words and what
stands there instead, before the fixers run.  One that does not match exactly as
often as said is an ImportError: then this is another release.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define

NATIVE = "lae_provision.txaws3.native"


@define(frozen=True)
class Override:
    """*old* is replaced by *new*, *times* times exactly (0: as often as it occurs)."""

    old: str
    new: str
    times: int = 1
    pattern: bool = False

    def apply(self, source: str) -> tuple[str, int]:
        """The new source, and how often it matched."""
        old = self.old if self.pattern else re.escape(self.old)
        new = self.new if self.pattern else self.new.replace("\\", "\\\\")
        return re.subn(old, new, source, flags=re.MULTILINE)


def anywhere(old: str, new: str) -> Override:
    """A pattern that may match or not."""
    return Override(old, new, times=0, pattern=True)


Table = Mapping[str, tuple[Override, ...]]

EVERYWHERE: tuple[Override, ...] = (
    # Standard library functions that take and give Python 2's str.
    anywhere(
        r"^from (StringIO|base64|hashlib|urllib|urlparse) import ",
        f"from {NATIVE} import ",
    ),
    anywhere(r"^import (hmac|hashlib)$", rf"from {NATIVE} import \1"),
    anywhere(
        r"^import (urllib|urlparse)$", r"from lae_provision.txaws3 import native as \1"
    ),
    anywhere(r"\belementtree\.ElementTree\b", NATIVE),
    # attrs and zope.interface have moved on.
    anywhere(r"\bconvert=", "converter="),
    anywhere(r"\bvalidators\.provides\b", "provides"),
    anywhere(
        r"^from zope\.interface import implements$",
        "from zope.interface import implementer",
    ),
    anywhere(
        r"^class (\w+)\(object\):\n((?:(?!^class )[^\n]*\n)*?) +implements\((\w+)\)\n",
        r"@implementer(\3)\nclass \1(object):\n\2",
    ),
    # A digest in hex is text already.
    anywhere(r"(\.hexdigest\(\))\.decode\(['\"]ascii['\"]\)", r"\1"),
)

OVERRIDES: Table = {
    "txaws._auth_v4": (
        Override(r"(?<=[\s(,=])b(?=['\"])", "", times=14, pattern=True),
        Override(
            "    pairs = []\n",
            "    pairs, headers = [], urllib.native(headers)\n"
            "    headers_to_sign = urllib.native(headers_to_sign)\n",
        ),
        Override(
            "for header in sorted(headers_to_sign)",
            "for header in sorted(urllib.native(headers_to_sign))",
        ),
        Override("if header in headers)", "if header in urllib.native(headers))"),
        Override(
            "'\\n'.join(attr.astuple(self))",
            "'\\n'.join(urllib.native(attr.astuple(self)))",
        ),
        Override(
            '"/".join(attr.astuple(self) +',
            '"/".join(urllib.native(attr.astuple(self)) +',
        ),
        Override(
            '"/".join([self.access_key,', '"/".join([urllib.native(self.access_key),'
        ),
        Override("('AWS4' + key)", "('AWS4' + urllib.native(key))"),
    ),
    "txaws.client._validators": (
        Override("cmp=False,", "cmp=None, eq=False, order=False, inherited=False,"),
    ),
    "txaws.client.base": (
        Override(
            "import urlparse\nfrom urllib import quote\n",
            "import urlparse\n"
            f"from {NATIVE} import bytes_quote as quote, native, provides, to_bytes\n",
        ),
        Override("instance_of(bytes)", "instance_of((bytes, str))", times=3),
        # Percent-formatting of bytes takes bytes for names.
        Override('params[b"query"]', 'params["query"]'),
        Override(
            '%(query)s" % params',
            '%(query)s" % {to_bytes(k): v for k, v in params.items()}',
            times=2,
        ),
        # One line for each request, with all of its headers: not at info level.
        Override("self._log.info(", "self._log.debug(", times=2),
        # An agent takes bytes, whoever built the request.
        Override(
            "d = agent.request(method, url, self",
            "d = agent.request(to_bytes(method), to_bytes(url), self",
        ),
        Override("dict((k,v[0])", "dict((native(k), native(v[0]))"),
        Override('if scheme == b"https"', 'if native(scheme) == "https"'),
        Override("return succeed('')", "return succeed(b'')"),
    ),
    "txaws.credentials": (
        Override("ConfigParser.SafeConfigParser", "ConfigParser.RawConfigParser"),
    ),
    "txaws.ec2.client": (
        Override('"instanceId").text.decode("ascii")', '"instanceId").text'),
        Override(
            'output_node.text.decode("base64")', 'b64decode(output_node.text or "")'
        ),
        Override("import b64encode\n", "import b64decode, b64encode\n"),
        Override(
            "sorted(self.params.items(), cmp=lower_cmp)",
            "sorted(self.params.items(), key=lambda item: item[0].lower())",
        ),
    ),
    "txaws.route53.client": (
        Override("import XML\n", f"import XML\nfrom {NATIVE} import native\n"),
        Override('self.endpoint.scheme.decode("ascii")', "self.endpoint.scheme"),
        Override('self.endpoint.host.decode("ascii")', "self.endpoint.host"),
        Override("unicode(zone_id)", "native(zone_id)"),
        Override("children=rrset.getchildren()", "children=list(rrset)"),
    ),
    "txaws.route53.model": (
        Override(
            'return self.text.encode("idna")',
            'return self.text.encode("idna").decode("ascii")',
        ),
        Override(
            "from attr import validators\n",
            f"from attr import validators\nfrom {NATIVE} import provides\n",
        ),
    ),
    "txaws.s3.client": (
        Override(
            "from urllib import urlencode, unquote\n",
            f"from {NATIVE} import native, to_bytes, unquote, urlencode\n",
        ),
        # Bodies are bytes; so is what complete_multipart_upload builds.
        Override('kw.pop("body", None)', 'to_bytes(kw.pop("body", None))'),
        # The attribute never was on a response: head_object and upload_part failed.
        Override(
            "_to_dict(response.responseHeaders)",
            "_to_dict(getattr(response, 'responseHeaders', None) or response.headers)",
            times=2,
        ),
        Override("{k: vs[0] for", "{native(k): native(vs[0]) for"),
        Override('service_endpoint.scheme.decode("utf-8")', "service_endpoint.scheme"),
        Override(
            'service_endpoint.get_host().decode("utf-8")', "service_endpoint.get_host()"
        ),
        Override('(s.decode("utf-8"),)', "(native(s),)"),
    ),
    "txaws.s3.model": (Override("instance_of(bytes)", "instance_of(str)"),),
    "txaws.service": (
        Override(
            "import warnings\n", f"import warnings\nfrom {NATIVE} import native\n"
        ),
        # str() of bytes would not even fail.
        Override("str(uri)", "native(uri)"),
    ),
    "txaws.util": (
        Override(
            "from urlparse import urlparse, urlunparse\n",
            f"from {NATIVE} import native, urlparse, urlunparse\n",
        ),
        Override("url = url.strip()", "url = native(url).strip()"),
        # Python 3's ElementTree has no such name; ours is asked for at once.
        Override(
            "from xml.etree.ElementTree import XMLTreeBuilder",
            f"from {NATIVE} import XMLTreeBuilder",
        ),
    ),
}
