"""Rows for the log's suites."""

from windowshop import profile as profiles
from windowshop.log import event_row
from windowshop.profile import Profile
from windowshop.records import Event, read

NOW = 1_700_000_000_000


def row(user="u:ann", kind="view", item="i1", event_id=None, at=0, row=0, store="default", **more):
    space, _, name = user.partition(":")
    fields = {
        "kind": kind,
        {"u": "user_id", "a": "anonymous_id"}[space]: name,
        "timestamp": (NOW + at) / 1000,
        **more,
    }
    if item is not None:
        fields["item_id"] = item
    if event_id is not None:
        fields["event_id"] = event_id
    return event_row(store, read(Event, fields), row, NOW, {})


def rows(n, user="u:ann", **more):
    return [row(user, event_id=f"{user}-{i}", item=f"i{i % 7}", at=i, **more) for i in range(n)]


def folded(some):
    return profiles.fold(Profile.EMPTY, some)


def refolded(log, user, store="default"):
    return log.refold(store, [user])[user].profile
