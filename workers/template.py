"""What the forkserver imports before it forks: a child's code, warmed by one small fit.

The first fit of a process imports what scikit-learn and SciPy import late, and
takes about 10 ms longer than the next one. Forked children begin with the next.
"""

import msgspec

from mlservice.settings import Settings
from workers import child
from workers.training import train

__all__ = ["child"]

_SMALL = {"data": {"x": list(range(24)), "y": [0, 1, 2] * 8}, "target": "y"}

train(msgspec.json.encode(_SMALL), Settings())
