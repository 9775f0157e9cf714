"""E-mail with the briefing, through the mail server that the settings name."""

from __future__ import annotations

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from app.core.errors import InvalidInput
from app.core.roles import is_loopback
from app.core.settings import Settings
from app.subscriptions.failures import FAILURES, PushFailed, reason_of
from app.subscriptions.notice import Notice

PERMANENT = range(550, 554)
"""Replies that refuse a recipient or a message for good; others may pass."""
MAX_SUBJECT_CHARS = 150


def check_mail(settings: Settings) -> None:
    """Raise unless the settings name a mail server.

    Raises:
        InvalidInput: what is missing, or a password would be sent in clear.
    """
    for name in ("smtp_host", "smtp_sender"):
        if not getattr(settings, name):
            raise InvalidInput(
                f"e-mail needs HOTSLOT_{name.upper()}", field="target", code="no_mail_server"
            )
    clear = settings.smtp_security == "none" and settings.smtp_user is not None
    if clear and not is_loopback(settings.smtp_host or ""):
        raise InvalidInput(
            "HOTSLOT_SMTP_SECURITY=none would send the password in clear: use starttls or tls",
            field="target",
            code="no_mail_server",
        )


def message_of(notice: Notice, sender: str, pdf: bytes) -> EmailMessage:
    """Compose the message; its Message-ID is the delivery's id at each attempt."""
    region = notice.plan.forecast.version.region
    message = EmailMessage()
    subject = f"{region.name}: {notice.title()}"
    # One line: a name with line breaks would begin another header.
    message["Subject"] = " ".join(subject.split())[:MAX_SUBJECT_CHARS]
    message["From"] = sender
    message["To"] = notice.spec.address
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{notice.delivery.id}@{sender.rpartition('@')[2] or 'hotslot'}>"
    # Mail servers answer no such message automatically.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Hotslot-Delivery"] = str(notice.delivery.id)
    message.set_content(notice.letter())
    name = f"{region.id}-{notice.pinned()['from'][:13].replace('T', '-')}h.pdf"
    message.add_attachment(pdf, maintype="application", subtype="pdf", filename=name)
    return message


def send_mail(message: EmailMessage, settings: Settings) -> None:
    """Hand a message to the mail server.

    Raises:
        PushFailed: the server does not have it.
    """
    try:
        check_mail(settings)
    except InvalidInput as error:
        missing = FAILURES.make("push_not_set_up", setting="HOTSLOT_SMTP_HOST")
        raise PushFailed(missing) from error
    try:
        with _connected(settings) as server:
            if settings.smtp_user is not None:
                password = settings.smtp_password
                server.login(
                    settings.smtp_user, "" if password is None else password.get_secret_value()
                )
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        (code, text), *_ = error.recipients.values()
        raise _refused(int(code), text) from error
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise PushFailed(FAILURES.make("push_no_answer", reason=reason_of(error))) from error


def _connected(settings: Settings) -> smtplib.SMTP:
    host, port, limit_s = str(settings.smtp_host), settings.smtp_port, settings.push_timeout_s
    ca_file = None if settings.smtp_ca_file is None else str(settings.smtp_ca_file)
    if settings.smtp_security == "none":
        return smtplib.SMTP(host, port, timeout=limit_s)
    context = ssl.create_default_context(cafile=ca_file)
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=limit_s, context=context)
    server = smtplib.SMTP(host, port, timeout=limit_s)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _refused(code: int, text: bytes | str) -> PushFailed:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    reason = reason_of(ValueError(f"{code} {said}"))
    final = code in PERMANENT
    return PushFailed(FAILURES.make("push_mail_refused", reason=reason), final=final)
