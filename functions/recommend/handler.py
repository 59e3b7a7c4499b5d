"""The function `recommend`: HTTP requests of API Gateway, answered from the shop of the AWS world.

Everything is opened here, at import: SnapStart keeps a snapshot of a process that has done so.
"""

from functools import partial

from functions.recommend import snapshot
from functions.recommend.entry import build
from windowshop.api import Access
from windowshop.aws import open_aws, wall_ms
from windowshop.aws.events import SqsEvents
from windowshop.jobs import send_keys
from windowshop.logs import configure

_aws = open_aws()
configure(_aws.shop_settings.log_level)
_shop = _aws.open_shop()
_access = Access(_aws.keyring, wall_ms, keys_required=True, key_rps=_aws.settings.key_rps)
_jobs = _aws.queue("embed_queue")
_gateway = build(
    _shop,
    _access,
    SqsEvents(_shop.world, _aws.queue("events_queue")),
    lambda store, keys: send_keys(_jobs, store, keys, wall_ms()),
)
handler = _aws.signals.reporting(_gateway)
snapshot.register(
    partial(snapshot.warm, _gateway, _aws, _shop), partial(snapshot.renew, _aws, _shop, _access)
)
