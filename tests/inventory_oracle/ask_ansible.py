"""Prints what `ansible-inventory --list` says of each inventory named on standard input, one line of JSON for each.

Each runs in a process forked after Ansible was imported, for Ansible keeps its options and caches in globals; starting
its interpreter anew would take most of the time. A line is `null` where Ansible fails.
"""

import json
import os
import sys
import tempfile

os.environ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "1"
home = tempfile.TemporaryDirectory()
os.environ["ANSIBLE_HOME"] = home.name

from ansible.cli.inventory import InventoryCLI  # noqa: E402  (after its environment)
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402

init_plugin_loader()


def ask(path: str, answer: str) -> None:
    """Runs `ansible-inventory` in this process, which ends with it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(answer + ".log", os.O_WRONLY | os.O_CREAT), 2)
    status = 1
    try:
        InventoryCLI(["ansible-inventory", "-i", path, "--list", "--output", answer]).run()
    except SystemExit as end:
        status = end.code or 0
    finally:
        os._exit(status)


def warm_up() -> None:
    """Reads an inventory once, so that what this imports is there in every fork."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write("all: {hosts: {a: {x: 1}}}")
        file.flush()
        loader = DataLoader()
        inventory = InventoryManager(loader=loader, sources=[file.name])
        variables = VariableManager(loader=loader, inventory=inventory)
        variables.get_vars(host=inventory.get_host("a"), include_hostvars=False, stage="all")


def main() -> None:
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        for number, line in enumerate(sys.stdin):
            answer = os.path.join(folder, str(number))
            child = os.fork()
            if child == 0:
                ask(line.rstrip("\n"), answer)
            _, status = os.waitpid(child, 0)
            found = None
            if status == 0:
                with open(answer, encoding="utf-8") as file:
                    found = json.load(file)
            print(json.dumps(found), flush=True)


main()
