"""All that we use of txAWS; no other module imports it.

Never imported: ``txaws.reactor`` (installs a reactor), ``txaws.server``,
``txaws.wsdl`` and ``txaws.client.ssl``'s agent (ignores subjectAltName).
"""

from __future__ import annotations

from typing import Any

from lae_provision.txaws3.hook import install

install()

from txaws.client.base import (  # noqa: E402  (the hook comes first)
    RequestDetails,
    _Query,
    _URLContext,
    query,
    url_context,
)
from txaws.ec2.client import EC2Client, Parser  # noqa: E402
from txaws.ec2.model import Instance  # noqa: E402
from txaws.exception import AWSError  # noqa: E402
from txaws.route53.client import _Route53Client as Route53Client  # noqa: E402
from txaws.route53.model import (  # noqa: E402
    A,
    Name,
    RRSet,
    RRSetKey,
    _ChangeRRSet,
    delete_rrset,
    upsert_rrset,
)
from txaws.s3.client import S3Client  # noqa: E402
from txaws.service import AWSServiceEndpoint  # noqa: E402
from txaws.util import XML  # noqa: E402


class ChangeClient(Route53Client):
    """txAWS' client, which also tells by what name a change is asked for again."""

    def _op(self, op: Any) -> Any:
        sent = self._submit(details=self._details(op), ok_status=op.ok_status)
        return sent.addCallback(_result_of, op)


def _result_of(document: Any, op: Any) -> Any:
    change = document.findtext("./ChangeInfo/Id")
    return op.extract_result(document) if change is None else change


Change = _ChangeRRSet
Query = _Query
URLContext = _URLContext

__all__ = [
    "XML",
    "A",
    "AWSError",
    "AWSServiceEndpoint",
    "Change",
    "ChangeClient",
    "EC2Client",
    "Instance",
    "Name",
    "Parser",
    "Query",
    "RRSet",
    "RRSetKey",
    "RequestDetails",
    "S3Client",
    "URLContext",
    "delete_rrset",
    "query",
    "upsert_rrset",
    "url_context",
]
