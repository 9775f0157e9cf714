"""What a city's network has: a certificate authority of its own, and a proxy that tunnels (CONNECT)."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Authority:
    """A certificate authority with its certificate in `ca_file`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("inside authority")
        own = _signed(self.name, self.name, self.key.public_key(), self.key, [], is_ca=True)
        self.ca_file = folder / "authority.pem"
        self.ca_file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, *hosts: str) -> tuple[Path, Path]:
        """Write a certificate for names or addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(_name(hosts[0]), self.name, key.public_key(), self.key, hosts, is_ca=False)
        certificate, secret = (self.folder / f"{hosts[0]}.{kind}" for kind in ("pem", "key"))
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _signed(subject, issuer, public_key, signer, hosts, *, is_ca) -> x509.Certificate:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if is_ca:
        may_sign = _usage(key_cert_sign=True, crl_sign=True)
        made = made.add_extension(may_sign, critical=True)
    if hosts:
        made = made.add_extension(
            x509.SubjectAlternativeName([_alternative(h) for h in hosts]), False
        )
    return made.sign(signer, hashes.SHA256())


def _usage(**allowed: bool) -> x509.KeyUsage:
    """What a key is for; Python 3.13 believes no authority that does not say so."""
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names.split()})


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@dataclass
class ConnectProxy:
    """A proxy on this machine: where each host really is, and what it was asked for.

    `asked` holds (target, the header Proxy-Authorization or None).
    """

    places: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None

    def serve(self, listener: socket.socket) -> None:
        """Answer until the listener is closed, and wait for the last answers."""
        answering: list[threading.Thread] = []
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                break
            answering.append(threading.Thread(target=self._answer, args=(client,), daemon=True))
            answering[-1].start()
        for thread in answering:
            thread.join(timeout=10)

    def _answer(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if self.tls is None:
                self._tunnel(client)
                return
            with self.tls.wrap_socket(client, server_side=True) as inner:
                self._tunnel(inner)

    def _tunnel(self, client: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            part = client.recv(1)
            if not part:
                return
            request += part
        text = request.decode()
        target = re.match(r"CONNECT (\S+) ", text)[1]
        secret = re.search(r"^Proxy-Authorization: (.*)\r$", text, re.MULTILINE)
        self.asked.append((target, secret and secret[1]))
        if self.status != 200:
            client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.status)
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((self.places[host], int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(timeout=10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxying(proxy: ConnectProxy) -> Iterator[ConnectProxy]:
    """Let a proxy answer on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.port = listener.getsockname()[1]
        serving = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        serving.start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        serving.join(timeout=20)
