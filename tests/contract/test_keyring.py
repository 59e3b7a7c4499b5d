"""What every keyring must do: in the log's file, and in SSM parameters."""

from dataclasses import replace

import boto3
import pytest

from windowshop.aws.clients import Clients
from windowshop.aws.keyring import AGAIN_MS, AT_MOST_MS, BELIEVED_MS, SsmKeyring
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.keys import digest_of, is_genuine, make_key
from windowshop.log.sqlite import SqliteLog
from windowshop.records import new_id

NOW = 1_700_000_000_000


class Time:
    def __init__(self):
        self.ms = NOW

    def __call__(self):
        return self.ms


class Counting:
    """boto3's client, with its calls counted; `broken` ones fail."""

    def __init__(self, client):
        self._client, self.calls, self.tried, self.broken = client, [], 0, False

    def __call__(self):
        self.tried += 1
        if self.broken:
            raise Unavailable("SSM is away")
        return self

    def __getattr__(self, name):
        self.calls.append(name)
        return getattr(self._client, name)


def ssm(clock=lambda: NOW):
    client = Counting(Clients()("ssm"))
    made = SsmKeyring(client, f"/windowshop/{new_id(1)}", clock)
    made.client = client
    return made


@pytest.fixture(params=["sqlite", "ssm"])
def keyring(request, tmp_path):
    if request.param == "ssm":
        request.getfixturevalue("aws")
        yield ssm()
        return
    log = SqliteLog(tmp_path / "log.sqlite")
    yield log
    log.close()


def put(keyring, store="acme", role="secret", at=NOW, note=""):
    key, stored = make_key(store, role, at, note)
    keyring.put_key(stored)
    return key, stored


def test_a_key_is_found_by_its_digest_alone(keyring):
    assert keyring.has_keys() is False
    assert keyring.key("0" * 64) is None
    key, stored = put(keyring, note="für den Laden „Nord“")
    assert keyring.has_keys() is True
    found = keyring.key(digest_of(key))
    assert found == stored
    assert is_genuine(key, found)
    assert keyring.key(digest_of(key + "x")) is None


def test_a_store_lists_its_own_keys_oldest_first(keyring):
    late = put(keyring, at=NOW + 5, role="publishable")[1]
    early = put(keyring, at=NOW)[1]
    other = put(keyring, store="acme-2")[1]
    assert keyring.keys("acme") == [early, late]
    assert keyring.keys("acme-2") == [other]
    assert keyring.keys("acm") == keyring.keys("nobody") == []


def test_a_revoked_key_is_known_and_not_genuine(keyring):
    key, stored = put(keyring)
    keyring.revoke_key("acme", stored.id, NOW + 7)
    found = keyring.key(stored.digest)
    assert found == replace(stored, revoked_ms=NOW + 7)
    assert not is_genuine(key, found)
    keyring.revoke_key("acme", stored.id, NOW + 9)
    assert keyring.key(stored.digest).revoked_ms == NOW + 7
    assert keyring.keys("acme") == [found]
    assert keyring.has_keys() is True


def test_only_a_key_of_the_store_is_revoked(keyring):
    stored = put(keyring)[1]
    for store, key_id in (("other", stored.id), ("acme", "0" * 12), ("acme", "../x")):
        with pytest.raises(NotFound, match="keys list"):
            keyring.revoke_key(store, key_id, NOW)
    assert keyring.key(stored.digest).live


def test_a_signing_secret_is_made_once_a_store(keyring):
    assert keyring.signing_secret("acme") is None
    secret = keyring.signing_secret("acme", create=True)
    assert len(secret) == 64
    assert keyring.signing_secret("acme", create=True) == keyring.signing_secret("acme") == secret
    assert keyring.signing_secret("other") is None
    assert keyring.signing_secret("other", create=True) != secret


# --- SSM -----------------------------------------------------------------------------------------


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def kept(aws, clock):
    return ssm(clock)


def test_only_digests_are_kept_and_secrets_are_encrypted(kept):
    key, stored = put(kept)
    kept.signing_secret("acme", create=True)
    found = boto3.client("ssm").get_parameters_by_path(Path=kept._prefix, Recursive=True)
    by_name = {one["Name"].removeprefix(kept._prefix): one for one in found["Parameters"]}
    assert by_name.keys() == {f"/keys/acme/{stored.id}", "/signing/acme"}
    assert key not in str(found)
    assert by_name["/signing/acme"]["Type"] == "SecureString"


def test_all_keys_are_read_together_and_believed_for_a_minute(kept, clock):
    many = [put(kept, at=NOW + n)[1] for n in range(23)]  # more than a page of SSM's
    kept.client.calls.clear()
    for _ in range(3):
        assert [kept.key(one.digest) for one in many] == many
    clock.ms += BELIEVED_MS - 1
    assert kept.key(many[0].digest) == many[0]
    assert kept.client.calls == ["get_paginator"]
    clock.ms += 1
    assert kept.key(many[0].digest) == many[0]
    assert kept.client.calls == ["get_paginator"] * 2


def test_random_keys_do_not_reach_ssm(kept, clock):
    put(kept)
    kept.key("0" * 64)
    kept.client.calls.clear()
    for n in range(1_500):
        assert kept.key(f"{n:064x}") is None
        clock.ms += 5
    assert len(kept.client.calls) == 1


def test_a_key_made_elsewhere_is_found_within_seconds(kept, clock):
    put(kept)
    kept.key("0" * 64)
    stored = put(SsmKeyring(kept.client, kept._prefix, clock))[1]
    assert kept.key(stored.digest) is None
    clock.ms += AGAIN_MS
    assert kept.key(stored.digest) == stored


def test_a_revocation_elsewhere_is_seen_after_a_minute_or_a_restore(kept, clock):
    one, other = put(kept)[1], put(kept)[1]
    assert kept.key(one.digest).live
    elsewhere = SsmKeyring(kept.client, kept._prefix, clock)
    elsewhere.revoke_key("acme", one.id, clock.ms)
    assert kept.key(one.digest).live
    clock.ms += BELIEVED_MS
    assert not kept.key(one.digest).live
    elsewhere.revoke_key("acme", other.id, clock.ms)
    kept.renew()
    assert not kept.key(other.digest).live


def test_known_keys_outlive_an_outage_but_not_for_ever(kept, clock):
    stored = put(kept)[1]
    secret = kept.signing_secret("acme", create=True)
    kept.key(stored.digest)
    kept.client.broken = True
    clock.ms += BELIEVED_MS
    assert kept.key(stored.digest) == stored
    assert kept.key("0" * 64) is None
    assert kept.signing_secret("acme") == secret
    tried = kept.client.tried
    for _ in range(3):
        assert (kept.key(stored.digest), kept.signing_secret("acme")) == (stored, secret)
    assert kept.client.tried == tried
    clock.ms += AT_MOST_MS
    for ask in (lambda: kept.key(stored.digest), lambda: kept.signing_secret("acme")):
        with pytest.raises(Unavailable, match="away"):
            ask()
    kept.client.broken = False
    assert kept.key(stored.digest) == stored


def test_nothing_known_and_nobody_there_is_unavailable(kept):
    kept.client.broken = True
    for ask in (lambda: kept.key("0" * 64), kept.has_keys, lambda: kept.signing_secret("acme")):
        with pytest.raises(Unavailable):
            ask()


def test_a_secret_is_read_seldom_also_while_there_is_none(kept, clock):
    for _ in range(3):
        assert kept.signing_secret("acme") is None
    assert kept.client.calls == ["get_parameter"]
    secret = SsmKeyring(kept.client, kept._prefix, clock).signing_secret("acme", create=True)
    clock.ms += AGAIN_MS
    assert kept.signing_secret("acme") == secret
    kept.client.calls.clear()
    clock.ms += BELIEVED_MS - 1
    assert kept.signing_secret("acme") == secret
    assert kept.client.calls == []


def test_what_is_no_key_among_the_parameters_is_passed_over(kept):
    stored = put(kept)[1]
    client = boto3.client("ssm")
    for name, value in (("a", "no json"), ("b", '{"id": 1}'), ("c", "[]")):
        client.put_parameter(Name=f"{kept._prefix}/keys/acme/{name}", Value=value, Type="String")
    assert kept.keys("acme") == [stored]


def test_a_note_has_its_bounds(kept):
    with pytest.raises(InvalidInput, match="bytes"):
        put(kept, note="x" * 4_096)
