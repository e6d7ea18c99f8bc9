"""Certificates of the server and keys of devices, on the curves that Flower takes."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANIZATION = "kwsctl"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, PEM.

    Attributes:
        certificate: may be given to everybody.
        key: stays where it is.
    """

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class NodeKey:
    """Identifies a device.

    Attributes:
        public: OpenSSH line, for the server.
        private: OpenSSH PEM, for the device.
    """

    public: bytes
    private: bytes


def authority(days: int) -> tuple[Certificate, ec.EllipticCurvePrivateKey]:
    """Makes an authority that signs nothing but the server's certificate.

    Args:
        days: how long it is valid.

    Returns:
        Its certificate, and the key to sign with.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("certificate authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        _certificate(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM), _pem(key)), key


def server_certificate(
    by: Certificate, key: ec.EllipticCurvePrivateKey, hosts: tuple[str, ...], days: int
) -> Certificate:
    """Makes the certificate of the server.

    Args:
        by: the authority.
        key: its key.
        hosts: names and addresses by which devices reach the server.
        days: how long it is valid.

    Returns:
        The certificate and its key.
    """
    own = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(by.certificate).subject
    made = (
        _certificate(_name(hosts[0]), issuer, own.public_key(), days)
        .add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM), _pem(own))


def node_key() -> NodeKey:
    """Makes the key of a device: ECDSA on P-384, in OpenSSH's form."""
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return NodeKey(public + b"\n", private)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
        ]
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
