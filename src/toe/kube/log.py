"""How the operator's doors log: one JSON object a line on standard error, constant texts, facts as fields."""

import logging
import sys

import msgspec
import structlog

LOG_LEVELS = ("debug", "info", "warning", "error")


def configure_log(level: str) -> None:
    """Sends one JSON object a line to standard error; texts are constant, facts are fields."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda value, **_: msgspec.json.encode(value, enc_hook=str)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
