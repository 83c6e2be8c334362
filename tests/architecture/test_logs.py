"""A program that has not asked for logs gets none: every module that logs brings the library's `NullHandler` with it.

Without one Python itself prints warnings, and the tracebacks with them, on standard error.
"""

from each import each

from tests.architecture.test_floors import TREE, ours

HANDLER = "runtime.edges"
BY_OTHERS = {"kernel.cookies": "node", "net.tls_options": "node", "otp.typed": "otp.gen_server"}
"""Parts of others, which nobody imports by themselves, and those that do."""


def with_all_that_it_imports(name: str) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            packages = [".".join(one.split(".")[:depth]) for depth in range(1, one.count(".") + 1)]
            waiting += [target for target, _ in ours(one) if target in TREE] + [p for p in packages if p in TREE]
    return seen


@each(name for name, text in TREE.sources.items() if "logging.getLogger(" in text and name != "tools.cli")
def test_a_module_that_logs_brings_the_handler(name: str) -> None:
    importer = BY_OTHERS.get(name, name)
    found = with_all_that_it_imports(importer)
    assert {HANDLER, name} <= found


def test_the_handler_is_there() -> None:
    import logging

    import pyerlnode.runtime.edges  # noqa: F401

    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("pyerlnode").handlers)
