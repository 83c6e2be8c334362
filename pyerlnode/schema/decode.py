"""`decode_as`: a term as a value of the type that an annotation names.

    >>> from pyerlnode.schema import decode_as
    >>> decode_as([(b"a", 1), (b"b", None)], list[tuple[str, int | None]])
    [('a', 1), ('b', None)]

The law:

- The type decides, never the content: `str` takes UTF-8 binaries, `bytes` any binary, `int` no bool.
- `decode_as` takes what can only mean a value of the type: an integer for a `float`, ``undefined`` for `None`, an
  atom for a `Literal` or an enum of text, a keyword list for a `dict`, ISO 8601 text or Erlang's tuples for dates.
- A `Union` gives what its first member takes exactly, else what the first takes at all.
- An error names the path and what was expected there, never what the term holds.

Each type is compiled once into a function and kept. A dataclass is compiled when it is first met by a term, so
its annotations may name classes that come later, or itself.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, TypeVar

from pyerlnode.errors import SchemaError, UsageError
from pyerlnode.schema.arrays import tensor, tensor_of
from pyerlnode.schema.forms import Mismatch, kind_of
from pyerlnode.schema.objects import dataclass_decoder, namedtuple_decoder, typeddict_decoder
from pyerlnode.schema.scalars import LENIENT, STRICT, Decoder, enum_decoder, exactly, literal_decoder
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import freeze

_T = TypeVar("_T")
_compiled: dict[tuple[Any, bool], Decoder] = {}


@typing.overload
def decode_as(term: Any, wanted: type[_T]) -> _T: ...
@typing.overload
def decode_as(term: Any, wanted: Any) -> Any: ...
def decode_as(term: Any, wanted: Any) -> Any:
    """`term` as a value of the type `wanted`.

    Args:
        term: a decoded term.
        wanted: a class, or what an annotation may be: ``list[int]``, ``User | None``, ``Literal["a", "b"]``, …

    Raises:
        SchemaError: the term is not of that type; `path` says where.
        UsageError: there is no such type of terms.
    """
    decode = _compiled.get((wanted, False)) if _hashable(wanted) else None
    try:
        return (decode or decoder_of(wanted))(term)
    except Mismatch as error:
        raise SchemaError(f"expected {error.wanted}, got {error.got}", error.where) from None
    except RecursionError:
        raise SchemaError("the term is nested deeper than a type can be followed") from None


def _hashable(wanted: Any) -> bool:
    try:
        hash(wanted)
    except TypeError:
        return False
    return True


def decoder_of(wanted: Any, strict: bool = False) -> Decoder:
    """The function that decodes into `wanted`; it raises `Mismatch`. `strict`: only what encodes to the same bytes."""
    if not _hashable(wanted):
        return _compile(wanted, strict)
    key = (wanted, strict)
    known = _compiled.get(key)
    if known is None:
        known = _compiled[key] = _compile(wanted, strict)
    return known


def _compile(wanted: Any, strict: bool) -> Decoder:
    if wanted is Any or wanted is object:
        return lambda term: term
    scalar = (STRICT if strict else LENIENT).get(wanted if _hashable(wanted) else None)
    if scalar is not None:
        return scalar
    if wanted is None:
        return decoder_of(type(None), strict)
    origin = typing.get_origin(wanted)
    if origin is not None:
        return _generic(wanted, origin, typing.get_args(wanted), strict)
    if isinstance(wanted, TypeVar):
        return decoder_of(wanted.__bound__ or Any, strict)
    inner = getattr(wanted, "__supertype__", None) or getattr(wanted, "__value__", None)  # NewType, `type X = …`
    if inner is not None and not isinstance(wanted, type):
        return decoder_of(inner, strict)
    if isinstance(wanted, type):
        return _class(wanted, strict)
    hint = "; give the class itself" if isinstance(wanted, (str, typing.ForwardRef)) else ""
    raise UsageError(f"no term is of the type {wanted!r}{hint}")


def _class(wanted: type, strict: bool) -> Decoder:
    if issubclass(wanted, enum.Enum):
        return enum_decoder(wanted, strict)
    if typing.is_typeddict(wanted):
        return typeddict_decoder(wanted, strict, decoder_of)
    if dataclasses.is_dataclass(wanted):
        return dataclass_decoder(wanted, strict, decoder_of)
    if issubclass(wanted, tuple) and hasattr(wanted, "_fields"):
        return namedtuple_decoder(wanted, strict, decoder_of)
    if _is_ndarray(wanted):
        return tensor
    if wanted in _CONTAINERS:
        return _generic(wanted, wanted, (), strict)
    return exactly(wanted)


def _generic(wanted: Any, origin: Any, args: tuple[Any, ...], strict: bool) -> Decoder:
    if origin is typing.Union or origin is types.UnionType:
        return _union(args, strict)
    if origin is typing.Literal:
        return literal_decoder(args, strict)
    if origin in _WRAPPERS:
        return decoder_of(args[0], strict)
    if origin is tuple:
        return _tuple(args, strict)
    if origin in _LISTS:
        return _list(args, strict)
    if origin in _SETS:
        return _set(origin, args, strict)
    if origin in _DICTS:
        return _dict(args, strict)
    if _is_ndarray(origin):
        return tensor_of(args)
    inner = _named(origin, args)
    if inner is not None:
        return decoder_of(inner, strict)
    raise UsageError(f"no term is of the type {wanted!r}")


def _named(origin: Any, args: tuple[Any, ...]) -> Any:
    """What a generic class or alias of a program stands for. The parameters of a class are not checked."""
    if isinstance(origin, type):
        return origin
    alias = getattr(origin, "__value__", None)  # `type X[T] = …`, as numpy.typing.NDArray is since Python 3.12
    return None if alias is None else alias[args]


def _is_ndarray(wanted: Any) -> bool:
    """Without an import of NumPy."""
    return getattr(wanted, "__module__", "") == "numpy" and getattr(wanted, "__name__", "") == "ndarray"


_WRAPPERS = [typing.Annotated, typing.Final, typing.ClassVar]
_WRAPPERS += [getattr(typing, name) for name in ("Required", "NotRequired", "ReadOnly") if hasattr(typing, name)]
_LISTS = (list, Sequence, Iterable)
_SETS = (set, frozenset, Set)
_DICTS = (dict, Mapping)
_CONTAINERS = (list, tuple, set, frozenset, dict)


def _union(members: tuple[Any, ...], strict: bool) -> Decoder:
    others = [member for member in members if member is not type(None)]
    if len(others) == 1 and len(members) == 2:
        return _optional(decoder_of(others[0], strict), decoder_of(type(None), strict))
    tries = [decoder_of(member, True) for member in members]
    if not strict:
        tries += [decoder_of(member, False) for member in members]

    def decode(term: Any) -> Any:
        deepest: Mismatch | None = None
        wanted: dict[str, None] = {}
        for left, attempt in zip(range(len(tries), 0, -1), tries, strict=True):
            try:
                return attempt(term)
            except Mismatch as error:  # noqa: PERF203  # each member is tried on its own
                if error.path:
                    if deepest is None or len(error.path) > len(deepest.path):
                        deepest = error
                elif left <= len(members):  # a member's last try says all that it takes
                    wanted[error.wanted] = None
        raise deepest or Mismatch(" or ".join(wanted), term)

    return decode


def _optional(inner: Decoder, none: Decoder) -> Decoder:
    def decode(term: Any) -> Any:
        if term is None:
            return None
        try:
            return inner(term)
        except Mismatch as error:
            if error.path:
                raise
            try:
                return none(term)  # undefined, where it is not a value of the other type
            except Mismatch:
                error.wanted += " or None"
                raise error from None

    return decode


def _list(args: tuple[Any, ...], strict: bool) -> Decoder:
    inner = decoder_of(args[0] if args else Any, strict)

    def decode(term: Any) -> Any:
        if not isinstance(term, list):
            raise Mismatch("list", term)
        made: list[Any] = []
        try:
            for item in term:
                made.append(inner(item))  # noqa: PERF401  # the length reached says where it failed
        except Mismatch as error:
            raise error.within(f"[{len(made)}]") from None
        return made

    return decode


def _tuple(args: tuple[Any, ...], strict: bool) -> Decoder:
    if not args or (len(args) == 2 and args[1] is Ellipsis):
        inner = decoder_of(args[0] if args else Any, strict)
        wanted, size = "tuple", None
        decoders: list[Decoder] = []
    else:
        decoders = [decoder_of(arg, strict) for arg in args if arg != ()]
        wanted, size = f"tuple of {len(decoders)}", len(decoders)

    def decode(term: Any) -> Any:
        if not isinstance(term, tuple) or (size is not None and len(term) != size):
            raise Mismatch(wanted, term)
        made: list[Any] = []
        try:
            for each, item in zip(decoders if size is not None else [inner] * len(term), term, strict=True):
                made.append(each(item))
        except Mismatch as error:
            raise error.within(f"[{len(made)}]") from None
        return tuple(made)

    return decode


def _set(origin: Any, args: tuple[Any, ...], strict: bool) -> Decoder:
    inner = decoder_of(args[0] if args else Any, strict)
    kind = set if origin is set else frozenset

    def decode(term: Any) -> Any:
        if not isinstance(term, (frozenset, set)) and (strict or not isinstance(term, list)):
            raise Mismatch(f"{kind.__name__} (a MapSet)", term)
        try:
            made = kind([freeze(inner(item)) for item in term])
        except Mismatch as error:
            raise error.within("{…}") from None
        if len(made) != len(term) and strict:
            raise Mismatch(f"{kind.__name__} of distinct elements", term)
        return made

    return decode


def _dict(args: tuple[Any, ...], strict: bool) -> Decoder:
    key_of = decoder_of(args[0] if args else Any, strict)
    value_of = decoder_of(args[1] if args else Any, strict)

    def decode(term: Any) -> Any:
        if isinstance(term, Mapping):
            pairs: Iterable[tuple[Any, Any]] = term.items()
        elif not strict and isinstance(term, list) and all(type(pair) is tuple and len(pair) == 2 for pair in term):
            pairs = reversed(term)  # the first of a key counts, as in a keyword list
        else:
            raise Mismatch("dict (a map)", term)
        made = {}
        step = ""
        try:
            for key, value in pairs:
                step = ".key"
                made_key = freeze(key_of(key))
                step = "[]"
                made[made_key] = value_of(value)
        except Mismatch as error:
            raise error.within(f"[{_shown(key)}]" if step == "[]" else f".key({_shown(key)})") from None
        if len(made) != len(term) and isinstance(term, Mapping):
            raise Mismatch("dict of distinct keys", got="a map with keys that Python holds equal")
        return made

    return decode


def _shown(key: Any) -> str:
    """A key in a path: names and numbers; what else may be a key is content."""
    return repr(key) if type(key) in (Atom, int, bool) else kind_of(key)
