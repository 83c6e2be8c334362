"""`completion`: what bash needs to complete the command line, made from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

SCRIPT = """\
# eval "$(pyerlnode completion)"
_pyerlnode() {{
    local words=""
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}
        *) case "${{COMP_WORDS[1]}}" in
{options}
        esac ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{commands}"
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _pyerlnode pyerlnode
"""


def completion(parser: argparse.ArgumentParser) -> int:
    """Print it."""
    print(script(parser), end="")
    return 0


def script(parser: argparse.ArgumentParser) -> str:
    """Commands, the options of each, and the words that an option takes; files stand where nothing of these does."""
    commands = dict(_commands(parser))
    options = [
        f'            {name}) words="{" ".join(sorted(_options(made)))}" ;;' for name, made in sorted(commands.items())
    ]
    values = [
        f'        "{name} {flag}") words="{" ".join(choices)}" ;;'
        for name, made in sorted(commands.items())
        for flag, choices in _values(made)
    ]
    named = " ".join(sorted(commands))
    return SCRIPT.format(commands=named, options="\n".join(options), values="\n".join(values))


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from (name for name, _ in _commands(parser))
    for action in parser._actions:
        yield from (flag for flag in action.option_strings if flag.startswith("--"))


def _values(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[str]]]:
    for action in parser._actions:
        if action.choices is not None and action.option_strings:
            yield from ((flag, list(map(str, action.choices))) for flag in action.option_strings)
