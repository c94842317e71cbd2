"""AWS's standard chain of credentials, and calls whose failures are typed reasons.

`botocore.session` is used directly: importing boto3 on top of it costs another 0.3 s and brings
nothing that is needed here. botocore blocks, so each call has a daemon thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gzip
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hopcheck.collect.ask import Once, Run, Unavailable, in_thread
from hopcheck.collect.kubernetes.load import Plugin
from hopcheck.config.options import Misnamed, Options
from hopcheck.model import Collected, Why
from hopcheck.model.aws import Identity, described
from hopcheck.model.redact import redact_text

T = TypeVar("T")

METADATA_SECONDS = 1.0  # off EC2 nobody answers at 169.254.169.254, and that must not cost more
ATTEMPTS = 3
CALLS_AT_ONCE = 16  # all Describe calls of an account share a bucket of 40
MAX_ITEMS = 5000
_BODY_BYTES = 8 << 20  # XML takes twenty times that when it is parsed; a page has far less

_DENIED = ("AccessDenied", "UnauthorizedOperation", "NotAuthorized", "OptInRequired", "Blocked")
_UNAUTHENTICATED = (
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "UnrecognizedClient",
    "MissingAuthenticationToken",
    "AuthFailure",
    "InvalidToken",
    "RequestTimeTooSkewed",
)
_THROTTLED = (
    "Throttl",
    "RequestLimitExceeded",
    "TooManyRequests",
    "RequestThrottled",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
)


class Credentials(Struct, frozen=True):
    """A botocore session with credentials that it found. Never part of the evidence."""

    session: Any
    access_key: str
    secret_key: str
    token: str | None
    region: str | None  # configured: AWS_REGION, AWS_DEFAULT_REGION or the profile's


async def find_credentials(run: Run) -> Credentials:
    """The standard chain's credentials, for `run.options.aws_profile` where that is given.

    Raises Unavailable (not_configured) where there are none, Misnamed for a profile that is not
    there, botocore's exceptions and OSError where they cannot be had: see `classify`.
    """
    session, metadata, found = await in_thread(_search, run.options)
    if found is None and metadata is not None:
        try:
            async with asyncio.timeout(METADATA_SECONDS):
                found = await in_thread(metadata.load)
        except TimeoutError:
            found = None
    if found is None:
        raise Unavailable(Why.NOT_CONFIGURED, "Unable to locate credentials")
    frozen = await in_thread(found.get_frozen_credentials)
    region = session.get_config_variable("region")
    return Credentials(session, frozen.access_key, frozen.secret_key, frozen.token, region)


def _search(options: Options) -> tuple[Any, Any, Any]:
    """The session, the provider that asks the EC2 metadata service, and what others found."""
    import botocore.session

    session = botocore.session.Session(profile=options.aws_profile)
    named = options.aws_profile or os.environ.get("AWS_PROFILE")
    if named and named not in (
        "default",
        *session.available_profiles,
    ):  # botocore may do without that
        raise Misnamed("aws_profile", named, session.available_profiles)
    session.get_component("data_loader").file_loader = _ModelFiles()
    # botocore reads AWS_DEFAULT_REGION alone, every other SDK and the contract AWS_REGION.
    region = os.environ.get("AWS_REGION")
    if region:
        session.set_config_variable("region", region)
    chain = session.get_component("credential_provider")
    metadata = None
    for provider in list(chain.providers):
        if provider.METHOD == "iam-role":  # asked last, under a limit of its own
            metadata = provider
            chain.remove("iam-role")
        elif provider.METHOD == "custom-process":
            provider._popen = partial(_Process, options.timeout)
        elif provider.METHOD == "assume-role":
            # The default asks for an MFA code at the terminal and would wait there for ever.
            provider._prompter = _no_prompt
    return session, metadata, chain.load_credentials()


class _Process(Plugin):
    """A credential_process: what it prints is bounded, and so is its time; its children end too."""

    def __init__(self, seconds: float, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, start_new_session=True)
        self._late = False
        self._limit = threading.Timer(seconds, self._too_late)
        self._limit.daemon = True
        self._limit.start()
        atexit.register(self._end)

    def _too_late(self) -> None:
        self._late = True
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def communicate(self, *_: object, **__: object) -> tuple[Any, Any]:
        try:
            told = super().communicate()
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # it may end after its output
            if self._late:
                raise Unavailable(Why.TIMED_OUT, "credential_process: no credentials in time")
            return told[0].encode(), told[1].encode()
        except ValueError as error:
            raise Unavailable(Why.MISCONFIGURED, f"credential_process: {error}") from error
        finally:
            self._end()  # its children; until it is waited for, its number is nobody else's
            self.wait()
            self._limit.cancel()
            atexit.unregister(self._end)


class _ModelFiles:
    """Reads botocore's service models by msgspec: EC2's takes 0.03 s so, and 0.13 s by json."""

    _FORMS = ((".json", open), (".json.gz", gzip.open))

    def exists(self, path: str) -> bool:
        return any(Path(path + ending).is_file() for ending, _ in self._FORMS)

    def load_file(self, path: str) -> Any:
        for ending, opened in self._FORMS:
            if Path(path + ending).is_file():
                with opened(path + ending, "rb") as file:
                    return msgspec.json.decode(file.read())
        return None


def _no_prompt(prompt: str) -> str:
    raise Unavailable(Why.MISCONFIGURED, f"the profile asks for an MFA code: {prompt.strip()}")


def classify(error: BaseException) -> tuple[Why, str] | None:
    """The reason behind a botocore exception, with AWS's own words; None for any other."""
    from botocore import exceptions as e
    from botocore.parsers import ResponseParserError

    if isinstance(error, Unavailable | TimeoutError):
        return None
    words = redact_text(str(error))
    if "header value" in words:  # urllib3 tells the value of one that cannot be sent
        return Why.MISCONFIGURED, "the credentials make no valid header"
    if isinstance(error, e.ClientError):
        return _by_code(error)
    kinds: tuple[tuple[Why, tuple[type[Exception], ...]], ...] = (
        (Why.TIMED_OUT, (e.ConnectTimeoutError, e.ReadTimeoutError)),
        (Why.NOT_CONFIGURED, (e.NoCredentialsError, e.NoRegionError)),
        (Why.UNAUTHENTICATED, (e.SSOError, e.TokenRetrievalError, e.NoAuthTokenError)),
        # Whom the certificates do not vouch for, and what is no answer of AWS.
        (Why.INVALID, (e.SSLError, ResponseParserError, e.PaginationError)),
        (Why.UNREACHABLE, (e.ConnectionError, e.HTTPClientError)),
        # Profiles, files and processes that are configured wrongly.
        (Why.MISCONFIGURED, (e.BotoCoreError, ValueError, FileNotFoundError, PermissionError)),
    )
    for why, types in kinds:
        if isinstance(error, types) or (
            why is Why.UNAUTHENTICATED and type(error).__name__.startswith("Login")
        ):
            return why, words.partition(":\n")[0]  # what follows is the page, byte by byte
    return (Why.UNREACHABLE, words) if isinstance(error, OSError) else None


def _by_code(error: Any) -> tuple[Why, str]:
    entry = error.response.get("Error", {})
    code = str(entry.get("Code", ""))
    words = redact_text(f"{code}: {entry.get('Message', '')}")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if not code:
        return Why.INVALID, f"HTTP {status}, a page: it is not AWS that says it"
    if code.startswith(_THROTTLED):
        return Why.THROTTLED, words
    if code.startswith(_UNAUTHENTICATED) or status == 401:
        return Why.UNAUTHENTICATED, words
    if code.startswith(_DENIED) or status == 403:
        return Why.DENIED, words
    return (Why.NOT_FOUND if "NotFound" in code else Why.ERROR), words


class _Call(Struct):
    """A call, and what the waiting side and its thread tell each other."""

    service: str
    operation: str
    key: str | None
    parameters: dict[str, Any]
    stopped: bool = False
    cut: bool = False  # there are more items than are read
    answered: bool = False  # something came: what is odd from then on is no configuration
    throttled: str = ""  # AWS's words, heard while botocore goes on trying


class Api:
    """Calls to one region of one account, each made once; all Collected, none raises."""

    def __init__(
        self, credentials: Credentials, region: str, run: Run, once: Once | None = None
    ) -> None:
        self.region = region
        self._once = once or Once()
        self.calls = 0  # made so far, pages aside
        self._credentials = credentials
        self._run = run
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # a botocore session makes one client at a time
        self._current = threading.local()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)

    def prepare(self, service: str) -> None:
        """Make the client of a service that will be needed, while answers are waited for."""

        def work() -> None:
            with contextlib.suppress(Exception):  # the call itself meets the same and tells it
                self._client(service)

        threading.Thread(target=work, daemon=True).start()

    async def items(
        self, service: str, operation: str, key: str, **parameters: Any
    ) -> Collected[tuple[Any, ...]]:
        """The list `key` of a Describe operation, of its type, all pages (at most 5000 items)."""
        call = _Call(service, operation, key, parameters)
        return await self._ask(call, lambda found: found)

    async def attributes(self, operation: str, **parameters: Any) -> Collected[dict[str, str]]:
        """The attributes that an ELBv2 operation lists, by key."""
        call = _Call("elbv2", operation, "Attributes", parameters)
        return await self._ask(call, lambda found: {item.key: item.value for item in found})

    def hold_region(self, listed: Collected[Any]) -> None:
        """Raises Misnamed where nobody answered, and no region of that name is known to botocore.

        One that is newer than botocore answers.
        """
        if listed.why in (Why.UNREACHABLE, Why.MISCONFIGURED):
            session = self._credentials.session
            known = [
                region
                for partition in session.get_available_partitions()
                for region in session.get_available_regions("elbv2", partition)
            ]
            if self.region not in known:
                raise Misnamed("aws_region", self.region, known)

    async def identity(self) -> Collected[Identity]:
        """The account, the caller's ARN and the region searched."""

        def pick(found: tuple[dict[str, str], ...]) -> Identity:
            (answer,) = found
            return Identity(
                account=answer.get("Account", ""), arn=answer.get("Arn", ""), region=self.region
            )

        return await self._ask(_Call("sts", "get_caller_identity", None, {}), pick)

    async def _ask(self, call: _Call, shape: Callable[[tuple[Any, ...]], T]) -> Collected[T]:
        source = _command(call)

        async def ask() -> T:
            try:
                found = await in_thread(self._work, call)
            finally:
                call.stopped = True
            return shape(found)

        def told(error: BaseException) -> tuple[Why, str] | None:
            reason = classify(error)
            if call.answered and reason is not None and reason[0] is Why.MISCONFIGURED:
                return Why.INVALID, reason[1]
            return reason

        async def made() -> Collected[T]:
            self.calls += 1
            async with self._slots:
                found = await self._run.ask(source, ask, classify=told)
            if found.why is Why.TIMED_OUT and call.throttled:
                return replace(found, why=Why.THROTTLED, detail=call.throttled)
            return replace(found, truncated=call.cut)

        return await self._once.get((self, source), made)

    def _work(self, call: _Call) -> tuple[Any, ...]:
        self._current.call = call
        client, key = self._client(call.service), call.key
        if key is None or not client.can_paginate(call.operation):
            answer = getattr(client, call.operation)(**call.parameters)
            return described(key, _plain(answer.get(key) or ())) if key else (_plain(answer),)
        found: list[Any] = []
        for page in client.get_paginator(call.operation).paginate(**call.parameters):
            call.cut = len(found) >= MAX_ITEMS  # and here is one more page
            if call.stopped or call.cut:
                break
            found.extend(described(key, _plain(page.get(key) or ())))
        return tuple(found)

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                seconds = max(self._run.options.timeout, 0.1)
                client = self._credentials.session.create_client(
                    service,
                    region_name=self.region,
                    aws_access_key_id=self._credentials.access_key,
                    aws_secret_access_key=self._credentials.secret_key,
                    aws_session_token=self._credentials.token,
                    config=Config(
                        connect_timeout=seconds,
                        read_timeout=seconds,
                        retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
                        max_pool_connections=CALLS_AT_ONCE,
                    ),
                )
                events, http = client.meta.events, client._endpoint.http_session
                events.register("before-send", lambda request, **_: self._sent(http, request))
                events.register("response-received", self._on_response)
                self._clients[service] = client
            return self._clients[service]

    def _sent(self, http: Any, request: Any) -> Any:
        """The answer, read up to a limit and while somebody waits for it, unlike botocore does."""
        from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
        from urllib3 import exceptions

        request.stream_output = True
        response, body, reason = http.send(request), bytearray(), None
        self._current.call.answered = True
        try:
            for data in response.raw.stream(65_536):
                body += data
                if len(body) > _BODY_BYTES:
                    words = f"the answer is larger than {_BODY_BYTES >> 20} MiB"
                    reason = Unavailable(Why.INVALID, words)
                elif self._current.call.stopped:
                    reason = Unavailable(Why.TIMED_OUT)
                if reason is not None:
                    break
        except exceptions.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url) from error
        except exceptions.HTTPError as error:
            raise ConnectionClosedError(endpoint_url=request.url) from error
        if reason is not None:
            response.raw.close()  # else what comes still fills the system's buffers
            raise reason
        response._content = bytes(body)
        return response

    def _on_response(self, **event: Any) -> None:
        """Hears each attempt: remembers throttling, and ends the trying where nobody listens."""
        from botocore.exceptions import EndpointConnectionError

        if isinstance(event.get("exception"), EndpointConnectionError):
            raise event["exception"]
        error = (event.get("parsed_response") or {}).get("Error", {})
        if str(error.get("Code", "")).startswith(_THROTTLED):
            words = f"{error['Code']}: {error.get('Message', '')}"
            self._current.call.throttled = redact_text(words)


class Account:
    """Credentials, found once, and one `Api` for each region: one host's, or many hosts'."""

    def __init__(self, run: Run, once: Once | None = None) -> None:
        self._run = run
        self._once = once or Once()
        self._apis: dict[str, Api] = {}

    async def credentials(self) -> Credentials:
        """The standard chain's credentials; raises as `find_credentials` does."""
        return await self._once.get(("credentials", self), lambda: find_credentials(self._run))

    def api(self, credentials: Credentials, region: str) -> Api:
        """Calls to one region."""
        if region not in self._apis:
            self._apis[region] = Api(credentials, region, self._run, self._once)
        return self._apis[region]

    @property
    def calls(self) -> int:
        """Calls made so far, pages aside."""
        return sum(api.calls for api in self._apis.values())


def _command(call: _Call) -> str:
    """The call as the AWS command line writes it."""
    words = ["aws", call.service, call.operation.replace("_", "-")]
    for name, value in call.parameters.items():
        flag = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
        words += [f"-{flag}", *_argument(value)]
    return " ".join(words)


def _argument(value: Any) -> list[str]:
    if not isinstance(value, list):
        return [str(value)]
    return [
        f"Name={item['Name']},Values={','.join(item['Values'])}"
        if isinstance(item, dict)
        else str(item)
        for item in value
    ]


def _plain(value: Any) -> Any:
    """JSON's types alone: times become ISO 8601 text, the response's metadata goes."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "ResponseMetadata"}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


async def settled(run: Run, awaitable: Awaitable[T], nothing: T) -> T:
    """What another collector found; `nothing` once calls that follow would not have their time.

    Nothing is cancelled, and its failure is left to whoever started it.
    """
    task = asyncio.ensure_future(awaitable)
    patience = max(run.remaining() - run.options.timeout, run.remaining() / 2)
    done, _ = await asyncio.wait({task}, timeout=patience)
    if not done or task.cancelled() or task.exception() is not None:
        return nothing
    return task.result()
