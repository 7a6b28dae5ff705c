"""What must never reach a log, replaced at the last moment, in the logger."""

from __future__ import annotations

import re

#: The beginning of a word; also behind an escaped end of line, in what was printed by
#: ``repr`` or as JSON before it came here.
_BEGIN = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt]))"

#: Furls; Stripe's keys and signing secrets; AWS keys; SigV4 signatures and session
#: tokens; private keys; what looks like a payment card.
_PATTERNS = (
    (re.compile(r"pb://[a-z2-7]+@[^\s\"'<>/]*/[a-z2-7]+"), "pb://[redacted]"),
    (re.compile(_BEGIN + r"(sk|rk|whsec|pk)_[A-Za-z0-9_]{8,}"), r"\1_[redacted]"),
    (re.compile(_BEGIN + r"(AKIA|ASIA)[A-Z0-9]{12,}"), r"\1[redacted]"),
    (re.compile(r"(?i)(signature=)[0-9a-f]{16,}"), r"\1[redacted]"),
    (re.compile(r"(?i)(x-amz-security-token['\"]?[:=]\s*)[^\s,'\"]+"), r"\1[redacted]"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|$)", re.DOTALL
        ),
        "[redacted private key]",
    ),
    (re.compile(_BEGIN + r"priv-v0-[a-z2-7]+"), "priv-v0-[redacted]"),
    (re.compile(_BEGIN + r"AGE-SECRET-KEY-1[A-Z0-9]+"), "AGE-SECRET-KEY-[redacted]"),
    (re.compile(_BEGIN + r"URI:[A-Z0-9:-]+:[a-z2-7]{20,}[^\s]*"), "URI:[redacted]"),
    (
        re.compile(
            r"(?:(?<![\dA-Za-z.-])|(?<=\\[nrt]))(?:\d[ -]?){12,18}\d(?![\dA-Za-z.-])"
        ),
        None,
    ),
)


def _luhn(digits: str) -> bool:
    total = 0
    for i, digit in enumerate(reversed(digits)):
        n = int(digit) * (1 + i % 2)
        total += n - 9 if n > 9 else n  # noqa: PLR2004  (Luhn's rule)
    return total % 10 == 0


def _card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match.group())
    return "[redacted card]" if _luhn(digits) else match.group()


def redact(text: str) -> str:
    """The text without anything that looks like one of our secrets."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement if replacement is not None else _card, text)
    return text
