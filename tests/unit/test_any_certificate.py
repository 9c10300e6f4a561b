"""Any text in the place of certificates is refused or used, but never passed on."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.bad_certificates import (
    BEGIN,
    END,
    expect_only_certificates,
    made,
    pem,
    results,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A bundle whose certificates were shuffled, repeated, changed, and mixed with other things."""
    of = made()
    other = pem(b"".join(map(bytes, draw(st.lists(st.binary(max_size=30), max_size=2)))))
    parts = draw(
        st.lists(
            st.sampled_from(
                [
                    *of.bundle,
                    *of.bundle,
                    of.certificate,
                    of.request,
                    *of.secrets(),
                    other,
                    END,
                    BEGIN,
                ]
            ),
            max_size=6,
        )
    )
    text = "".join(parts)
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.integers(0, len(text)))
        match draw(st.sampled_from(["insert", "remove", "replace", "cut", "lines"])):
            case "insert":
                text = text[:where] + draw(st.text(max_size=5)) + text[where:]
            case "remove":
                text = text[:where] + text[where + draw(st.integers(1, 80)) :]
            case "replace":
                text = text[:where] + draw(st.characters()) + text[where + 1 :]
            case "cut":
                text = text[:where]
            case "lines":
                text = text.replace("\n", draw(st.sampled_from(["\r\n", "\n\n", " \n", "", "\\n"])))
    return text


@given(bundle=mutated(), certificate=mutated() | st.just(""))
def test_only_certificates_are_passed_on(bundle: str, certificate: str) -> None:
    for text in (*results(made().certificate, bundle), *results(certificate, bundle)):
        expect_only_certificates(text)


@given(which=st.integers(0, 3), where=st.integers(0, 10**6), value=st.integers(0, 255))
@example(which=3, where=12, value=1)  # the version
@example(which=0, where=12, value=3)
def test_a_certificate_with_a_changed_byte_is_refused_or_another_certificate(
    which: int, where: int, value: int
) -> None:
    of = made()
    texts = [*of.bundle, of.certificate]
    der = bytearray(
        x509.load_pem_x509_certificate(texts[which].encode()).public_bytes(
            serialization.Encoding.DER
        )
    )
    der[where % len(der)] = value
    texts[which] = pem(bytes(der))
    for text in results(texts[3], "".join(texts[:3])):
        expect_only_certificates(text)
