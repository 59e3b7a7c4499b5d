"""A store's mapping, itself an upload: it says how what is uploaded after it is read."""

import hashlib

import windowshop
from windowshop import mapping
from windowshop.blobs import Blobs
from windowshop.columns import Mapping
from windowshop.errors import InvalidInput, NotFound
from windowshop.logs import log
from windowshop.shop import Shop
from windowshop.uploads.dock import Dock, Uploaded, failed
from windowshop.uploads.notices import MAPPING, WATCHED


def take_mapping(dock: Dock, done: Uploaded) -> Uploaded:
    """What it declares can be filtered on at once. Raises Unavailable."""
    try:
        declare(dock.shop, done.store, read_mapping(dock.blobs, done.store)[0])
    except InvalidInput as error:
        done.reason = error.detail
        return failed(dock.shop, done, "mapping")
    done.status = "mapped"
    log("uploads").info("mapping_declared", store=done.store)
    return done


def read_mapping(blobs: Blobs, store: str) -> tuple[Mapping, str]:
    """How a store's uploads are read, and a mark that changes with it and with what reads them.

    Raises InvalidInput, Unavailable.
    """
    key = f"{WATCHED}{store}/{MAPPING}"
    try:
        with blobs.open(key) as stream:
            raw = stream.read(mapping.MAX_BYTES + 1)
    except NotFound:
        return Mapping.default(), f"{windowshop.__version__}/"
    digest = hashlib.blake2b(raw, digest_size=8).hexdigest()
    return mapping.decode(raw, key), f"{windowshop.__version__}/{digest}"


def declare(shop: Shop, store: str, read: Mapping) -> None:
    """Have the attributes that a mapping names filterable. Raises InvalidInput, Unavailable."""
    there = shop.fields(store) if read.filterable else {}
    for name, kind in read.filterable.items():
        if there.get(name) != kind:
            shop.declare_field(store, name, kind)
