"""Why a delivery failed: messages by code, and whether another attempt may help."""

from __future__ import annotations

from app.core.messages import Message, MessageTable

FAILURES = MessageTable(
    {
        "push_no_answer": "no connection, or no answer: {reason}",
        "push_too_slow": "not done after {limit_s:g} s",
        "push_status": "the receiver answered with status {status}",
        "push_gone": "the receiver answered with status 410: it wants no more",
        "push_address": "this address is not allowed: {reason}",
        "push_mail_refused": "the mail server refused it: {reason}",
        "push_not_set_up": "not set up: {setting} is needed",
        "push_folder": "the folder cannot be written: {reason}",
        "push_no_forecast": "there is no such forecast: {reason}",
        "push_owner_ended": "the key of {owner}, who added the subscription, has ended",
        "push_secret_lost": "HOTSLOT_PUSH_KEY is another one than when the secret was made: rotate it",
        "push_process_died": "its process died, {attempts} times",
        "push_too_many": "{n} newer deliveries are waiting",
        "push_fault": "fault of the service: {reason}",
    }
)
MAX_REASON_CHARS = 200


class PushFailed(Exception):
    """A delivery failed.

    Args:
        final: another attempt would fail, too.
        retry_after_s: as the receiver asks.
    """

    def __init__(
        self, failure: Message, *, final: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.final = final
        self.retry_after_s = retry_after_s


def reason_of(error: BaseException) -> str:
    """Return an error's text on one line, shortened; its type where it has none."""
    text = "".join(c if c.isprintable() else " " for c in str(error)) or type(error).__name__
    return text[:MAX_REASON_CHARS]
