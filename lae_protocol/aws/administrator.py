"""The keys of whoever administers the account, from where AWS' own tools have them.

The environment first, then the shared credentials file, as in ``aws configure``.  What
needs AWS' command to become keys (SSO, roles, processes) is told how.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret

_KEY, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105  (a name)


class NoKeys(Exception):
    """There are none that can be used; the text says where it was looked."""


def administrators_keys(
    environment: Mapping[str, str], home: Path, profile: str | None = None
) -> Credentials:
    """The keys to use; raises :class:`NoKeys`.

    A *profile* that is named counts more than keys in the environment.
    """
    if profile is None and environment.get(_KEY):
        secret = environment.get(_SECRET)
        if not secret:
            raise NoKeys(f"{_KEY} is set, and {_SECRET} is not")
        return _keys(environment[_KEY], secret, environment.get(_TOKEN))
    name = profile or environment.get("AWS_PROFILE") or "default"
    path = Path(
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials"
    ).expanduser()
    held = _section(path, name)
    if held is None:
        raise NoKeys(
            f"no keys: neither {_KEY} in the environment, nor a profile {name!r} with"
            f" keys in {path}; for SSO or a role: eval"
            f' "$(aws configure export-credentials --profile {name} --format env)"'
        )
    return held


def _section(path: Path, name: str) -> Credentials | None:
    # No interpolation: a secret may have a percent sign.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, configparser.Error) as e:
        # Not its text, which may quote a line with a secret.
        kind = e.strerror if isinstance(e, OSError) else "not a file of credentials"
        raise NoKeys(f"{path}: {kind}") from None
    if not parser.has_section(name):
        return None
    section = parser[name]
    key, secret = section.get(_KEY.lower()), section.get(_SECRET.lower())
    if not key or not secret:
        return None
    return _keys(key, secret, section.get(_TOKEN.lower()))


def _keys(key: str, secret: str, token: str | None) -> Credentials:
    return Credentials(key, Secret(secret), Secret(token) if token else None)
