"""Lists of secrets in a file of settings: looked at and changed, the comments kept.

The first of a list is used, all of them are accepted.  A key goes in at the front (used
from now on) or at the end (accepted by all, before anybody uses it), and out when
nothing needs it any more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from attrs import define

from lae_protocol.process.settings import SecretSource, SettingsError, load


@define(frozen=True)
class KeyList:
    """The list at *path* (keys of the YAML) in *file*; *kind* is the file's class."""

    file: Path
    kind: type
    path: tuple[str, ...]

    def sources(self) -> tuple[SecretSource, ...]:
        """What stands there; raises :class:`SettingsError`."""
        return self._of(load(self.file, self.kind))

    def written(self) -> list[str]:
        """The files, as they are written there.

        Raises :class:`SettingsError` for what comes from the environment.
        """
        names = []
        for item in self._items(self.text()):
            pairs = {key.value: value.value for key, value in item.value}
            if "file" not in pairs:
                raise SettingsError(
                    f"{self.file}: {'.'.join(self.path)} comes from the environment"
                    f" (variable {pairs.get('env')}): change it there"
                )
            names.append(str(pairs["file"]))
        return names

    def text(self) -> str:
        """The file, whole."""
        return self.file.read_text("utf-8")

    def with_first(self, name: str, text: str) -> str:
        """The whole text, with one more file at the front."""
        first = self._items(text)[0]
        at = first.start_mark.index
        if self._flows(text):
            return f"{text[:at]}{{file: {name}}}, {text[at:]}"
        begin = text.rindex("\n", 0, at) + 1
        return f"{text[:begin]}{text[begin:at]}{{file: {name}}}\n{text[begin:]}"

    def with_last(self, name: str, text: str) -> str:
        """The whole text, with one more file at the end."""
        last = self._items(text)[-1]
        at, end = last.start_mark.index, _end_of(last)
        if self._flows(text):
            return f"{text[:end]}, {{file: {name}}}{text[end:]}"
        prefix = text[text.rindex("\n", 0, at) + 1 : at]
        end = _end_of_line(text, end)
        return f"{text[:end]}{prefix}{{file: {name}}}\n{text[end:]}"

    def without_last(self, text: str) -> str:
        """The whole text, without the last of several."""
        *_, before, last = self._items(text)
        if self._flows(text):
            return text[: _end_of(before)] + text[_end_of(last) :]
        begin = text.rindex("\n", 0, last.start_mark.index) + 1
        return text[:begin] + text[_end_of_line(text, _end_of(last)) :]

    def write(self, text: str, expected: tuple[Path, ...]) -> None:
        """Put the text in the file's place, whole, if it says what is expected.

        Raises :class:`SettingsError`, and has changed nothing then.
        """
        fresh = self.file.with_name(self.file.name + ".new")
        fresh.unlink(missing_ok=True)
        old = self.file.stat()
        made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(made, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fchmod(out.fileno(), old.st_mode & 0o777)
                os.fchown(out.fileno(), old.st_uid, old.st_gid)
                os.fsync(out.fileno())
            found = tuple(source.file for source in self._of(load(fresh, self.kind)))
            if found != expected:
                raise SettingsError(
                    f"{self.file}: its {'.'.join(self.path)} cannot be changed by a"
                    " program: do it by hand"
                )
            fresh.replace(self.file)
        finally:
            fresh.unlink(missing_ok=True)

    def _of(self, settings: Any) -> tuple[SecretSource, ...]:
        value = settings
        for name in self.path:
            value = getattr(value, name)
        sources: tuple[SecretSource, ...] = value
        return sources

    def _flows(self, text: str) -> bool:
        return bool(self._node(text).flow_style)

    def _items(self, text: str) -> list[Any]:
        items: list[Any] = self._node(text).value
        if not items:
            raise SettingsError(f"{self.file}: {'.'.join(self.path)} is empty")
        return items

    def _node(self, text: str) -> Any:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        for name in self.path:
            found = {key.value: value for key, value in node.value}
            if name not in found:
                raise SettingsError(f"{self.file}: there is no {'.'.join(self.path)}")
            node = found[name]
        return node


def _end_of(item: Any) -> int:
    """Behind the item itself: a block's own mark is where the next thing begins."""
    mark = item.end_mark if item.flow_style else item.value[-1][1].end_mark
    return int(mark.index)


def _end_of_line(text: str, at: int) -> int:
    """Behind the line that *at* is in."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def write_key(path: Path, secret: str, like: Path) -> None:
    """Write a new secret for its owner alone, who is the owner of the present one."""
    made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(made, "w", encoding="utf-8") as out:
        owner = like.stat()
        os.fchown(out.fileno(), owner.st_uid, owner.st_gid)
        out.write(secret + "\n")
        out.flush()
        os.fsync(out.fileno())
