"""Sealed documents deployed to a Marathon that answers as Marathon documents it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clusterops as co
import pytest
from clusterops import deploy, secrets
from marathon_stand_in import OTHER, StandInMarathon

KEY = secrets.PrivateKey.from_pem(
    (Path(__file__).parents[2] / "clusterops-secrets/src/keys/data/ben.pem").read_text()
)
APP = '{"id": "/prod/web", "cpus": 0.5, "instances": 2, "env": {"ZONE": "a", "DB": "ENC[db:hunter2 x]"}}'


@pytest.fixture
def file(tmp_path: Path) -> secrets.SealedFile:
    (tmp_path / "web.json").write_text(secrets.seal(APP, {"ben": KEY.public_key}).text)
    return secrets.SealedFile.read(tmp_path / "web.json")


def client(stand_in: StandInMarathon) -> deploy.Marathon:
    return deploy.Marathon(stand_in.url, poll=0.01, basic=("deployer", secrets.Secret("sesame")), attempts=1)


def test_what_was_reviewed_is_posted_and_followed(
    stand_in_marathon: StandInMarathon, file: secrets.SealedFile
) -> None:
    marathon = client(stand_in_marathon)
    assert marathon.url == stand_in_marathon.url and "sesame" not in repr(marathon)
    [plan] = deploy.dry_run(file, [KEY], [marathon])
    assert plan.is_new and plan.error is None and (plan.document, plan.digest) == ("/prod/web", file.digest)
    changes = {change.path: change for change in plan.changes}
    assert changes["/cpus"].kind == "added" and changes["/cpus"].after == "0.5"
    assert changes["/env/DB"].is_sealed and changes["/env/DB"].after is None
    assert "hunter2" not in str(plan) and "+ /env/DB: (sealed)" in str(plan)
    assert not stand_in_marathon.posted

    [deployed] = deploy.Deploy(reviewed=plan.digest, deadline=20).run(file, [KEY], [marathon])
    assert deployed.is_success and deployed.state == "done" and deployed.error is None, str(deployed)
    assert deployed.tasks == {"wanted": 2, "running": 2, "healthy": 0, "unhealthy": 0, "staged": 0}
    assert (deployed.app, deployed.marathon) == ("/prod/web", stand_in_marathon.url)
    [posted] = stand_in_marathon.posted
    assert posted.decode() == APP.replace("ENC[db:hunter2 x]", "hunter2 x")
    assert stand_in_marathon.authorizations == {"Basic " + base64.b64encode(b"deployer:sesame").decode()}

    [again] = deploy.dry_run(file, [KEY], [marathon])
    assert not again.is_new and not again.changes and again.unchanged == ["/env/DB"]
    [named] = deploy.dry_run(file, [], [marathon])
    assert [change.kind for change in named.changes] == ["sealed"]


def test_awaited_calls_do_the_same(stand_in_marathon: StandInMarathon, file: secrets.SealedFile) -> None:
    async def work() -> deploy.Deployed:
        marathon = client(stand_in_marathon)
        [plan] = await deploy.adry_run(file, [KEY], [marathon])
        [deployed] = await deploy.Deploy(reviewed=plan.digest).arun(file, [KEY], [marathon])
        return deployed

    assert asyncio.run(work()).is_success
    assert json.loads(stand_in_marathon.posted[0])["env"]["DB"] == "hunter2 x"


def test_a_trusted_signature_is_as_good_as_a_review(
    stand_in_marathon: StandInMarathon, file: secrets.SealedFile
) -> None:
    signer, other = secrets.SigningKey.generate(), secrets.SigningKey.generate()
    secrets.sign_file(file, signer)
    with pytest.raises(co.DeniedError) as refused:
        deploy.Deploy(signers=[other.verifying_key]).run(file, [KEY], [client(stand_in_marathon)])
    assert refused.value.kind == "signature" and not stand_in_marathon.posted
    trusting = deploy.Deploy(signers=[signer.verifying_key])
    assert trusting.run(file, [KEY], [client(stand_in_marathon)])[0].is_success


def test_nothing_is_sent_when_anything_is_not_as_it_should_be(
    stand_in_marathon: StandInMarathon, file: secrets.SealedFile
) -> None:
    marathon = client(stand_in_marathon)
    with pytest.raises(co.DeniedError, match="not the one that was reviewed"):
        deploy.Deploy(reviewed="sha256:" + 64 * "0").run(file, [KEY], [marathon])
    reviewed = deploy.Deploy(reviewed=file.digest)
    with pytest.raises(co.InvalidError, match="given twice"):
        reviewed.run(file, [KEY], [marathon, marathon])
    with pytest.raises(co.DeniedError) as closed:
        reviewed.run(file, [], [marathon])
    assert closed.value.kind == "not_recipient"

    class Gone:
        recipient = KEY.recipient

        def unwrap(self, encrypted_key: bytes, /) -> bytes | None:
            raise OSError("the agent is gone")

    with pytest.raises(OSError, match="the agent is gone"):
        reviewed.run(file, [Gone()], [marathon])
    assert not stand_in_marathon.posted


def test_what_goes_wrong_at_one_marathon_is_told(
    stand_in_marathon: StandInMarathon, file: secrets.SealedFile
) -> None:
    # Nobody listens there.
    nobody = deploy.Marathon("http://127.0.0.1:1", attempts=1)
    stand_in_marathon.is_locked = True
    outcomes = deploy.Deploy(reviewed=file.digest).run(file, [KEY], [client(stand_in_marathon), nobody])
    locked, unreachable = outcomes
    assert not locked.is_success and locked.state == "error" and locked.locked_by == [OTHER] and locked.tasks is None
    assert isinstance(locked.error, co.ServerError) and locked.error.kind == "locked"
    assert isinstance(unreachable.error, ConnectionError) and not unreachable.locked_by
    [plan] = deploy.dry_run(file, [KEY], [nobody])
    assert isinstance(plan.error, ConnectionError) and not plan.changes


def test_options_are_checked_by_name() -> None:
    with pytest.raises(TypeError, match="either `reviewed` or `signers`"):
        deploy.Deploy()
    with pytest.raises(co.InvalidError, match="SHA-256"):
        deploy.Deploy(reviewed="abc")
    with pytest.raises(co.InvalidError):
        deploy.Marathon("http://marathon.example.org", bearer="abc")
    deploy.Marathon("http://marathon.example.org", bearer="abc", danger_plain_http=True)
    marathon: Callable[..., Any] = getattr(deploy, "Marathon")
    with pytest.raises(TypeError, match="dedline: there is no such option"):
        marathon("https://marathon.example.org", dedline=3)


@pytest.mark.parametrize("name", co.HttpOptions.__annotations__)
def test_every_option_is_known(name: str) -> None:
    marathon: Callable[..., Any] = getattr(deploy, "Marathon")
    with pytest.raises(TypeError, match=f"^{name}: (?!there is no)"):
        marathon("https://marathon.example.org", **{name: object()})
