"""A question is a class: it names its answer, its largest size and its version.

All that may be asked stands in the modules of messages; which facet is asked what,
in :mod:`lae_protocol.remote`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, get_args

KB = 1024
A = TypeVar("A")


class Question(Generic[A]):
    """The base of all questions; ``class Register(Question[Registered])`` is answered
    by :class:`Registered`, or by :class:`~lae_protocol.messages.Refused`.

    *VERSION* grows when a peer of another release could not read the question or its
    answer any more.  Beyond *LARGEST* and *LARGEST_ANSWER* bytes both are refused.
    """

    __slots__ = ()
    VERSION: ClassVar[int] = 1
    LARGEST: ClassVar[int] = 1 * KB
    LARGEST_ANSWER: ClassVar[int] = 64 * KB

    @classmethod
    def answer(cls) -> Any:
        """The class of the answer, as this class was declared with it."""
        (declared,) = cls.__orig_bases__  # type: ignore[attr-defined]  # typing's own
        (answer,) = get_args(declared)
        return answer
