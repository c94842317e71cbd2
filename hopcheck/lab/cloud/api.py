"""The HTTP endpoint of the lab's AWS: one address for ELBv2, EC2 and STS."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from hopcheck.lab.cloud import wire
from hopcheck.lab.cloud.ec2 import Ec2
from hopcheck.lab.cloud.edits import Edits
from hopcheck.lab.cloud.elbv2 import Elbv2
from hopcheck.lab.cloud.wire import AwsError

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

# The service is told from the API version, which differs for each of the three.
SERVICES = {"2015-12-01": "elasticloadbalancing", "2016-11-15": "ec2", "2011-06-15": "sts"}
# The scope of a SigV4 signature: key id, date, region, service, all between slashes.
_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/")


class Api:
    """Serves the APIs on a free loopback port."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._runner: web.ServerRunner | None = None
        self.endpoint = ""

    async def start(self) -> None:
        """Listen. Raises OSError when no port is free."""
        self._runner = web.ServerRunner(web.Server(self._serve))
        await self._runner.setup()
        await web.TCPSite(self._runner, self._cloud.api_address, 0).start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening and end what is under way."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        service = SERVICES.get(form.get("Version", ""), "elasticloadbalancing")
        action = form.get("Action", "")
        request_id = str(uuid.uuid4())
        self._cloud.requests.append(f"{service}:{action}")
        if self._cloud.delay:
            await asyncio.sleep(self._cloud.delay)
        scope = _SCOPE.search(request.headers.get("Authorization", ""))
        try:
            self._admit(service, action, scope is not None)
            region = scope["region"] if scope else self._cloud.region
            result = self._actions(service, region, action)(form)
            status, body = 200, wire.answer(service, action, result, request_id)
        except AwsError as error:
            status, body = error.status, wire.failure(service, error, request_id)
        headers = {"x-amzn-RequestId": request_id}
        return web.Response(status=status, text=body, content_type="text/xml", headers=headers)

    def _admit(self, service: str, action: str, signed: bool) -> None:
        """Raise AwsError where AWS would refuse the caller before looking at the call."""
        ec2 = service == "ec2"
        if not signed:
            code = "MissingAuthenticationToken"
            raise AwsError(code, "Request is missing Authentication Token", 403)
        if self._cloud.credentials == "expired":
            if ec2:
                raise AwsError("RequestExpired", "Request has expired.", 400)
            text = "The security token included in the request is expired"
            raise AwsError("ExpiredToken", text, 403)
        if self._cloud.credentials == "invalid":
            if ec2:
                text = "AWS was not able to validate the provided access credentials"
                raise AwsError("AuthFailure", text, 401)
            text = "The security token included in the request is invalid."
            raise AwsError("InvalidClientTokenId", text, 403)
        if self._cloud.throttle > 0:
            self._cloud.throttle -= 1
            if ec2:
                raise AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
            raise AwsError(self._cloud.throttle_code, "Rate exceeded", 400)
        right = f"{service}:{action}"
        if right in self._cloud.denied:
            text = (
                f"User: {self._cloud.caller_arn} is not authorized to perform: {right} "
                f"because no identity-based policy allows the {right} action"
            )
            if ec2:
                text = f"You are not authorized to perform this operation. {text}"
                raise AwsError("UnauthorizedOperation", text, 403)
            raise AwsError("AccessDenied", text, 403)

    def _actions(
        self, service: str, region: str, action: str
    ) -> Callable[[Mapping[str, str]], dict[str, Any]]:
        # Another region's endpoint knows nothing of this region's objects.
        cloud = self._cloud if region == self._cloud.region else self._cloud.elsewhere(region)
        known: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]]
        if service == "ec2":
            known = Ec2(cloud).actions | Edits(cloud).ec2
        elif service == "sts":
            known = {"GetCallerIdentity": self._identity}
        else:
            known = Elbv2(cloud).actions | Edits(cloud).elbv2
        if action not in known:
            text = f"The action {action} is not valid for this web service."
            raise AwsError("InvalidAction", text, 400)
        return known[action]

    def _identity(self, _form: Mapping[str, str]) -> dict[str, Any]:
        return {
            "Arn": self._cloud.caller_arn,
            "UserId": "AIDALABLABLABLABLABLA",
            "Account": self._cloud.account,
        }
