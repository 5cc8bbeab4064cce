"""`uname -n` on every host with parallel-ssh's native client (libssh2 and gevent), as its documentation shows it.

Its client does not check host keys. Everything else is its default; the SSH agent is left out.
"""

import sys

from pssh.clients import ParallelSSHClient

port, user, key, _known_hosts, hosts_file, parallelism, expected = sys.argv[1:]
with open(hosts_file) as lines:
    hosts = lines.read().split()

client = ParallelSSHClient(
    hosts, user=user, pkey=key, port=int(port), pool_size=int(parallelism), allow_agent=False, identity_auth=False
)
outputs = client.run_command("uname -n")
client.join(outputs)
succeeded = {
    output.host for output in outputs if list(output.stdout) == [expected] and output.exit_code == 0
}
if succeeded != set(hosts):
    sys.exit(f"{len(succeeded)} of {len(hosts)} hosts succeeded")
