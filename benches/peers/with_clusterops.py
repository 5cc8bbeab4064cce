"""`uname -n` on every host with this project's Python package, as a user writes it."""

import sys

import clusterops as co

port, user, key, known_hosts, hosts_file, parallelism, expected = sys.argv[1:]
with open(hosts_file) as lines:
    targets = [co.Target(f"host{number}", line, port=int(port)) for number, line in enumerate(lines.read().split())]

options = co.SessionOptions(user=user, identity_files=[key], known_hosts=[known_hosts])
fleet = co.Fleet(targets, parallelism=int(parallelism), session=options)
report = fleet.run(co.Plan("bench").shell("uname", "uname -n"))
succeeded = [
    host for host in report.values() if host.is_success and host["uname"].stdout.rstrip() == expected
]
if len(succeeded) != len(targets):
    sys.exit(f"{len(succeeded)} of {len(targets)} hosts succeeded\n{report.gather()}")
