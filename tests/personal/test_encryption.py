from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.errors import InputError, ProfileError
from kwsctl.personal import encryption
from kwsctl.personal.encryption import Key, seal, unseal

KEY = Key.from_passphrase("correct horse battery staple")
CONTENT = b"a voice, as numbers" * 3


@given(st.binary(max_size=300))
def test_what_was_sealed_comes_back(content: bytes) -> None:
    sealed = seal(content, KEY)
    assert unseal(sealed, KEY) == content
    assert len(sealed) == len(content) + encryption.HEADER_BYTES + 16
    assert content not in sealed or len(content) < 8


@given(st.integers(0, len(CONTENT) + encryption.HEADER_BYTES + 15), st.integers(1, 255))
def test_no_byte_can_change_unnoticed(position: int, difference: int) -> None:
    sealed = bytearray(seal(CONTENT, KEY))
    sealed[position] ^= difference
    with pytest.raises(ProfileError):
        unseal(bytes(sealed), KEY)


@given(st.integers(0, len(CONTENT) + encryption.HEADER_BYTES + 15))
def test_no_end_can_be_cut_off_unnoticed(length: int) -> None:
    with pytest.raises(ProfileError):
        unseal(seal(CONTENT, KEY)[:length], KEY)


def test_another_passphrase_does_not_open_it_and_the_error_says_what_to_do() -> None:
    with pytest.raises(ProfileError, match=r"does not open 0001.link") as caught:
        unseal(seal(CONTENT, KEY), Key.from_passphrase("Correct horse"), "0001.link")
    assert "\n" not in str(caught.value)
    assert "Try again" in caught.value.hint


def test_equal_content_never_gives_equal_bytes_even_with_one_salt() -> None:
    first = seal(CONTENT, KEY)
    second = seal(CONTENT, KEY, encryption.salt_of(first))
    assert encryption.salt_of(first) == encryption.salt_of(second)
    assert first[encryption.HEADER_BYTES :] != second[encryption.HEADER_BYTES :]
    assert encryption.salt_of(first) != encryption.salt_of(seal(CONTENT, KEY))


def test_scrypt_runs_once_a_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    derived = []
    real = encryption.Scrypt

    def counting(**arguments: object) -> object:
        derived.append(arguments)
        return real(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(encryption, "Scrypt", counting)
    sealed = seal(CONTENT, KEY)
    for _ in range(5):
        assert unseal(sealed, KEY) == CONTENT
        seal(CONTENT, KEY, encryption.salt_of(sealed))
    assert len(derived) == 1
    assert (derived[0]["r"], derived[0]["p"]) == (8, 1)


def test_the_cost_that_is_shipped_opens_a_file_sealed_by_the_definition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import hashlib

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    monkeypatch.setattr(encryption, "SCRYPT_N", 2**15)
    salt, nonce = b"s" * 16, b"n" * 12
    header = b"KWSE1" + salt + nonce
    secret = hashlib.scrypt(KEY.secret, salt=salt, n=32768, r=8, p=1, dklen=32, maxmem=2**26)
    assert unseal(header + AESGCM(secret).encrypt(nonce, CONTENT, header), KEY) == CONTENT


def test_a_passphrase_is_the_same_however_its_accents_are_typed() -> None:
    composed, decomposed = (unicodedata.normalize(form, "crème brûlée") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert unseal(seal(CONTENT, Key.from_passphrase(composed)), Key.from_passphrase(decomposed)) == CONTENT


def test_a_key_file_opens_what_it_sealed_and_no_other_does(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(range(32)))
    (tmp_path / "other").write_bytes(bytes(range(1, 33)))
    sealed = seal(CONTENT, Key.from_file(tmp_path / "one"))
    assert unseal(sealed, Key.from_file(tmp_path / "one")) == CONTENT
    with pytest.raises(ProfileError):
        unseal(sealed, Key.from_file(tmp_path / "other"))


def test_secrets_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        Key.from_passphrase("")
    (tmp_path / "short").write_bytes(b"0" * 31)
    with pytest.raises(InputError, match=r"31 bytes.*head -c 32"):
        Key.from_file(tmp_path / "short")
    with pytest.raises(InputError, match="cannot be read"):
        Key.from_file(tmp_path / "absent")
    with pytest.raises(InputError, match="cannot be read"):
        Key.from_file(tmp_path)


def test_a_key_does_not_show_its_secret() -> None:
    assert "horse" not in repr(KEY)
    assert "horse" not in str(KEY)
