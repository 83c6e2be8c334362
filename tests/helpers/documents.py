"""What documents hold that can be run: fenced blocks of code, and consoles with commands and what they print."""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A line after ``$ ``, and the lines that it prints; `…` there stands for anything."""

    line: str
    prints: str


def blocks(document: Path, language: str) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(language, found.group(2), text.count("\n", 0, found.start(2)) + 1)
        for found in FENCE.finditer(text)
        if found.group(1) == language
    ]


def commands(block: Block) -> list[Command]:
    made = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, prints = part.partition("\n")
        made.append(Command(line, prints))
    return made


def matches(printed: str, expected: str) -> bool:
    """Whether `printed` is what was expected, where `…` may be anything."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def opening_prints(program: Path) -> str:
    """What a program's docstring says that it prints."""
    opening = program.read_text(encoding="utf-8").split('"""')[1]
    return re.sub(r"^    ", "", opening.partition("Prints:\n")[2], flags=re.MULTILINE).strip()
