"""The expressions that start a session, in the form that ``erl_parse:parse_exprs/1`` gives and ``erl_eval`` takes.

{ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Source)),
{ok, Exprs} = erl_parse:parse_exprs(Tokens),
{value, Session, _} = erl_eval:exprs(Exprs, []),
Session(Owner).
"""

from __future__ import annotations

from typing import Any

from pyerlnode.term.atom import A, Atom

NIL = (A.nil, 1)
IGNORED = (A.var, 1, A["_"])


def _atom(name: str) -> tuple[Any, ...]:
    return A.atom, 1, Atom(name)


def _var(name: str) -> tuple[Any, ...]:
    return A.var, 1, Atom(name)


def _tuple(*items: Any) -> tuple[Any, ...]:
    return A.tuple, 1, list(items)


def _match(pattern: Any, value: Any) -> tuple[Any, ...]:
    return A.match, 1, pattern, value


def _call(module: str, function: str, *arguments: Any) -> tuple[Any, ...]:
    return A.call, 1, (A.remote, 1, _atom(module), _atom(function)), list(arguments)


BOOT = [
    _match(
        _tuple(_atom("ok"), _var("Tokens"), IGNORED),
        _call("erl_scan", "string", _call("unicode", "characters_to_list", _var("Source"))),
    ),
    _match(_tuple(_atom("ok"), _var("Exprs")), _call("erl_parse", "parse_exprs", _var("Tokens"))),
    _match(
        _tuple(_atom("value"), _var("Session"), IGNORED),
        _call("erl_eval", "exprs", _var("Exprs"), NIL),
    ),
    (A.call, 1, _var("Session"), [_var("Owner")]),
]
