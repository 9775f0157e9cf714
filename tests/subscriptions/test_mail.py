"""E-mail through a real mail server: the briefing attached, one id at each attempt, refusals told."""

from __future__ import annotations

import ssl

import pytest
from pydantic import SecretStr

from app.core.errors import InvalidInput
from app.subscriptions.failures import PushFailed
from app.subscriptions.mail import check_mail, send_mail
from tests.support.services.nginx import write_certificate
from tests.support.services.receivers import mail_server


@pytest.mark.slow
def test_a_letter_with_the_briefing(office):
    office.subscribe("desk", "email", lang="es")
    sent_id = office.test("desk")
    assert office.send().delivered == 1
    (message,) = office.mail.messages
    assert message["Message-ID"] == f"<{sent_id}@city.example>"
    assert (message["From"], message["To"]) == ("hotslot@city.example", "desk@example.org")
    assert message["Subject"].startswith("Town: Adónde ir, ")
    text = message.get_body(("plain",)).get_content()
    assert "1. " in text
    assert "America/Bogota, -05:00" in text
    assert "Una zona no es motivo de sospecha" in text
    assert "Tenga en cuenta" in text
    (pdf,) = message.iter_attachments()
    assert pdf.get_content_type() == "application/pdf"
    assert pdf.get_filename().startswith("town-")
    assert pdf.get_content().startswith(b"%PDF-")


@pytest.mark.slow
def test_a_busy_server_is_tried_again_with_the_same_id(office):
    office.subscribe("desk", "email")
    sent_id = office.test("desk")
    office.mail.refusals.append("451 try again later")
    assert office.send(push_backoff_s=600.0).failed == 1
    (waiting,) = office.deliveries("desk")
    assert waiting["failure"]["params"] == {"reason": "451 try again later"}
    office.sql("UPDATE deliveries SET next_at = now()")
    assert office.send().delivered == 1
    assert [m["X-Hotslot-Delivery"] for m in office.mail.messages] == [sent_id]


def test_an_unknown_recipient_is_not_tried_again(office):
    office.subscribe("desk", "email")
    office.test("desk")
    office.mail.refusals.append("550 no such user")
    assert office.send().failed == 1
    (dead,) = office.deliveries("desk", state="dead")
    assert (dead["attempts"], dead["failure"]["code"]) == (1, "push_mail_refused")


def test_a_server_that_is_down_is_tried_again(office, settings):
    office.subscribe("desk", "email")
    office.test("desk")
    assert office.send(smtp_port=9, push_backoff_s=600.0).failed == 1
    (waiting,) = office.deliveries("desk")
    assert (waiting["state"], waiting["failure"]["code"]) == ("waiting", "push_no_answer")


def test_a_name_with_line_breaks_begins_no_header(office):
    office.sql("UPDATE regions SET name = E'Town\\nBcc: someone@example.org'")
    try:
        office.subscribe("desk", "email")
        office.test("desk")
        assert office.send().delivered == 1
    finally:
        office.sql("UPDATE regions SET name = 'Town'")
    (message,) = office.mail.messages
    assert "Bcc" not in message
    assert "Town Bcc: someone@example.org" in message["Subject"]


@pytest.mark.slow
def test_starttls_with_a_login_and_a_certificate_of_ones_own(office, tmp_path):
    certificate = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    office.subscribe("desk", "email")
    with mail_server(tls_context=context, require_starttls=True) as server:
        given = {
            "smtp_port": server.port, "smtp_security": "starttls", "smtp_user": "hotslot",
            "smtp_password": SecretStr("right"),
        }  # fmt: skip
        office.test("desk")
        # Nobody vouches for the certificate.
        assert office.send(**given, push_backoff_s=600.0).failed == 1
        assert office.deliveries("desk")[0]["failure"]["code"] == "push_no_answer"
        given["smtp_ca_file"] = certificate
        office.sql("UPDATE deliveries SET next_at = now()")
        assert office.send(**given).delivered == 1
        assert server.logins == [("hotslot", "right")]
        office.test("desk")
        given["smtp_password"] = SecretStr("wrong")
        assert office.send(**given, push_backoff_s=600.0).failed == 1
        assert "535" in office.deliveries("desk")[0]["failure"]["message"]


def test_what_is_missing_is_named(settings):
    bare = settings.model_copy(update={"smtp_host": None})
    with pytest.raises(InvalidInput, match="HOTSLOT_SMTP_HOST"):
        check_mail(bare)
    with pytest.raises(PushFailed, match="HOTSLOT_SMTP_HOST"):
        send_mail(None, bare)
    clear = {"smtp_host": "mail.example", "smtp_sender": "a@b", "smtp_user": "u"}
    with pytest.raises(InvalidInput, match="in clear"):
        check_mail(settings.model_copy(update={**clear, "smtp_security": "none"}))
