"""A simulated fleet in a process of its own, so that several processes reach it: asked and answered in lines of JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from clusterops.testing import SimulatedAnswer, SimulatedFleet


def main() -> None:
    answers = {
        line: SimulatedAnswer(stdout, delay=delay) for line, (stdout, delay) in json.loads(sys.argv[2]).items()
    }
    with SimulatedFleet(sys.argv[1], answers=answers) as fleet:
        print(json.dumps([target.to_json() for target in fleet.targets]), flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(fleet, json.loads(line))), flush=True)


def answer(fleet: SimulatedFleet, asked: dict[str, Any]) -> object:
    hosts = {name: fleet[name] for name in fleet.hosts}
    if asked["what"] == "read":
        return {name: host.read_file(asked["path"]).decode() for name, host in hosts.items()}
    if asked["what"] == "fault":
        host = hosts[asked["host"]]
        if asked["fault"] is None:
            host.heal()
        else:
            host.fault(asked["fault"])
        return None
    return {
        name: {"commands": host.commands, "environments": [call.environment for call in host.calls], "processes": host.process_count}
        for name, host in hosts.items()
    }


if __name__ == "__main__":
    main()
