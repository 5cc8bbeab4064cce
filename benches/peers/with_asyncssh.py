"""`uname -n` on every host with asyncssh, on asyncio's own event loop.

The private key and the known hosts file are read once; host keys are checked.
"""

import asyncio
import sys

import asyncssh

port, user, key, known_hosts, hosts_file, parallelism, expected = sys.argv[1:]
with open(hosts_file) as lines:
    hosts = lines.read().split()


async def run(host, places, options):
    async with places, asyncssh.connect(host, options=options) as connection:
        result = await connection.run("uname -n")
        return result.stdout.split() == [expected] and result.exit_status == 0


async def main():
    options = asyncssh.SSHClientConnectionOptions(
        port=int(port),
        username=user,
        client_keys=[asyncssh.read_private_key(key)],
        known_hosts=asyncssh.read_known_hosts(known_hosts),
        agent_path=None,
        config=None,
    )
    places = asyncio.Semaphore(int(parallelism))
    succeeded = await asyncio.gather(*(run(host, places, options) for host in hosts))
    if not all(succeeded):
        sys.exit(f"{sum(succeeded)} of {len(hosts)} hosts succeeded")


asyncio.run(main())
