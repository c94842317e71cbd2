"""Failures as the API server words them: a `Status` object, its reason and its HTTP code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A failed request; `status()` is the body that the API server answers with."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS.get(code, "Unknown")
        self.details = details

    def status(self) -> dict[str, Any]:
        """The failure as a `v1 Status` object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


class NoSuchPath(Exception):  # noqa: N818  # named for what it means to the client
    """No API is served at this path: the answer is plain text, not a `Status`.

    A real server answers so for a group without CustomResourceDefinitions.
    """


def whole_number(query: Mapping[str, str], key: str) -> int | None:
    """A parameter that counts, None without one; ApiError 400 where it is no number >= 0."""
    text = query.get(key, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ApiError(400, f"Invalid value: {text!r}: {key} must be a whole number")
    return int(text)


def qualified(plural: str, group: str) -> str:
    """A resource as messages name it: `pods`, `ingresses.networking.k8s.io`."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> ApiError:
    """The 404 for an object that does not exist."""
    details = {"name": name, "kind": plural} | ({"group": group} if group else {})
    message = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, message, details=details)
