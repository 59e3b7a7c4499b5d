"""The port to the dead letters: messages that could not take effect, each with its reason.

Embedded they are rows beside the event log; on AWS they are what stands in the dead-letter queues.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

PAGE = 1_000
MAX_REASON = 1_000
UNREADABLE = "unreadable"
"""The name, in a letter's body, of the text of a message that was no object."""


@dataclass(frozen=True, slots=True)
class Letter:
    """`user`: whom it speaks of, if that could be told; `body`: the message as it came."""

    id: str
    store: str
    user: str | None
    received_ms: int
    reason: str
    body: dict[str, Any]


class Letters(Protocol):
    """Every method raises Unavailable when the letters cannot be reached."""

    def add_letter(
        self, store: str, user: str | None, received_ms: int, reason: str, body: Mapping[str, Any]
    ) -> str:
        """Keep a message that cannot take effect; returns the letter's id. Raises InvalidInput."""

    def letters(self, store: str, after: str | None = None, limit: int = PAGE) -> list[Letter]:
        """A page of a store's letters that come after `after`, oldest first."""

    def letter(self, store: str, letter_id: str) -> Letter:
        """Raises NotFound."""

    def count_letters(self, store: str) -> int:
        """How many there are (about, on AWS)."""

    def delete_letters(self, store: str, ids: Sequence[str]) -> int:
        """Letters that were retried or given up; returns how many there were."""

    def delete_letters_of(self, store: str, users: Sequence[str]) -> int:
        """Letters that speak of users who are forgotten; returns how many there were."""

    def send_back(self, store: str, ids: Sequence[str]) -> Mapping[str, str | None] | None:
        """Put letters back into the queues that they come from, by id: why not, or None.

        None alone: there are no such queues, and the caller delivers them. Raises NotFound.
        """


def reason_text(reason: str) -> str:
    """A reason as it is kept: in one line, and not too long."""
    plain = "".join(c if c.isprintable() else " " for c in reason)
    return plain.strip()[:MAX_REASON] or "no reason was given"
