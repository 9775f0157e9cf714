"""Structured logs: one JSON object a line, or plain text, with the id of the request."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from app.core.output.plain_text import json_for_terminals, on_one_line
from app.core.settings import Settings

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the current HTTP request."""
_NO_EXTRAS = {"message", "asctime", "taskName", "color_message"}
"""Set by logging itself, and by uvicorn for terminals."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | _NO_EXTRAS
_CHATTY = ("alembic", "app.core.db.deadlines", "httpx", "matplotlib", "procrastinate")


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, `request_id`, whatever `extra` gave, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = REQUEST_ID.get()
        if request_id is not None:
            line["request_id"] = request_id
        line.update({k: v for k, v in _extras(record).items() if k not in line})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json_for_terminals(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """The level, the message, and `extra` as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        extras = {**_extras(record)}
        request_id = REQUEST_ID.get()
        if request_id is not None:
            extras["request_id"] = request_id
        shown = "".join(f" {name}={value}" for name, value in extras.items())
        text = on_one_line(f"{record.levelname} {record.name}: {record.getMessage()}{shown}")
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure_logging(settings: Settings) -> None:
    """Send all logs of this process to standard error in the configured format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
