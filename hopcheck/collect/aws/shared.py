"""AWS for many hosts: credentials are found once, each call with its parameters is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hopcheck.collect.ask import Run
from hopcheck.collect.aws.api import Api, Credentials, find_credentials
from hopcheck.collect.aws.read import Account
from hopcheck.collect.kubernetes.shared import Once
from hopcheck.model import Collected

T = TypeVar("T")


class SharedApi(Api):
    """An `Api` whose every answer is kept."""

    def __init__(self, credentials: Credentials, region: str, run: Run, once: Once) -> None:
        super().__init__(credentials, region, run)
        self._once = once

    async def _ask(
        self,
        service: str,
        operation: str,
        key: str | None,
        parameters: Mapping[str, Any],
        shape: Callable[[tuple[Any, ...]], T],
    ) -> Collected[T]:
        ask = super()._ask
        asked = (self, service, operation, key, repr(sorted(parameters.items())))
        return await self._once.get(asked, lambda: ask(service, operation, key, parameters, shape))


class SharedAccount(Account):
    """One set of credentials, and one `SharedApi` for each region."""

    def __init__(self, run: Run, once: Once) -> None:
        super().__init__(run)
        self._once = once
        self._apis: dict[str, SharedApi] = {}

    async def credentials(self) -> Credentials:
        """The standard chain's credentials, looked for once."""
        return await self._once.get(("credentials", self), lambda: find_credentials(self._run))

    def api(self, credentials: Credentials, region: str) -> Api:
        """Calls to one region, the same object for all hosts."""
        if region not in self._apis:
            self._apis[region] = SharedApi(credentials, region, self._run, self._once)
        return self._apis[region]

    @property
    def calls(self) -> int:
        """Calls made so far, pages aside."""
        return sum(api.calls for api in self._apis.values())
