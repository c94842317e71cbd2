"""States that people reported in public, each built anew on the lab, broken and mended.

One module a subject; importing one fills `REPORTS`, in the order of the reports.
"""

from hopcheck.lab.field import (  # noqa: F401, I001  # imported to register, in the reports' order
    routes,
    network,
    balancer,
    names,
)
from hopcheck.lab.field.gallery import REPORTS, Report

__all__ = ["REPORTS", "Report"]
