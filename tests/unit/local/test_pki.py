from __future__ import annotations

import ssl
import stat

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aiconform.local.pki import Authority, signing_key


def load(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_identity_is_in_the_subject() -> None:
    certificate = load(Authority("ca").issue("system:node:a", ["system:nodes"], ["a", "198.18.0.2"]).certificate)
    subject = certificate.subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:a"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_addresses_and_names_are_told_apart() -> None:
    certificate = load(Authority("ca").issue("server", names=["kubernetes", "127.0.0.1"]).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_client_certificate_serves_nobody() -> None:
    certificate = load(Authority("ca").issue("admin").certificate)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH not in usage


def test_issued_by_the_authority_and_no_other() -> None:
    one, other = Authority("one"), Authority("two")
    certificate = load(one.issue("x").certificate)
    certificate.verify_directly_issued_by(load(one.pair.certificate))
    with pytest.raises(ValueError, match=r"[Ii]ssuer"):
        certificate.verify_directly_issued_by(load(other.pair.certificate))


def test_key_files_are_private_and_fit_their_certificates(tmp_path) -> None:
    Authority("ca").issue("x").write(tmp_path, "x")
    assert stat.S_IMODE((tmp_path / "x.key").stat().st_mode) == 0o600
    ssl.create_default_context().load_cert_chain(tmp_path / "x.crt", tmp_path / "x.key")


def test_signing_keys_differ_each_time() -> None:
    private, public = signing_key()
    assert private.startswith(b"-----BEGIN PRIVATE KEY")
    assert public.startswith(b"-----BEGIN PUBLIC KEY")
    assert signing_key()[0] != private
