"""pods/log: a container's output, cut to what was asked for."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from hopcheck.lab.apiserver.errors import ApiError, whole_number

Obj = dict[str, Any]
Line = tuple[datetime, str]
Read = Callable[[], str | Sequence[Line]]

_POLL_SECONDS = 0.25
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """Where a container's log is read: what it writes now and what its predecessor wrote."""

    read: Read
    previous: Read | None


def timed_lines(text: str | Sequence[Line], begin: datetime) -> list[Line]:
    """The lines and the time of each.

    A line of plain text has the time it carries itself, else that of the line before it, else
    `begin`, the container's start.
    """
    if not isinstance(text, str):
        return list(text)
    lines: list[Line] = []
    now = begin
    for line in text.splitlines():
        if found := _TIME.search(line):
            now = datetime.fromisoformat(found[0])
        lines.append((now, line))
    return lines


def container_of(pod: Obj, wanted: str) -> str:
    """The container that is meant; ApiError 400 for none or one of several."""
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    names = [c["name"] for c in spec.get("containers", [])]
    if wanted in names or wanted in [c["name"] for c in spec.get("initContainers", [])]:
        return wanted
    if wanted:
        raise ApiError(400, f"container {wanted} is not valid for pod {name}")
    if len(names) != 1:
        choose = " ".join(names)
        message = f"a container name must be specified for pod {name}, choose one of: [{choose}]"
        raise ApiError(400, message)
    return str(names[0])


def chosen(pod: Obj, container: str, log: ContainerLog | None, query: Mapping[str, str]) -> Read:
    """What to read; ApiError 400 in the kubelet's words where there is nothing."""
    name = pod["metadata"]["name"]
    if query.get("previous") == "true":
        if log is None or log.previous is None:
            raise ApiError(
                400, f'previous terminated container "{container}" in pod "{name}" not found'
            )
        return log.previous
    if log is not None:
        return log.read
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        waiting = (status.get("state") or {}).get("waiting")
        if status["name"] == container and waiting:
            reason = waiting.get("reason", "ContainerCreating")
            raise ApiError(
                400, f'container "{container}" in pod "{name}" is waiting to start: {reason}'
            )
    return str


def render(lines: list[Line], query: Mapping[str, str]) -> bytes:
    """The lines, limited by sinceSeconds, sinceTime, tailLines and limitBytes."""
    if since := _since(query):
        lines = [line for line in lines if line[0] >= since]
    if (tail := whole_number(query, "tailLines")) is not None:
        lines = lines[-tail:] if tail else []
    if query.get("timestamps") == "true":
        texts = [f"{_nanoseconds(at)} {text}" for at, text in lines]
    else:
        texts = [text for _, text in lines]
    body = "".join(f"{text}\n" for text in texts).encode()
    return body[: whole_number(query, "limitBytes")]


def _since(query: Mapping[str, str]) -> datetime | None:
    if seconds := whole_number(query, "sinceSeconds"):
        return datetime.fromtimestamp(time.time() - seconds, UTC)
    moment = query.get("sinceTime")
    try:
        return datetime.fromisoformat(moment) if moment else None
    except ValueError as broken:
        raise ApiError(400, f"Invalid value: {moment!r}: sinceTime: {broken}") from broken


def _nanoseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


async def answer(
    request: web.Request, pod: Obj, log: ContainerLog | None, stopping: Callable[[], bool]
) -> web.StreamResponse:
    """Answer pods/log; with follow=true until the client leaves or the server stops."""
    query = request.query
    container = container_of(pod, query.get("container", ""))
    read = chosen(pod, container, log, query)
    begin = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    lines = timed_lines(read(), begin)
    body = render(lines, query)
    if query.get("follow") != "true":
        return web.Response(body=body, content_type="text/plain")
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    await response.write(body)
    shape = {"timestamps": query.get("timestamps", "")}
    while not stopping():
        await asyncio.sleep(_POLL_SECONDS)
        seen, lines = len(lines), timed_lines(read(), begin)
        if news := lines[seen:]:
            await response.write(render(news, shape))
    return response
