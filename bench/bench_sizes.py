"""How much memory and disk Qdrant takes: bytes an item, and what follows for many.

    python -m bench.bench_sizes [--measure 40000]

reckons the tables of docs/qdrant.md; with --measure items are written and indexed by the embedded
Qdrant first, and what its files take on the disk is printed by kind of file (some minutes).
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

DIM = 384
LEARNED = 128
ROOM = 1.3
"""Memory over what is held: the optimizer's new segment, searches."""
TWICE = 2
"""Disk: the optimizer's new segment, and what was replaced but is not cleared away yet."""
COUNTS = (100_000, 1_000_000, 10_000_000, 100_000_000)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of one item or user that lie in memory, and on the disk."""

    what: str
    memory: float
    disk: float


Parts = tuple[Part, ...]

IDS = 16 + 12 + 8
LINKS = 12
ITEM_WORDS = 46
"""Different words of an item and runs of letters in them; the mean of 4,000 titles with brands."""
A_WORD = 12 + 7
"""Bytes of one: stored, and in the inverted index (measured)."""
FIELDS, UNIQUE = 12, 5
"""Indexed fields whose values repeat; those whose values differ from item to item."""
TEXTS = 600
"""Characters in the unique fields of an item."""
ITEM = (
    Part("vector, float32", 0, DIM * 4),
    Part("vector, int8", DIM + 4, DIM + 4),
    # As many links again inside buckets; a tenth for the levels above. Packed in finished segments.
    Part("links", 2 * LINKS * 4 * 2 * 1.1, 67),
    Part("words, sparse", 0, ITEM_WORDS * A_WORD),
    Part("ids", IDS, IDS),
    Part("indexes of fields whose values repeat", FIELDS * 16, FIELDS * 16),
    Part("indexes of fields whose values do not", 0, TEXTS + UNIQUE * 24),
    Part("payload", 0, 900),
)
TOWER = (
    Part("learned vector, float32", 0, LEARNED * 4),
    Part("learned vector, int8", LEARNED + 4, LEARNED + 4),
    Part("its links", 2 * LINKS * 4 * 2 * 1.1, 67),
)
"""What an item takes beside that where a tower was trained."""
DIFFERENT, EVENTS, TAIL = 30, 60, 50
"""Items in a user's history; their events; the newest of them, kept once more."""
USER = (
    Part("taste, float32", 0, DIM * 4),
    Part("history, sparse", DIFFERENT * 12, DIFFERENT * (8 + 12)),
    Part("ids and indexes", IDS + 2 * 16, IDS + 2 * 16),
    Part("profile, packed in base64", 0, (EVENTS * 33 + TAIL * 13) * 4 / 3),
)


def memory_gb(items: float, users: float, item: Parts = ITEM) -> float:
    each = items * sum(part.memory for part in item) + users * sum(part.memory for part in USER)
    return each * ROOM / 1e9


def disk_gb(items: float, users: float, item: Parts = ITEM) -> float:
    each = items * sum(part.disk for part in item) + users * sum(part.disk for part in USER)
    return each * TWICE / 1e9


def reckoned() -> str:
    """The tables, as Markdown."""
    lines = []
    for whose, parts in (("an item", ITEM), ("an item, learned", TOWER), ("a user", USER)):
        lines += [f"| of {whose} | in memory, B | on disk, B |", "|---|---:|---:|"]
        lines += [f"| {one.what} | {one.memory:,.0f} | {one.disk:,.0f} |" for one in parts]
        memory, disk = (sum(getattr(one, at) for one in parts) for at in ("memory", "disk"))
        lines += [f"| sum | {memory:,.0f} | {disk:,.0f} |", ""]
    for parts, dim in ((ITEM, DIM), ((*ITEM, *TOWER), DIM + LEARNED)):
        lines += ["| items, users | memory, GB | vectors, GB | disk, GB |", "|---|---:|---:|---:|"]
        lines += [
            f"| {n:,} | {memory_gb(n, n, parts):.2f} | {n * dim * 4 / 1e9:.2f} "
            f"| {disk_gb(n, n, parts):,.1f} |"
            for n in COUNTS
        ]
        lines.append("")
    return "\n".join(lines).strip()


def measured(items: int) -> str:
    """What the files of that many items take, by kind, the largest first."""
    from bench.bench_store import Catalogue, fill
    from windowshop.store.edge import EdgeStore

    folder = Path(tempfile.mkdtemp(prefix="bench-sizes-"))
    try:
        store = EdgeStore(folder, "bench", DIM)
        try:
            fill(store, Catalogue(items))
            store.maintain()
        finally:
            store.close()
        kinds: Counter[str] = Counter()
        for file in folder.rglob("*"):
            parts = file.relative_to(folder).parts
            if file.is_file() and "segments" in parts:
                # Blocks, since a file that is mapped may have holes.
                kind = parts[parts.index("segments") + 2]
                kinds[f"{kind}/{file.name}"] += file.stat().st_blocks * 512
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "\n".join(
        f"{size / items:10,.1f} B an item  {kind}" for kind, size in kinds.most_common(20)
    )


def main(arguments: list[str]) -> int:
    asked = argparse.ArgumentParser("python -m bench.bench_sizes", description=__doc__)
    asked.add_argument("--measure", type=int, metavar="ITEMS")
    given = asked.parse_args(arguments)
    print(reckoned())
    if given.measure:
        print(f"\n{measured(given.measure)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
