"""Keys and user tokens."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.errors import InvalidInput, Unauthorized
from windowshop.keys import (
    LEEWAY_S,
    PREFIX,
    ROLES,
    digest_of,
    is_genuine,
    make_key,
    make_signing_secret,
    read_user_token,
    sign_user_token,
)

NOW_MS = 1_800_000_000_000
NOW = NOW_MS // 1000
SECRET = "5e" * 32


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: object, claims: object, secret: str = SECRET) -> str:
    """A token whose signature is right, whatever it says."""
    parts = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    signature = hmac.new(secret.encode(), parts.encode(), hashlib.sha256).digest()
    return f"{parts}.{b64(signature)}"


HS256 = {"alg": "HS256", "typ": "JWT"}
GOOD = {"sub": "u1", "exp": NOW + 60}


@pytest.mark.parametrize("role", ROLES)
def test_a_key_says_its_role_and_only_its_digest_is_stored(role):
    key, stored = make_key("shop", role, NOW_MS, "till 4")

    assert key.startswith(PREFIX[role])
    assert stored.digest == digest_of(key)
    assert stored.digest.startswith(stored.id)
    assert (stored.store, stored.role, stored.note) == ("shop", role, "till 4")
    assert key not in repr(stored)


def test_no_two_keys_or_secrets_are_alike():
    assert len({make_key("s", "secret", 0)[0] for _ in range(50)}) == 50
    assert len({make_signing_secret() for _ in range(50)}) == 50


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(InvalidInput, match="secret or publishable"):
        make_key("shop", "admin", 0)


def test_only_the_very_key_is_genuine_and_only_while_it_lives():
    key, stored = make_key("shop", "secret", NOW_MS)
    revoked = type(stored)(**{**{f: getattr(stored, f) for f in stored.__slots__}, "revoked_ms": 1})

    assert is_genuine(key, stored)
    assert not is_genuine(key + "x", stored)
    assert not is_genuine("", stored)
    assert not is_genuine("\ud800é", stored)
    assert not is_genuine(key, revoked)


def test_a_token_speaks_for_its_user():
    token = sign_user_token("用户 7", SECRET, NOW + 60)

    assert read_user_token(token, SECRET, NOW_MS) == "用户 7"
    assert read_user_token(by_hand(HS256, GOOD), SECRET, NOW_MS) == "u1"


def test_other_claims_change_nothing():
    claims = {**GOOD, "aud": "someone", "iss": "shop", "iat": NOW + 9999, "jti": 7, "nbf": NOW}

    assert read_user_token(by_hand(HS256, claims), SECRET, NOW_MS) == "u1"


def test_a_token_is_good_until_its_end_and_a_little_longer():
    token = sign_user_token("u1", SECRET, NOW)

    assert read_user_token(token, SECRET, (NOW + LEEWAY_S - 1) * 1000) == "u1"
    with pytest.raises(Unauthorized, match="expired"):
        read_user_token(token, SECRET, (NOW + LEEWAY_S) * 1000)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(by_hand(HS256, GOOD, "ab" * 32), id="signed with another secret"),
        pytest.param(by_hand(HS256, GOOD)[:-2] + "AA", id="signature changed"),
        pytest.param(by_hand(HS256, GOOD).rpartition(".")[0] + ".", id="signature missing"),
        pytest.param(jwt.encode(GOOD, None, algorithm="none"), id="alg none"),
        pytest.param(by_hand({"alg": "none"}, GOOD), id="alg none with a signature"),
        pytest.param(jwt.encode(GOOD, SECRET, algorithm="HS512"), id="HS512"),
        pytest.param(by_hand({"alg": "RS256"}, GOOD), id="RS256 in the header alone"),
        pytest.param(by_hand({"alg": ["HS256"]}, GOOD), id="alg is a list"),
        pytest.param(by_hand({**HS256, "crit": ["x"]}, GOOD), id="unknown critical header"),
        pytest.param(by_hand([], GOOD), id="header is a list"),
        pytest.param(by_hand(HS256, [GOOD]), id="claims are a list"),
        pytest.param(by_hand(HS256, {"sub": "u1"}), id="no exp"),
        pytest.param(by_hand(HS256, {"exp": NOW + 60}), id="no sub"),
        pytest.param(by_hand(HS256, {**GOOD, "exp": str(NOW + 60)}), id="exp is text"),
        pytest.param(by_hand(HS256, {**GOOD, "exp": True}), id="exp is true"),
        pytest.param(by_hand(HS256, {**GOOD, "exp": float("nan")}), id="exp is NaN"),
        pytest.param(by_hand(HS256, {**GOOD, "exp": NOW - 3600}), id="expired"),
        pytest.param(by_hand(HS256, {**GOOD, "nbf": NOW + 3600}), id="not valid yet"),
        pytest.param(by_hand(HS256, {**GOOD, "sub": 7}), id="sub is a number"),
        pytest.param(by_hand(HS256, {**GOOD, "sub": ""}), id="sub is empty"),
        pytest.param(by_hand(HS256, {**GOOD, "sub": " u1"}), id="sub begins with a space"),
        pytest.param(by_hand(HS256, {**GOOD, "sub": "x" * 129}), id="sub is too long"),
        pytest.param(by_hand(HS256, {**GOOD, "sub": "a\nb"}), id="sub is not printable"),
        pytest.param(f"{b64(b'[' * 3000)}.{b64(b'{}')}.{b64(b'x')}", id="nested header"),
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="no JWT"),
        pytest.param("....", id="too many dots"),
        pytest.param("é.é.é", id="no ASCII"),
    ],
)
def test_any_other_token_is_refused(token):
    with pytest.raises(Unauthorized):
        read_user_token(token, SECRET, NOW_MS)


def test_without_a_signing_secret_no_token_counts():
    with pytest.raises(Unauthorized, match="keys signing-secret"):
        read_user_token(sign_user_token("u1", SECRET, NOW + 60), None, NOW_MS)


@given(st.text(max_size=200))
def test_no_text_is_taken_for_a_token(text):
    with pytest.raises(Unauthorized):
        read_user_token(text, SECRET, NOW_MS)


@given(st.text(st.characters(codec="ascii"), max_size=60), st.integers(0, 200))
def test_a_changed_token_is_refused(noise, place):
    token = sign_user_token("u1", SECRET, NOW + 60)
    changed = token[:place] + noise + token[place + len(noise) :]
    # The last character of a signature has two bits that mean nothing.
    if changed[:-1] != token[:-1]:
        with pytest.raises(Unauthorized):
            read_user_token(changed, SECRET, NOW_MS)
