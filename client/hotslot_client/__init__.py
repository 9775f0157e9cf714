"""Call a hotslot service from Python; replies are (geo) data frames.

The exceptions of all calls:

    ClientError
    ├── Unreachable          no reply in time
    └── Refused              an error reply; has `status`, `code`, `field`, `problem`
        ├── NotFound         404
        ├── NotAllowed       401, 403
        ├── Invalid          413, 415, 422
        └── Busy             429, 503, 507, after all retries
"""

from hotslot_client.client import Client
from hotslot_client.errors import (
    Busy,
    ClientError,
    Invalid,
    NotAllowed,
    NotFound,
    Refused,
    Unreachable,
)

__all__ = [
    "Busy",
    "Client",
    "ClientError",
    "Invalid",
    "NotAllowed",
    "NotFound",
    "Refused",
    "Unreachable",
]
__version__ = "0.2.0"
