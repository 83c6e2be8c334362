"""The log of a run on standard error: lines for people, or one JSON object a line for what collects them.

    {"time": "2026-01-02T03:04:05.678Z", "level": "info", "logger": "shop", "message": "…", "node": "…", "pid": 7}

An exception is the text `exception`, with its frames.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone


class Text(logging.Formatter):
    def __init__(self, who: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {who} %(name)s: %(message)s")


class Json(logging.Formatter):
    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "node": self._who,
            "pid": record.process,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, default=repr)


def set_up(who: str, level: str, form: str) -> None:
    """Log everything from `level` on, of the program too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json(who) if form == "json" else Text(who.replace("%", "%%")))
    root = logging.getLogger()
    for logger in (root, logging.getLogger("pyerlnode")):  # the command line has silenced the library's
        logger.setLevel(logging.NOTSET)
        for old in list(logger.handlers):
            if not isinstance(old, logging.NullHandler):
                logger.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
