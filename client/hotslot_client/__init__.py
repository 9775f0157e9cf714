"""Call a hotslot service from Python; replies are (geo) data frames.

`Client` waits for each reply; `AsyncClient` has the same calls for asyncio. `hotslot_client.plots`
draws replies.

The exceptions of all calls:

    ClientError
    ├── Unreachable              no reply in time, or the connection broke
    └── Refused                  an error reply; has `status`, `code`, `params`, `field`, `limit`, `asked`,
        │                        `retry_after_s`, `problem`
        ├── Invalid              400, 405, 406, 408, 413, 415, 422, 431
        │   └── LimitExceeded    code `limit_exceeded`
        ├── NotAllowed
        │   ├── Unauthenticated  401
        │   └── Forbidden        403
        ├── NotFound             404
        ├── Conflict             409
        │   └── NoModel          code `no_model`
        ├── Busy                 after all retries
        │   ├── RateLimited      429
        │   │   └── TooManyRuns  code `too_many_runs`
        │   └── Unavailable      502, 503, 504, 507
        └── ServerError          500
"""

from hotslot_client.clients import AsyncClient, Client
from hotslot_client.errors import (
    Busy,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    LimitExceeded,
    NoModel,
    NotAllowed,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
    TooManyRuns,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from hotslot_client.steps import Pages

__all__ = [
    "AsyncClient",
    "Busy",
    "Client",
    "ClientError",
    "Conflict",
    "Forbidden",
    "Invalid",
    "LimitExceeded",
    "NoModel",
    "NotAllowed",
    "NotFound",
    "Pages",
    "RateLimited",
    "Refused",
    "ServerError",
    "TooManyRuns",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
]
__version__ = "0.2.0"
