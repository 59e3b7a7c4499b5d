"""A store as its owner and its pages see it: HTTP calls, and patience."""

import time
from datetime import UTC, datetime

import httpx

PATIENCE_S = 90.0


def until(check, what, patience_s=PATIENCE_S, longest_s=0.5):
    """What `check` gives, as soon as it is truthy. Fails when it is not in time.

    Between two looks at most `longest_s` pass.
    """
    end, pause = time.monotonic() + patience_s, 0.02
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {patience_s:.0f} s: {what}; last: {value!r}"
        time.sleep(pause)
        pause = min(pause * 1.4, longest_s)


def when(seconds_ago=0.0):
    """A time as events carry it."""
    return datetime.fromtimestamp(time.time() - seconds_ago, UTC).isoformat(timespec="milliseconds")


def view(user, item_id, seconds_ago=0.0, **more):
    """A page view of a user (`{"user_id": ...}` or `{"anonymous_id": ...}`)."""
    return {"kind": "view", **user, "item_id": item_id, "timestamp": when(seconds_ago), **more}


class Store:
    """One store of a world: its secret key and its publishable one."""

    def __init__(self, world, name, secret, publishable):
        self.world, self.name = world, name
        self.secret, self.publishable = secret, publishable
        self._http = httpx.Client(base_url=world.base_url, verify=world.trust, timeout=30)

    def close(self):
        self._http.close()

    def call(self, method, path, body=None, key=None, **headers):
        """Status and answer; `key` is the secret one unless given, and False sends none."""
        wanted = self.secret if key is None else key
        known = {"Authorization": f"Bearer {wanted}"} if wanted else {}
        answer = self._http.request(method, path, json=body, headers={**known, **headers})
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    def _done(self, method, path, body=None, status=200):
        got, answer = self.call(method, path, body)
        assert got == status, (method, path, got, answer)
        return answer

    # --- items ---------------------------------------------------------------------------------

    def upload(self, some, name="items.csv"):
        """A catalogue: rows, or the bytes of a file."""
        self.world.upload(self.name, name, some)

    def searchable(self, count, patience_s=PATIENCE_S):
        """The items, as soon as so many can be found by their meaning."""

        def check():
            found = self.items()
            embedded = [one for one in found if one["embedded_at"]]
            return found if len(embedded) == len(found) == count else None

        return until(check, f"{count} items of {self.name} are searchable", patience_s)

    def items(self):
        found, cursor = [], ""
        while cursor is not None:
            page = self._done("GET", f"/v1/items?limit=500{cursor and f'&cursor={cursor}'}")
            found += page["items"]
            cursor = page["next"]
        return found

    def item(self, item_id):
        status, answer = self.call("GET", f"/v1/items/{item_id}")
        return answer if status == 200 else None

    # --- slates and events ---------------------------------------------------------------------

    def slate(self, **request):
        return self._done("POST", "/v1/recommendations", {"limit": 6, **request})

    def send(self, *events):
        """Events through the API; all of them are taken."""
        answer = self._done("POST", "/v1/events", {"events": list(events)}, 202)
        assert answer == {"accepted": len(events), "rejected": []}

    # --- users ---------------------------------------------------------------------------------

    def export(self, user):
        """Everything held about a user; its `events` are all of them."""
        whole = self._done("POST", "/v1/users/export", user)
        following = whole["next"]
        while following is not None:
            page = self._done("POST", "/v1/users/export", {**user, "cursor": following})
            whole["events"] += page["events"]
            following = page["next"]
        return whole

    def counted(self, user, count):
        """What is held about a user, as soon as so many events of theirs took effect."""

        def check():
            found = self.export(user)
            seen = self.slate(**user)["as_of"] is not None
            return found if len(found["events"]) == count and seen else None

        return until(check, f"{count} events of {user} in {self.name} count")

    def forget(self, user):
        """The erasure, once it is done."""
        erasure = self._done("POST", "/v1/users/forget", user, 202)["erasure_id"]
        path = f"/v1/erasures/{erasure}"

        def check():
            found = self._done("GET", path)
            return found if found["status"] == "done" else None

        return until(check, f"the erasure of {user} is done")
