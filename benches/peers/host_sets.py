"""How long operations on large host sets take in Python: a JSON object of milliseconds, the least of some rounds.

Standard input has two expressions, one on each line; `benches/python.rs` does the same with the same ones.
"""

import json
import sys
import time

import clusterops as co

ROUNDS = int(sys.argv[1])
first, second = sys.stdin.read().split()
one, other = co.HostSet(first), co.HostSet(second)
names = list(one)
OPERATIONS = {
    "parse": lambda: co.HostSet(first),
    "from names": lambda: co.HostSet(names),
    "fold": lambda: str(one),
    "union": lambda: one | other,
    "intersection": lambda: one & other,
    "difference": lambda: one - other,
    "names": lambda: list(one),
    "look up": lambda: all(name in one for name in names),
}


def least(operation):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        operation()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


print(json.dumps({name: least(operation) for name, operation in OPERATIONS.items()}))
