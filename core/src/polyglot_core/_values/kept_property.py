"""A property that is computed once for an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["kept_property"]

_ValueT = TypeVar("_ValueT")


class kept_property(Generic[_ValueT]):  # noqa: N801 (used as a decorator)
    """A property that is computed on first use, and kept in the instance's `__dict__`.

    Unlike that of `functools`, it has no lock, which a forked child could inherit held. Two threads may compute the
    value; one of the two equal ones is kept.
    """

    def __init__(self, function: Callable[[Any], _ValueT]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _ValueT: ...
    def __get__(self, instance: object | None, owner: type) -> Self | _ValueT:
        """Compute the value and keep it: an instance that has it is not asked again."""
        if instance is None:
            return self
        return instance.__dict__.setdefault(self._name, self._function(instance))  # type: ignore[no-any-return]
