"""What a run over several workers is made of: which worker gets which hosts, and files that travel in pieces."""

from __future__ import annotations

from pathlib import Path

import clusterops as co
import pytest

pytest.importorskip("distributed")

from clusterops.distributed import _files  # pyright: ignore[reportPrivateUsage]
from clusterops.distributed._shares import deal


def test_shares_go_by_jump_host() -> None:
    behind = [co.Target(f"a{number}", jump="gate1") for number in range(4)]
    behind += [co.Target(f"b{number}", jump="ops@gate2,inner") for number in range(3)]
    behind += [co.Target("c0", jump="gate1,other"), co.Target("d0", jump="none")]
    alone = [co.Target(f"e{number}") for number in range(6)]
    targets = [*alone, *behind]
    shares = deal(targets, ["w1", "w2", "w3"])
    names = {worker: [target.name for target in share] for worker, share in shares.items()}
    assert names["w1"] == ["a0", "a1", "a2", "a3", "c0"]
    assert names["w2"][-3:] == ["b0", "b1", "b2"] and len(names["w2"]) == 5 and len(names["w3"]) == 5
    assert sorted(name for share in names.values() for name in share) == sorted(target.name for target in targets)
    assert deal(targets[:1], ["w1", "w2"]) == {"w1": targets[:1]}


def test_jump_hosts_of_a_session_count_for_hosts_that_name_none() -> None:
    options = co.SessionOptions(jump="ops@gate1,inner")
    assert options.jump == "ops@gate1,inner" and co.SessionOptions().jump is None
    targets = [co.Target(f"a{number}") for number in range(5)]
    targets += [co.Target("b0", jump="gate2"), co.Target("c0", jump="none")]
    shares = deal(targets, ["w1", "w2", "w3"], options.jump)
    names = {worker: [target.name for target in share] for worker, share in shares.items()}
    assert names == {"w1": ["a0", "a1", "a2", "a3", "a4"], "w2": ["b0"], "w3": ["c0"]}


def test_a_file_that_is_not_what_it_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"one")
    (item,) = _files.items(co.Fleet("n1").local_files(co.Plan("p").upload("send", tmp_path / "app", "/x")))
    (tmp_path / "files").mkdir()
    folder = str(tmp_path / "files")
    with pytest.raises(co.TransferError, match="may have changed"):
        _files.receive(folder, item, _files.Piece(b"two", 0, is_last=True))
    assert _files.missing(folder, [item]) == [item]
    for piece in _files.pieces(item):
        assert "one" not in repr(piece)
        _files.receive(folder, item, piece)
    assert _files.missing(folder, [item]) == []
