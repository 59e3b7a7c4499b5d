"""One request on its way to a slate, with everything about its user that the sources read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from windowshop import crowd
from windowshop.blend import weights_of
from windowshop.filters import Filter
from windowshop.lexicon import Sought
from windowshop.profile import Habit, Profile, Tastes
from windowshop.profile.intent import Step
from windowshop.records import Request
from windowshop.space import Place
from windowshop.store import Vector
from windowshop.world import Tenant, World


@dataclass(slots=True)
class Ask:
    """What is asked and of whom. What the sources find out on the way is kept for the reasons."""

    world: World
    tenant: Tenant
    request: Request
    now: int
    profile: Profile
    tastes: Tastes
    points: tuple[str, ...]
    """The user's own points in the store, and those of the guests merged into them."""
    where: Filter | None
    asked: list[int] = field(default_factory=list)
    query: Vector | None = None
    sought: Sought | None = None
    """The words that are searched for."""
    steps: Sequence[Step] = ()
    intent: Vector | None = None
    learned: Place | None = None
    """Where the user stands in the store's learned space."""
    habit: Habit | None = None
    others: crowd.Taken = crowd.NOTHING

    @property
    def weights(self) -> Mapping[str, float]:
        """How much each signal counts for a shopper of whom this much is known."""
        return weights_of(self.world.blend[self.request.scenario], len(self.profile.events))

    def wants(self, signal: str) -> bool:
        return self.weights.get(signal, 0.0) > 0
