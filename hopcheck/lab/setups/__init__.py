"""The second gallery: healthy set-ups that a naive checker would flag.

One module a family; importing one fills `SETUPS`. A diagnosis must find no error and no warning.
"""

from hopcheck.lab.setups import (  # noqa: F401  # imported to register
    certificates,
    instances,
    load_balancers,
    middlewares,
    names,
    routes,
    statics,
    surroundings,
    traefiks,
    workloads,
)
from hopcheck.lab.setups.gallery import SETUPS, Setup

__all__ = ["SETUPS", "Setup"]
