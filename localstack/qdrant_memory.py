"""Collections in memory that answer like a Qdrant server in strict mode.

The searching, filtering and writing is `qdrant_client`'s own local mode: the reference, in Python,
that the client's authors compare with their server. What it lacks and our adapter relies on is
added here: payload indexes (kept as a list: nothing becomes faster) and the refusal of filters on
fields that have none, as on Qdrant Cloud; snapshots; and a short way for conditions that name
points by id, which local mode would answer by looking at every point.
"""

import itertools
import json
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from qdrant_client import models as m
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.payload_filters import check_filter
from qdrant_client.local.qdrant_local import QdrantLocal
from qdrant_client.local.utils import normalize_point_id

from localstack.qdrant_masks import Masks

PAGE = 1_000
_KINDS: dict[type, str] = {bool: "bool", int: "integer", str: "keyword"}


class Refused(Exception):
    """The status and the words that a server would answer with."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Memory:
    """All collections of a server. For one thread."""

    def __init__(self, snapshots: Path) -> None:
        """`snapshots`: the folder that they are written to."""
        # It says that payload indexes have no effect, and that it is slow: that is known here.
        warnings.filterwarnings("ignore", module="qdrant_client")
        warnings.filterwarnings("ignore", "Payload indexes|Local mode", UserWarning)
        self._local = QdrantLocal(":memory:")
        self._configs: dict[str, m.CreateCollection] = {}
        self._indexes: dict[str, dict[str, Any]] = {}
        self._masks: dict[str, Masks] = {}
        self._snapshots = snapshots
        self._numbers = itertools.count(1)

    # --- collections ------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return list(self._configs)

    def create(self, name: str, config: m.CreateCollection) -> bool:
        if name in self._configs:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self._local.create_collection(
            name,
            vectors_config=config.vectors,
            sparse_vectors_config=config.sparse_vectors,
            metadata=config.metadata,
        )
        self._configs[name], self._indexes[name] = config, {}
        self._masks[name] = Masks(self._local.collections[name])
        return True

    def change(self, name: str, asked: m.UpdateCollection) -> bool:
        """What is said about a collection; nothing else of it can be changed here."""
        self._collection(name)
        name = self._resolved(name)
        self._local.update_collection(name, metadata=asked.metadata)
        metadata = self._local.collections[name].config.metadata
        self._configs[name] = self._configs[name].model_copy(update={"metadata": metadata})
        return True

    def drop(self, name: str) -> bool:
        self._indexes.pop(name, None)
        self._masks.pop(name, None)
        known = self._configs.pop(name, None) is not None
        return known and self._local.delete_collection(name)

    def info(self, name: str) -> m.CollectionInfo:
        info = self._collection(name).info()
        info.payload_schema = {
            field: m.PayloadIndexInfo(
                data_type=m.PayloadSchemaType(_kind(schema)), params=_params(schema), points=0
            )
            for field, schema in self._indexes[self._resolved(name)].items()
        }
        return info

    def index(self, name: str, field: str, schema: Any) -> m.UpdateResult:
        self._collection(name)
        self._indexes[self._resolved(name)][field] = schema
        return _completed()

    def aliases(self) -> m.CollectionsAliasesResponse:
        return self._local.get_aliases()

    def change_aliases(self, actions: Sequence[Any]) -> bool:
        return self._local.update_collection_aliases(actions)

    def _collection(self, name: str) -> LocalCollection:
        name = self._resolved(name)
        if name not in self._configs:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self._local.collections[name]

    def _resolved(self, name: str) -> str:
        """The collection that an alias stands for."""
        return self._local.aliases.get(name, name)

    # --- points -----------------------------------------------------------------------------------

    def update(
        self, name: str, operations: Sequence[Any]
    ) -> Generator[None, None, list[m.UpdateResult]]:
        """Applies an operation at each step; between them others may be answered."""
        collection, name = self._collection(name), self._resolved(name)
        for operation in operations:
            for where in _conditions(operation):
                self._check(name, where)
        for operation in operations:
            by_id = _by_id(collection, operation)
            if by_id is not None:
                self._local.batch_update_points(name, [by_id])
                self._masks[name].wrote(_touched(by_id))
            yield
        return [_completed() for _ in operations]

    def delete(self, name: str, selector: Any) -> m.UpdateResult:
        for _ in self.update(name, [m.DeleteOperation(delete=selector)]):
            pass
        return _completed()

    def retrieve(self, name: str, asked: m.PointRequest) -> list[m.Record]:
        self._collection(name)
        return self._local.retrieve(
            name, asked.ids, _given(asked.with_payload, True), _given(asked.with_vector, False)
        )

    def scroll(self, name: str, asked: m.ScrollRequest) -> m.ScrollResult:
        self._collection(name)
        self._check(name, asked.filter)
        points, following = self._local.scroll(
            name,
            asked.filter,
            limit=_given(asked.limit, 10),
            offset=asked.offset,
            with_payload=_given(asked.with_payload, True),
            with_vectors=_given(asked.with_vector, False),
        )
        return m.ScrollResult(points=points, next_page_offset=following)

    def count(self, name: str, asked: m.CountRequest) -> m.CountResult:
        self._collection(name)
        self._check(name, asked.filter)
        return self._local.count(name, asked.filter)

    def query(self, name: str, searches: Sequence[m.QueryRequest]) -> list[Any]:
        self._collection(name)
        for search in searches:
            self._check(name, search.filter)
        for search in searches:
            search.with_payload = _given(search.with_payload, False)
            search.with_vector = _given(search.with_vector, False)
        return self._local.query_batch_points(name, searches)

    def facet(self, name: str, asked: m.FacetRequest) -> m.FacetResponse:
        self._collection(name)
        if asked.key not in self._indexes[self._resolved(name)]:
            raise Refused(400, f"Bad request: No appropriate index for faceting: `{asked.key}`.")
        self._check(name, asked.filter)
        return self._local.facet(name, asked.key, asked.filter, limit=_given(asked.limit, 10))

    def _check(self, name: str, where: m.Filter | None) -> None:
        """Refuse a filter on a field that has no index which could answer it."""
        indexes = self._indexes[self._resolved(name)]
        for field, kinds in _fields(where):
            held = indexes.get(field)
            if held is None or (kinds and _kind(held) not in kinds):
                wanted = ", ".join(sorted(kinds)) or "any"
                raise Refused(
                    400,
                    f'Bad request: Index required but not found for "{field}" of one of the '
                    f"following types: [{wanted}]. Help: Create an index for this key or use a "
                    "different filter.",
                )

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self, name: str) -> m.SnapshotDescription:
        """A collection in a file: how it is made, its indexes and points. Not its aliases."""
        self._collection(name)
        now = datetime.now(UTC)
        made = (
            self._snapshots
            / name
            / f"{name}-{now:%Y-%m-%d-%H-%M-%S}-{next(self._numbers)}.snapshot"
        )
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(self._packed(name))
        return m.SnapshotDescription(name=made.name, size=made.stat().st_size, creation_time=None)

    def snapshots(self, name: str) -> list[m.SnapshotDescription]:
        self._collection(name)
        found = sorted((self._snapshots / name).glob("*.snapshot"))
        return [m.SnapshotDescription(name=file.name, size=file.stat().st_size) for file in found]

    def snapshot_file(self, name: str, snapshot: str) -> bytes:
        file = self._snapshots / name / Path(snapshot).name
        if not file.is_file():
            raise Refused(404, f"Not found: Snapshot {snapshot} not found")
        return file.read_bytes()

    def drop_snapshot(self, name: str, snapshot: str) -> bool:
        self.snapshot_file(name, snapshot)
        (self._snapshots / name / snapshot).unlink()
        return True

    def recover(self, name: str, data: bytes) -> bool:
        """Make a collection what it was, whatever it is now."""
        held = json.loads(data)
        self.drop(name)
        self.create(name, m.CreateCollection.model_validate(held["config"]))
        for field, schema in held["indexes"].items():
            asked = m.CreateFieldIndex(field_name=field, field_schema=schema)
            self.index(name, field, asked.field_schema)
        points = [m.PointStruct.model_validate(point) for point in held["points"]]
        for start in range(0, len(points), PAGE):
            self._local.upsert(name, points[start : start + PAGE])
        self._masks[name].wrote(None)
        return True

    def _packed(self, name: str) -> bytes:
        points: list[m.Record] = []
        cursor = None
        while True:
            page, cursor = self._local.scroll(
                name, limit=PAGE, offset=cursor, with_payload=True, with_vectors=True
            )
            points += page
            if cursor is None:
                break
        return to_json({
            "config": self._configs[name].model_dump(mode="json", exclude_none=True),
            "indexes": self._indexes[name],
            "points": [
                {"id": point.id, "vector": point.vector, "payload": point.payload}
                for point in points
            ],
        })  # fmt: skip

    def save(self, folder: Path) -> None:
        """Everything, for `load`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self._configs:
            (folder / f"{name}.collection").write_bytes(self._packed(name))
        for file in folder.glob("*.collection"):
            if file.stem not in self._configs:
                file.unlink()
        (folder / "aliases.json").write_text(json.dumps(self._local.aliases), "utf-8")

    def load(self, folder: Path) -> None:
        """What was saved, if anything was."""
        for file in sorted(folder.glob("*.collection")):
            self.recover(file.stem, file.read_bytes())
        aliases = folder / "aliases.json"
        if aliases.is_file():
            self._local.aliases = json.loads(aliases.read_text("utf-8"))


def _completed() -> m.UpdateResult:
    return m.UpdateResult(operation_id=0, status=m.UpdateStatus.COMPLETED)


def _given(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _kind(schema: Any) -> str:
    kind = getattr(schema, "type", schema)
    return str(getattr(kind, "value", kind))


def _params(schema: Any) -> Any:
    return schema if hasattr(schema, "type") else None


# --- filters -------------------------------------------------------------------------------------


def _each(conditions: Any) -> Iterable[Any]:
    return (
        conditions if isinstance(conditions, list) else [] if conditions is None else [conditions]
    )


def _fields(where: Any) -> Iterator[tuple[str, set[str]]]:
    """(field, the kinds of index that answer the condition; none: any kind does)."""
    match where:
        case m.Filter():
            parts = [where.must, where.should, where.must_not]
            for part in [*parts, where.min_should and where.min_should.conditions]:
                for condition in _each(part):
                    yield from _fields(condition)
        case m.IsEmptyCondition():
            yield where.is_empty.key, set()
        case m.IsNullCondition():
            yield where.is_null.key, set()
        case m.FieldCondition():
            yield where.key, _kinds(where)


def _kinds(condition: m.FieldCondition) -> set[str]:
    if isinstance(condition.range, m.DatetimeRange):
        return {"datetime"}
    if condition.range is not None:
        return {"float", "integer"}
    if isinstance(condition.match, m.MatchValue):
        return {_KINDS[type(condition.match.value)]}
    if isinstance(condition.match, m.MatchAny):
        return {_KINDS[type(value)] for value in condition.match.any} or {"keyword"}
    return set()


def _conditions(operation: Any) -> Iterator[m.Filter]:
    """The filters of a write."""
    for part in (getattr(operation, name) for name in type(operation).model_fields):
        for name in ("filter", "update_filter"):
            where = getattr(part, name, None)
            if where is not None:
                yield where


def _touched(operation: Any) -> list[Any] | None:
    """The points that an operation may have changed; None: it does not name them."""
    match operation:
        case (
            m.UpsertOperation(upsert=m.PointsList(points=points))
            | m.UpdateVectorsOperation(update_vectors=m.UpdateVectors(points=points))
        ):
            return [normalize_point_id(point.id) for point in points]
        case m.DeleteOperation(delete=m.PointIdsList(points=ids)):
            return list(map(normalize_point_id, ids))
        case (
            m.SetPayloadOperation(set_payload=asked)
            | m.OverwritePayloadOperation(overwrite_payload=asked)
        ):
            return None if asked.points is None else list(map(normalize_point_id, asked.points))
    return None


def _by_id(collection: LocalCollection, operation: Any) -> Any:
    """The operation, its points named by id where its filter names them; None: it meets none."""
    match operation:
        case m.SetPayloadOperation() | m.OverwritePayloadOperation():
            name = next(iter(type(operation).model_fields))
            asked = getattr(operation, name)
            ids = None if asked.filter is None else _named(collection, asked.filter)
            if ids is None:
                return operation
            chosen = asked.model_copy(update={"filter": None, "points": ids})
            return operation.model_copy(update={name: chosen}) if ids else None
        case m.DeleteOperation(delete=m.FilterSelector(filter=where)):
            ids = _named(collection, where)
            if ids is None:
                return operation
            return m.DeleteOperation(delete=m.PointIdsList(points=ids)) if ids else None
    return operation


def _named(collection: LocalCollection, where: m.Filter) -> list[Any] | None:
    """Those that pass, where every one of them must be among given ids; else None."""
    for condition in _each(where.must):
        if isinstance(condition, m.HasIdCondition):
            return [
                point
                for point in map(normalize_point_id, condition.has_id)
                if (at := collection.ids.get(point)) is not None
                and not collection.deleted[at]
                and check_filter(where, collection.payload[at], point, {})
            ]
    return None
