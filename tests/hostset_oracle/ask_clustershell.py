"""Answers host set questions with the ClusterShell library: one JSON object per line in, one per line out.

    {"expression": "web[1-9]!web3", "split": 2, "slice": [1, 4]}
    {"names": "web1 web2 ...", "text": "web[1-2,4-9]", "parts": ["web[1-2,4-5]", "web[6-9]"], "slice": "web[2,4-5]"}

A rejected expression gives {"error": "..."}. The first argument, where there is one, is a folder of group files
(groups.d), of which the source named by the second argument is the default.
"""

import json
import os
import resource
import sys

from ClusterShell.NodeSet import NodeSet, RESOLVER_NOGROUP
from ClusterShell.NodeUtils import GroupResolver, YAMLGroupLoader


def load_groups(folder, default):
    resolver = GroupResolver()
    for name in sorted(os.listdir(folder)):
        for source in YAMLGroupLoader(os.path.join(folder, name)):
            resolver.add_source(source)
    resolver.default_source_name = default
    return resolver


def answer(question, resolver):
    nodes = NodeSet(question["expression"], resolver=resolver)
    reply = {"names": " ".join(nodes), "text": str(nodes)}
    if question.get("split"):
        reply["parts"] = [str(part) for part in nodes.split(question["split"])]
    if question.get("slice"):
        start, end = question["slice"]
        reply["slice"] = str(nodes[start:end])
    return reply


def main():
    # A range of millions is a list of millions there: rather an error than a machine without memory.
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resolver = load_groups(*sys.argv[1:3]) if len(sys.argv) > 2 else RESOLVER_NOGROUP
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), resolver)
        # The library raises several unrelated kinds for bad input, among them AssertionError and ValueError.
        except Exception as error:
            reply = {"error": "%s: %s" % (type(error).__name__, error)}
        sys.stdout.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
