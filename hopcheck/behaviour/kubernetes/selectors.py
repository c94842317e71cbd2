"""Kubernetes' label selectors in their text form."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=,()]+)$")


def label_matches(selector: str, labels: Mapping[str, str]) -> bool | None:
    """Whether `labels` satisfy `selector` ("a=b,c in (d,e),!f"); None: it cannot be read.

    An empty selector takes everything. `!=` and `notin` hold where the label is absent.
    """
    for part in re.split(r",(?![^(]*\))", selector):
        text = part.strip()
        if text:
            answer = _one(text, labels)
            if not answer:
                return answer
    return True


def _one(text: str, labels: Mapping[str, str]) -> bool | None:
    found = _SET.match(text)
    if found:
        values = {value.strip() for value in found["values"].split(",")}
        return (labels.get(found["key"]) in values) == (found["op"] == "in")
    found = _EQUAL.match(text)
    if found:
        return (labels.get(found["key"]) == found["value"]) == (found["op"] != "!=")
    found = _EXISTS.match(text)
    if found:
        return (found["key"] in labels) != bool(found["no"])
    return None
