"""Keys and sealed documents."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clusterops as co
import pytest
from clusterops import secrets

DATA = Path(__file__).parents[2] / "clusterops-secrets/src/keys/data"
BEN = secrets.PrivateKey.from_pem((DATA / "ben.pem").read_text())
CYD = secrets.PrivateKey.from_pem((DATA / "cyd.pem").read_text())
ANA = secrets.PublicKey.from_pem((DATA / "ana.pub.pem").read_text())
APP = '{"id": "/shop", "env": {"DB": "ENC[db:hunter2]", "ZONE": "a", "PIN": 1234}}'


def sealed(app: str = APP) -> str:
    return secrets.seal(app, {"ben": BEN.public_key}).text


def epochs(text: str) -> int:
    return secrets.show(text).count("// epoch ")


class Agent:
    """Uses Ben's key, and says how it was asked."""

    def __init__(self) -> None:
        self.recipient = BEN.recipient
        self.asked = 0

    def unwrap(self, encrypted_key: bytes, /) -> bytes | None:
        self.asked += 1
        return BEN.unwrap(encrypted_key)


class AsyncAgent:
    recipient = BEN.recipient

    async def unwrap(self, encrypted_key: bytes, /) -> bytes | None:
        await asyncio.sleep(0.001)
        return BEN.unwrap(encrypted_key)


class BrokenAgent:
    recipient = BEN.recipient

    async def unwrap(self, encrypted_key: bytes, /) -> bytes | None:
        raise LookupError("the token is not plugged in")


class OtherAgent:
    recipient = BEN.recipient

    def unwrap(self, encrypted_key: bytes, /) -> bytes | None:
        return None


def test_what_is_marked_is_sealed_and_opens_for_its_recipients() -> None:
    made = secrets.seal(APP, {"ana": ANA, "ben": BEN.public_key})
    assert made.values == ["/env/DB"] and "hunter2" not in made.text and '"ZONE": "a"' in made.text
    assert made.recipients == {"ana": ANA.thumbprint, "ben": BEN.recipient} and not made.unsealed
    assert made.warnings == {"ben": "the key has 2048 bits; 3072 are recommended"}
    opened = secrets.open(made.text, [BEN], id="/shop")
    assert opened.text.reveal() == APP.replace("ENC[db:hunter2]", "hunter2") and opened.format == "json"
    assert {path: value.reveal() for path, value in opened.values.items()} == {"/env/DB": "hunter2"}
    variables = {name: value.reveal() for name, value in opened.environment().items()}
    assert variables == {"DB": "hunter2", "ZONE": "a", "PIN": "1234"}
    assert secrets.extract(made.text, "/env/DB", [BEN], id="/shop").reveal() == "hunter2"
    with pytest.raises(KeyError):
        opened["/env/ZONE"]


def test_awaited_calls_do_the_same() -> None:
    async def work() -> None:
        text = sealed()
        opened, value = await asyncio.gather(
            secrets.aopen(text, [AsyncAgent()], id="/shop"), secrets.aextract(text, "/env/DB", [BEN], id="/shop")
        )
        assert opened["/env/DB"].reveal() == value.reveal() == "hunter2"
        again = await secrets.arotate(text, [BEN], {"ben": BEN.public_key}, id="/shop")
        moved = await secrets.areseal(again.text, [BEN], {"cyd": CYD.public_key}, id="/shop")
        assert moved.joiners == [CYD.recipient]
        one = await secrets.acompact(moved.sealed.text, [CYD], {"cyd": CYD.public_key}, id="/shop")
        assert one.text == moved.sealed.text
        merged = await secrets.amerge_opened(text, again.text, text, [BEN], id="/shop")
        assert merged.is_clean and merged.text == again.text

    asyncio.run(work())


@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.Secret("hunter2"),
        lambda: secrets.open(sealed(), [BEN], id="/shop"),
        lambda: secrets.open(sealed(), [BEN], id="/shop")["/env/DB"],
        lambda: secrets.open(sealed(), [BEN], id="/shop").text,
        lambda: BEN,
        lambda: secrets.SigningKey.generate(),
    ],
)
def test_secrets_are_neither_shown_nor_pickled(make: Callable[[], Any]) -> None:
    held = make()
    for text in (repr(held), str(held), f"{held}", repr([held])):
        assert "hunter2" not in text and "PRIVATE" not in text
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(held, protocol)
    for clone in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            clone(held)
    with pytest.raises(TypeError):
        json.dumps(held)


def test_a_wrong_type_is_refused_without_what_it_says() -> None:
    refused: Callable[..., Any] = secrets.set
    with pytest.raises(TypeError, match="a str, a Secret or bytes") as raised:
        refused(APP, "/env/DB", {"hunter2"}, {"ben": BEN.public_key})
    assert "hunter2" not in str(raised.value)


def test_public_keys_are_values() -> None:
    assert secrets.PublicKey.from_jwk(ANA.to_jwk()) == ANA != BEN.public_key
    assert ANA.bits == 3072 and ANA.warning is None and BEN.recipient == BEN.public_key.thumbprint
    signer = secrets.SigningKey.generate().verifying_key
    keys: list[secrets.PublicKey | secrets.VerifyingKey] = [ANA, signer]
    for key in keys:
        again = pickle.loads(pickle.dumps(key))
        assert again == key and hash(again) == hash(key)
    assert secrets.VerifyingKey.from_pem(signer.to_pem()) == signer
    for broken in ("", BEN.danger_to_unencrypted_pem().reveal()):
        with pytest.raises(co.InvalidError):
            secrets.PublicKey.from_pem(broken)


def test_keys_are_kept_in_files(tmp_path: Path) -> None:
    BEN.write_new(tmp_path / "ben.pem", secrets.Secret("sesame"))
    BEN.public_key.write_new(tmp_path / "ben.pub.pem")
    assert (tmp_path / "ben.pem").stat().st_mode & 0o777 == 0o600
    assert secrets.PrivateKey.read(tmp_path / "ben.pem", "sesame").recipient == BEN.recipient
    assert secrets.PublicKey.from_pem((tmp_path / "ben.pub.pem").read_text()) == BEN.public_key
    for passphrase in (None, "wrong"):
        with pytest.raises(co.InvalidError) as raised:
            secrets.PrivateKey.read(tmp_path / "ben.pem", passphrase)
        assert raised.value.kind == "key"
    with pytest.raises(co.LocalError):
        BEN.write_new(tmp_path / "ben.pem", "other")
    signer = secrets.SigningKey.generate()
    signer.danger_write_new_unencrypted(tmp_path / "sig.pem")
    assert secrets.SigningKey.read(tmp_path / "sig.pem").verifying_key == signer.verifying_key
    with pytest.raises(co.InvalidError):
        secrets.PrivateKey.generate(1024)


def test_recipients_come_from_a_file_and_can_be_pinned(tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir()
    (tmp_path / "recipients.yaml").write_text(
        f"recipients: {{ana: {ANA.to_jwk()}, ben: {BEN.public_key.to_jwk()}}}\n"
        "rules: [{path: 'prod/**', recipients: [ben]}]\n"
    )
    file = secrets.RecipientsFile.find(tmp_path / "prod/app.json")
    assert file.path == tmp_path / "recipients.yaml" and file.recipients == {"ana": ANA, "ben": BEN.public_key}
    assert file.name_of(ANA.thumbprint) == "ana" and file.name_of(CYD.recipient) is None
    recipients = file.for_path(tmp_path / "prod/app.json")
    assert list(recipients) == ["ben"] and "ana" not in recipients and dict(recipients) == {"ben": BEN.public_key}
    with pytest.raises(co.DeniedError):
        file.for_path(tmp_path / "app.json")
    secrets.seal(APP, recipients, pins=[BEN.recipient])
    with pytest.raises(PermissionError, match="not pinned"):
        secrets.seal(APP, recipients, pins=[ANA.thumbprint])
    with pytest.raises(co.DeniedError):
        secrets.Recipients({})


def test_single_values_are_sealed_and_replaced() -> None:
    recipients = secrets.Recipients({"ben": BEN.public_key})
    made = secrets.seal_paths(APP, ["/env/PIN"], recipients)
    assert made.values == ["/env/PIN"] and "1234" not in made.text
    [left] = made.unsealed
    assert (left.path, left.line) == ("/env/DB", 1) and "hunter2" not in str(left)
    made = secrets.set(sealed(), "/env/CERTIFICATE", b"\x00\x9f", recipients)
    made = secrets.set(made.text, "/env/DB", secrets.Secret("hunter3"), recipients)
    opened = secrets.open(made.text, [BEN], id="/shop")
    assert base64.b64decode(opened["/env/CERTIFICATE"].reveal()) == b"\x00\x9f"
    assert opened["/env/DB"].reveal() == "hunter3"


def test_epochs_are_added_and_merged() -> None:
    recipients = secrets.Recipients({"ben": BEN.public_key})
    text = secrets.set(sealed(), "/env/TOKEN", "abc", recipients).text
    assert epochs(text) == 2
    compacted = secrets.compact(text, [BEN], recipients, id="/shop").text
    assert epochs(compacted) == 1
    rotated = secrets.rotate(compacted, [BEN], recipients, id="/shop").text
    assert epochs(rotated) == 1 and secrets.show(rotated) != secrets.show(compacted)
    with pytest.raises(co.DeniedError, match="reseal"):
        secrets.rotate(text, [BEN], {"ana": ANA}, id="/shop")
    moved = secrets.reseal(rotated, [BEN], {"cyd": CYD.public_key}, id="/shop", new_id="/store")
    assert moved.leavers == {BEN.recipient: ["/env/DB", "/env/TOKEN"]} and moved.joiners == [CYD.recipient]
    assert secrets.open(moved.sealed.text, [CYD], id="/store")["/env/TOKEN"].reveal() == "abc"
    with pytest.raises(co.DeniedError) as raised:
        secrets.open(moved.sealed.text, [BEN], id="/store")
    assert raised.value.kind == "not_recipient"


@pytest.mark.parametrize("agent", [Agent(), AsyncAgent()])
def test_a_key_can_live_in_an_object(agent: Agent | AsyncAgent) -> None:
    assert secrets.open(sealed(), [agent], id="/shop")["/env/DB"].reveal() == "hunter2"

    async def awaited() -> secrets.Opened:
        # The first stands still meanwhile.
        secrets.open(sealed(), [agent], id="/shop")
        return await secrets.aopen(sealed(), [agent], id="/shop")

    assert asyncio.run(awaited())["/env/DB"].reveal() == "hunter2"


def test_what_an_identity_raises_reaches_the_caller() -> None:
    async def awaited() -> None:
        await secrets.aopen(sealed(), [BrokenAgent()], id="/shop")

    with pytest.raises(LookupError, match="not plugged in"):
        secrets.open(sealed(), [BrokenAgent()], id="/shop")
    with pytest.raises(LookupError, match="not plugged in"):
        asyncio.run(awaited())
    with pytest.raises(co.DeniedError):
        secrets.open(sealed(), [OtherAgent()], id="/shop")

    class Wrong:
        recipient = "not a thumbprint"

        def unwrap(self, encrypted_key: bytes, /) -> bytes | None:
            raise AssertionError("nobody asks it")

    with pytest.raises(co.InvalidError, match="thumbprint"):
        secrets.open(sealed(), [Wrong()], id="/shop")
    opens: Callable[..., Any] = secrets.open
    with pytest.raises(AttributeError, match="recipient"):
        opens(sealed(), [object()], id="/shop")


def test_files_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    path.write_text(APP)
    file = secrets.SealedFile.read(path)
    newer = file.replace(secrets.seal(file, {"ben": BEN.public_key}).text)
    assert secrets.open(newer, [BEN])["/env/DB"].reveal() == "hunter2" and newer.path == path
    assert newer.digest.startswith("sha256:") and newer.digest == secrets.SealedFile.read(path).digest
    with pytest.raises(co.LocalError) as changed:
        file.replace("{}")
    assert changed.value.kind == "changed"
    with pytest.raises(co.InvalidError, match="has its format already"):
        secrets.open(newer, [BEN], format="yaml")
    with pytest.raises(co.InvalidError, match="which one is expected"):
        secrets.open(newer.text, [BEN])
    with pytest.raises(co.InvalidError) as misplaced:
        secrets.open(newer, [BEN], id="/other")
    assert misplaced.value.kind == "misplaced" and str(path) in str(misplaced.value)
    (tmp_path / "settings").write_text("DB=ENC[db:hunter2]\n")
    variables = secrets.SealedFile.read(tmp_path / "settings", format="dotenv")
    text = secrets.seal(variables, {"ben": BEN.public_key}, id="/shop").text
    assert secrets.open(text, [BEN], id="/shop", format="dotenv")["/DB"].reveal() == "hunter2"
    with pytest.raises(co.InvalidError, match="json"):
        secrets.open(text, [BEN], id="/shop", format="toml")


def test_signatures_are_by_whom_we_trust(tmp_path: Path) -> None:
    signer, other = secrets.SigningKey.generate(), secrets.SigningKey.generate()
    path = tmp_path / "app.json"
    path.write_text(sealed())
    file = secrets.SealedFile.read(path)
    assert secrets.sign_file(file, signer) == tmp_path / "app.json.sig"
    assert secrets.verify_file(file, [signer.verifying_key]) == signer.verifying_key.thumbprint
    with pytest.raises(co.DeniedError) as raised:
        secrets.verify_file(file, [other.verifying_key])
    assert raised.value.kind == "signature"
    by_rsa = secrets.sign(b"bytes", "/shop", BEN)
    trusted = secrets.VerifyingKey.from_pem(BEN.public_key.to_pem())
    assert secrets.verify(b"bytes", "/shop", [trusted], by_rsa) == BEN.recipient
    with pytest.raises(co.DeniedError):
        secrets.verify(b"other bytes", "/shop", [trusted], by_rsa)


def test_trees_are_checked(tmp_path: Path) -> None:
    (tmp_path / "app.json").write_text('{"env": {"DB": "ENC[db:hunter2]", "dbPassword": "x"}}')
    (tmp_path / "vendored").mkdir()
    (tmp_path / "vendored/app.json").write_text(APP)
    found = secrets.check(tmp_path, skip=["vendored"])
    assert [(one.kind, one.path, one.line) for one in found] == [
        ("not_sealed", "/env/DB", 1),
        ("plaintext", "/env/dbPassword", 1),
    ]
    assert found[0].file == tmp_path / "app.json" and "hunter2" not in "".join(map(str, found))
    assert len(secrets.check(tmp_path)) == 3
    with pytest.raises(co.LocalError):
        secrets.check(tmp_path / "none")


def test_documents_are_merged_without_a_key() -> None:
    base, recipients = sealed(), secrets.Recipients({"ben": BEN.public_key})
    ours, theirs = (secrets.set(base, path, "x", recipients).text for path in ("/env/A", "/env/B"))
    merged = secrets.merge(base, ours, theirs)
    assert merged.is_clean and not merged.conflicts and not merged.has_line_conflicts
    assert sorted(secrets.open(merged.text, [BEN], id="/shop").values) == ["/env/A", "/env/B", "/env/DB"]
    changed = [secrets.set(base, "/env/DB", value, recipients).text for value in ("1", "2")]
    assert secrets.merge(base, *changed).conflicts == ["/env/DB"]
    same = [secrets.set(base, "/env/DB", "1", recipients).text for _ in range(2)]
    assert secrets.merge(base, *same).conflicts == ["/env/DB"]
    assert secrets.merge_opened(base, same[0], same[1], [BEN], id="/shop").is_clean


def opened(app: str = APP) -> secrets.Opened:
    return secrets.open(sealed(app), [BEN], id="/shop")


LOOK = 'echo "$DB $PIN $ZONE" > out; tr "\\0" " " < /proc/$$/cmdline >> out; exit 7'


def test_a_command_gets_opened_values_in_its_environment(tmp_path: Path) -> None:
    assert secrets.exec_and_wait(opened(), ["sh", "-c", LOOK], current_dir=tmp_path) == 7
    environment, arguments = (tmp_path / "out").read_text().split("\n", 1)
    assert environment == "hunter2 1234 a" and "hunter2" not in arguments
    assert secrets.exec_and_wait(opened(), ["sh", "-c", "kill -KILL $$"]) == -signal.SIGKILL

    async def awaited() -> int:
        return await secrets.aexec_and_wait(opened(), ["sh", "-c", 'test "$DB" = hunter2'])

    assert asyncio.run(awaited()) == 0
    with pytest.raises(co.LocalError, match="`/none` cannot be started"):
        secrets.exec_and_wait(opened(), ["/none"])
    with pytest.raises(co.InvalidError, match="one word"):
        secrets.exec_and_wait(opened(), [])
    with pytest.raises(co.InvalidError):
        secrets.exec_and_wait(opened('{"id": "/shop", "db": "ENC[db:hunter2]"}'), ["true"])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_ends_with_who_waits_for_it(tmp_path: Path) -> None:
    pid, line = tmp_path / "pid", "trap '' INT TERM; echo $$ > new; mv new pid; while :; do sleep 0.01; done"

    def interrupt() -> None:
        wait_for(pid.exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        secrets.exec_and_wait(opened(), ["sh", "-c", line], current_dir=tmp_path)
    thread.join()
    assert is_gone(int(pid.read_text()))
    pid.unlink()

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(secrets.aexec_and_wait(opened(), ["sh", "-c", line], current_dir=tmp_path))
        await asyncio.to_thread(wait_for, pid.exists)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    wait_for(lambda: is_gone(int(pid.read_text())))


def test_a_process_becomes_a_command(tmp_path: Path) -> None:
    program = (
        "import sys; from clusterops import secrets\n"
        "key = secrets.PrivateKey.read(sys.argv[1])\n"
        "secrets.exec(secrets.open(sys.stdin.read(), [key], id='/shop'), ['sh', '-c', sys.argv[2]])\n"
        "print('not reached')\n"
    )
    key = tmp_path / "key.pem"
    key.write_text((DATA / "ben.pem").read_text())
    key.chmod(0o600)
    command = [sys.executable, "-c", program, str(key), LOOK]
    done = subprocess.run(command, input=sealed(), text=True, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (7, ""), done.stderr
    assert (tmp_path / "out").read_text().startswith("hunter2 1234 a\n")
    with pytest.raises(co.LocalError):
        secrets.exec(opened(), ["/none"])


@pytest.fixture
def file(tmp_path: Path) -> secrets.SealedFile:
    path = tmp_path / "shop.json"
    path.write_text(sealed())
    return secrets.SealedFile.read(path)


def test_a_file_is_edited(file: secrets.SealedFile) -> None:
    recipients = {"ben": BEN.public_key}
    edited = secrets.edit(file, [Agent()], recipients, editor="sed -i -e s/hunter2/hunter3/ -e s/1234/99/")
    assert edited is not None
    newer, made = edited
    assert made.values == ["/env/DB"] and newer.text == file.path.read_text() and "hunter" not in newer.text
    assert secrets.open(newer, [BEN])["/env/DB"].reveal() == "hunter3" and '"PIN": 99' in newer.text
    assert secrets.edit(newer, [BEN], recipients, editor="true") is None
    with pytest.raises(co.LocalError, match="the editor `false`"):
        secrets.edit(newer, [BEN], recipients, editor="false")
    with pytest.raises(LookupError, match="plugged in"):
        secrets.edit(newer, [BrokenAgent()], recipients, editor="true")
    with pytest.raises(co.LocalError, match="no folder in memory"):
        secrets.edit(newer, [BEN], recipients, editor="true", folder="/proc")

    async def awaited() -> tuple[secrets.SealedFile, secrets.Sealed] | None:
        return await secrets.aedit(newer, [AsyncAgent()], recipients, editor="sed -i s/hunter3/hunter4/")

    edited = asyncio.run(awaited())
    assert edited is not None and secrets.open(edited[0], [BEN])["/env/DB"].reveal() == "hunter4"


def test_an_edit_that_cannot_be_sealed_is_asked_about(file: secrets.SealedFile) -> None:
    recipients = {"ben": BEN.public_key}
    # Spoils the document at first, and mends it when it is called again.
    editor = "sed -i -e 's/hunter2/hunter3/' -e 's/^{/[{/;t' -e 's/^\\[{/{/'"
    asked: list[co.ClusterOpsError] = []

    def again(error: co.ClusterOpsError) -> bool:
        asked.append(error)
        return True

    edited = secrets.edit(file, [BEN], recipients, editor=editor, again=again)
    assert edited is not None and len(asked) == 1 and isinstance(asked[0], co.InvalidError)
    assert "hunter" not in str(asked[0])
    assert secrets.open(edited[0], [BEN])["/env/DB"].reveal() == "hunter3"

    async def refuse(error: co.ClusterOpsError) -> bool:
        raise RuntimeError("not in the mood")

    with pytest.raises(RuntimeError, match="mood"):
        secrets.edit(edited[0], [BEN], recipients, editor="sed -i 's/^{/[{/'", again=refuse)
