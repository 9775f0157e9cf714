"""A mail server with STARTTLS and a login, and the served product: the briefing arrives, once."""

from __future__ import annotations

import ssl

import pytest

from tests.ecosystem.pictures import keep_text
from tests.support.services.nginx import write_certificate
from tests.support.services.pushing import asked, pushing, until
from tests.support.services.receivers import mail_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mail(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mail")
    certificate = write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    with mail_server(tls_context=context, require_starttls=True) as made:
        made.certificate = certificate
        yield made


@pytest.fixture(scope="module")
def running(mail):
    settings = {
        "HOTSLOT_SMTP_HOST": "127.0.0.1",
        "HOTSLOT_SMTP_PORT": str(mail.port),
        "HOTSLOT_SMTP_USER": "hotslot",
        "HOTSLOT_SMTP_PASSWORD": "right",
        "HOTSLOT_SMTP_SENDER": "hotslot@city.example",
        "HOTSLOT_SMTP_CA_FILE": str(mail.certificate),
        "HOTSLOT_PUSH_BACKOFF_S": "0.5",
    }
    with pushing(**settings) as started:
        yield started


def test_the_briefing_arrives_after_a_refusal(running, mail):
    new = {
        "name": "desk", "occasion": "shift", "target": "email", "address": "desk@example.org",
        "lead_minutes": 0,
    }  # fmt: skip
    asked(running, "POST", "/subscriptions", json=new)
    mail.refusals.append("451 try again later")
    sent_id = asked(running, "POST", "/subscriptions/desk/test")["id"]
    until(lambda: mail.messages)
    until(lambda: asked(running, "GET", "/subscriptions/desk")["deliveries"]["delivered"])
    (message,) = mail.messages
    assert message["Message-ID"] == f"<{sent_id}@city.example>"
    assert mail.logins[-1] == ("hotslot", "right")
    (pdf,) = message.iter_attachments()
    assert pdf.get_content().startswith(b"%PDF-")
    (listed,) = asked(running, "GET", "/subscriptions/desk/deliveries")["deliveries"]
    assert (listed["id"], listed["attempts"]) == (sent_id, 2)
    head = [f"{name}: {message[name]}" for name in ("From", "To", "Subject", "Message-ID")]
    body = message.get_body(("plain",)).get_content().splitlines()
    size_kb = len(pdf.get_content()) / 1000
    attached = f"[attached: {pdf.get_filename()}, {size_kb:.0f} kB]"
    keep_text("\n".join([*head, "", *body, "", attached]), "mail.png")
