"""How two JSON values differ, and whose a field is."""

from typing import Any

import pytest

from hopcheck.history.changes.fields import Item, differences, in_words, owned

PORTS = [{"name": "a", "port": 1, "targetPort": "x"}, {"name": "b", "port": 2}]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": None, "b": []}, {"b": {}, "c": ""}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"ports": PORTS}, {"ports": PORTS[::-1]}, []),
        (
            {"ports": PORTS},
            {"ports": [PORTS[0] | {"targetPort": 9}, PORTS[1]]},
            [("ports[0].targetPort", "x", 9)],
        ),
        ({"ports": PORTS}, {"ports": PORTS[1:]}, [("ports[0]", PORTS[0], None)]),
        (
            {"ports": PORTS[:1]},
            {"ports": [*PORTS[:1], {"name": "c"}]},
            [("ports[1]", None, {"name": "c"})],
        ),
        (
            {"rules": [{"host": "a", "http": {"x": 1}}]},
            {"rules": [{"host": "b", "http": {"x": 1}}]},
            [("rules[0].host", "a", "b")],
        ),
        ({"args": ["--a", "--b=1"]}, {"args": ["--b=2", "--a"]}, [("args", "--b=1", "--b=2")]),
        ({"args": ["--a", "--a"]}, {"args": ["--a"]}, [("args", "--a", None)]),
        ({"args": None}, {"args": ["--a", "--b"]}, [("args", None, ["--a", "--b"])]),
        ({"labels": None}, {"labels": {"x": "y"}}, [("labels.x", None, "y")]),
        ({"probe": None}, {"probe": {"path": "/"}}, [("probe", None, {"path": "/"})]),
        ({"f": "a\nb\nc\n"}, {"f": "a\n  B\nc\n"}, [("f", "b", "B")]),
        ({"f": "x"}, {"f": "x\ny"}, [("f", None, "y")]),
        ({"a.b/c": 1}, {"a.b/c": 2}, [('["a.b/c"]', 1, 2)]),
        ({"p": 8080}, {"p": "8080"}, [("p", 8080, "8080")]),
        ({"p": [1, {"a": 1}]}, {"p": [{"a": 2}, 1]}, [("p[0].a", 1, 2)]),
        ({"p": {"a": 1}}, {"p": [1]}, [("p", {"a": 1}, [1])]),
    ],
)  # fmt: skip
def test_differences(before: Any, after: Any, found: list[tuple[str, Any, Any]]) -> None:
    got = [(in_words(one.path), one.before, one.after) for one in differences(before, after)]
    assert got == found


def test_long_values_are_cut() -> None:
    (one,) = differences({"a": "x"}, {"a": "y" * 100_000})
    assert len(one.after) < 1100


FIELDS = {
    "f:metadata": {"f:annotations": {".": {}, "f:a.b/c": {}}},
    "f:spec": {
        "f:selector": {},
        "f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:targetPort": {}}},
        "f:rules": {},
        "k:nonsense": {},
    },
}
HTTP = {"port": 80, "protocol": "TCP", "name": "http"}


@pytest.mark.parametrize(
    ("path", "mine"),
    [
        (("spec", "ports", Item(0, HTTP), "targetPort"), True),
        (("spec", "ports", Item(3, HTTP), "targetPort"), True),
        (("spec", "ports", Item(0, HTTP), "nodePort"), False),
        (("spec", "ports", Item(0, HTTP | {"port": 81}), "targetPort"), False),
        (("spec", "selector", "app"), True),
        (("spec", "rules", Item(0, {}), "host"), True),
        (("spec", "type"), False),
        (("metadata", "annotations", "a.b/c"), True),
        (("metadata", "labels", "a"), False),
    ],
)
def test_owned(path: Any, mine: bool) -> None:
    assert owned(FIELDS, path) is mine
