"""The forms of a page, as a browser without JavaScript sees them."""

from __future__ import annotations

from html.parser import HTMLParser

from attrs import Factory, define


@define
class Form:
    """A form: where it goes, and what stands in its fields."""

    action: str
    method: str
    fields: dict[str, str] = Factory(dict)
    #: Values that a checkbox or radio button has when it is chosen.
    choices: dict[str, list[str]] = Factory(dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = given.get("method", "get").lower()
            self._open = Form(given.get("action", ""), method)
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None and "name" in given:
            self._field(self._open, given, chosen=any(n == "checked" for n, _ in attrs))

    @staticmethod
    def _field(form: Form, given: dict[str, str], *, chosen: bool) -> None:
        name, value = given["name"], given.get("value", "")
        if given.get("type") in {"checkbox", "radio"}:
            form.choices.setdefault(name, []).append(value or "on")
            if not chosen:
                return
        form.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def forms_of(page: str) -> list[Form]:
    """All forms of an HTML page, in their order."""
    reader = _Reader()
    reader.feed(page)
    return reader.forms
