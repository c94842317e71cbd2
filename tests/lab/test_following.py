"""Commands of fixes, followed on the lab as a person would paste them."""

import asyncio

from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.following import follow
from hopcheck.lab.lab import Lab
from hopcheck.lab.trials import chosen

SAMPLE = ("svc-selector", "ing-no-host", "tsvc-clusterip", "tg-nodeport-drift", "tg-sg-nodeport")
EDIT = "kubectl --context lab -n default"
WRONG = {
    f"{EDIT} get services my-app-service --dry-run=server": "the dry run fails",
    f"{EDIT} get services my-app-service": "nothing is changed",
    f"{EDIT} annotate services nobody a=b --dry-run=server": "not found",
    "aws elbv2 modify-target-group --target-group-arn arn:a --health-check-port 1": "NotFound",
    # A command that serves the host and takes the neighbour's route.
    f"{EDIT} -n neighbours delete ingresses.networking.k8s.io neighbour": "is not served",
}


def test_a_sample_heals() -> None:
    async def run() -> None:
        async with Lab() as lab, Diagnoser(lab) as diagnoser:
            for trial in chosen(SAMPLE, ()):
                results = await trial.run(lab, diagnoser)
                assert [one.kind for one in results] == ["fault", "followed"], trial.name
                assert not any(one.wrong for one in results), results
                await lab.heal()
                await lab.complaints_past()

    asyncio.run(run())


def test_what_is_wrong_with_a_command_is_told() -> None:
    async def run() -> dict[str, str]:
        async with Lab() as lab:
            return {line: await follow(lab, [line]) for line in WRONG}

    for line, said in asyncio.run(run()).items():
        assert WRONG[line] in said, line
