"""Properties that are computed once per object, whatever the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Owner = TypeVar("Owner")
Value = TypeVar("Value")


class once(Generic[Owner, Value]):  # noqa: N801 - used as a decorator, like property
    """Compute a property on first use; threads that ask meanwhile wait for the result.

    `functools.cached_property` makes all objects of a class wait for each other in Python 3.11, and
    lets threads compute the same value several times from 3.12 on.
    """

    def __init__(self, make: Callable[[Owner], Value]) -> None:
        self.make = make
        self.name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> once[Owner, Value]: ...

    @overload
    def __get__(self, obj: Owner, owner: type[Any]) -> Value: ...

    def __get__(self, obj: Owner | None, owner: type[Any]) -> once[Owner, Value] | Value:
        """Compute the value and keep it in the object, where Python then finds it directly."""
        if obj is None:
            return self
        members, making = obj.__dict__, f"{self.name} is being made"
        with members.setdefault(making, threading.RLock()):
            try:
                if self.name not in members:
                    members[self.name] = self.make(obj)
                value: Value = members[self.name]
                return value
            finally:
                members.pop(making, None)  # a lock cannot be pickled with the object
