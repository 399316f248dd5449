"""Packages: the same bytes for the same content, and nothing that was tampered with is used."""

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import packages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import small_network

from codesign.board import archive
from codesign.board.archive import extract_zip, is_inside, write_zip
from codesign.board.package import Package, model_json, open_package, verify, write_package
from codesign.errors import ConfigError


def test_what_is_written_is_read_back_from_folder_and_zip(tmp_path: Path) -> None:
    made = packages.write(tmp_path)
    zipped = made.folder.with_name(f"{made.name}.zip")
    assert made.name == f"{small_network().name}-pynq-z2" and made.folder.name == made.name
    for path in (made.folder, zipped):
        with open_package(path) as found:
            assert (found.manifest, found.digest, found.name) == (made.manifest, made.digest, made.name)
            assert found.files[-1] == "package.json" and len(found.files) == 8
            assert found.size == sum(p.stat().st_size for p in found.folder.rglob("*") if p.is_file())
            assert (found.folder / "design.bit").read_bytes() == b"\x00bits" * 100
        assert found.folder.exists() == (path == made.folder), "what was unpacked is gone again"


def test_the_same_content_makes_the_same_zip(tmp_path: Path) -> None:
    first, second = packages.write(tmp_path / "a"), packages.write(tmp_path / "b")
    os.utime(second.folder / "design.bit", (1, 1))
    (second.folder / "design.bit").chmod(0o600)
    write_zip(second.folder, tmp_path / "again.zip")
    one = (tmp_path / "a" / f"{first.name}.zip").read_bytes()
    assert one == (tmp_path / "b" / f"{first.name}.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_a_package_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    made = packages.write(tmp_path)
    zipped = made.folder.with_name(f"{made.name}.zip")
    before = zipped.read_bytes()
    files = packages.content(small_network())
    with pytest.raises(ConfigError, match=f"cannot write the package {made.folder}: No such file"):
        write_package(made.folder, {**files, "reports/more.rpt": tmp_path / "none"}, packages.about(small_network()))
    del files["check.npz"]
    with pytest.raises(ConfigError, match="has no check.npz"):
        write_package(made.folder, files, packages.about(small_network()))
    assert verify(made.folder).digest == made.digest and zipped.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [made.name, f"{made.name}.zip"]
    packages.write(tmp_path, seconds=3)
    assert verify(made.folder).manifest["seconds"] == 3 and zipped.read_bytes() != before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / f"{small_network().name}-pynq-z2"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is no package"):
        packages.write(tmp_path)
    assert (mine / "thesis.tex").read_text() == "mine"


def edited(change: Callable[[dict], object]) -> Callable[[Package], object]:
    """A change of package.json."""

    def edit(made: Package) -> None:
        path = made.folder / "package.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


def linked(made: Package) -> None:
    (made.folder / "design.bit").unlink()
    (made.folder / "design.bit").symlink_to("/etc/passwd")


TAMPERED = {
    "bit": (lambda made: (made.folder / "design.bit").write_bytes(b"\x01bits" * 100), "design.bit .* checksum differs"),
    "cut": (lambda made: (made.folder / "check.npz").write_bytes(b""), "check.npz .* checksum differs"),
    "gone": (lambda made: (made.folder / "design.hwh").unlink(), "design.hwh is missing"),
    "more": (lambda made: (made.folder / "codesign_runtime/evil.py").write_text(""), "evil.py is not in its"),
    "link": (linked, "design.bit is not a plain file"),
    "format": (edited(lambda d: d.update(format=2)), "of format 2, this codesign reads 1"),
    "no format": (edited(lambda d: d.pop("format")), "of format None"),
    "no board": (edited(lambda d: d.pop("board")), "no usable 'board'"),
    "bad board": (edited(lambda d: d.update(board="../up")), "'board' is no name"),
    "bad clock": (edited(lambda d: d.update(clock_ns="5")), "no usable 'clock_ns'"),
    "outside": (edited(lambda d: d["files"].update({"../x": "0" * 64})), r"names a file '../x' that cannot be"),
    "no digest": (edited(lambda d: d["files"].update({"design.bit": "?"})), "names a file 'design.bit'"),
    "no bitstream": (edited(lambda d: d["files"].pop("design.bit")), "neither design.bit with design.hwh nor"),
    "no runtime": (edited(lambda d: d["files"].pop("codesign_runtime/__init__.py")), "has no codesign_runtime/__init"),
    "another network": (edited(lambda d: d.update(network="0" * 64)), "model.json is of another network"),
    "a list": (lambda made: (made.folder / "package.json").write_text("[]"), "is no JSON object"),
    "no JSON": (lambda made: (made.folder / "package.json").write_text("{"), "package.json cannot be read"),
    "deep": (lambda made: (made.folder / "package.json").write_text("[" * 10**5), "package.json cannot be read"),
    "no manifest": (lambda made: (made.folder / "package.json").unlink(), "it has no package.json"),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_tampered_with_is_refused(tmp_path: Path, tamper: Callable[[Package], object], message: str) -> None:
    made = packages.write(tmp_path)
    tamper(made)
    with pytest.raises(ConfigError, match=message) as caught, open_package(made.folder):
        raise AssertionError
    assert str(made.folder) in str(caught.value) and "\n" not in str(caught.value)
    write_zip(made.folder, tmp_path / "bad.zip")
    if tamper is not linked:  # the link's content goes into the ZIP, as a file with another checksum
        with pytest.raises(ConfigError, match=message), open_package(tmp_path / "bad.zip"):
            raise AssertionError


def zip_of(path: Path, *members: tuple[str, bytes, int]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            made.writestr(member, data)
    return path


PLAIN = stat.S_IFREG | 0o644


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../up", b"", PLAIN)], r"its member '../up' would leave"),
        ([("a/../../up", b"", PLAIN)], "would leave"),
        ([("/abs", b"", PLAIN)], "would leave"),
        ([("a\\..\\b", b"", PLAIN)], "would leave"),
        ([("c:x/y", b"", PLAIN)], "would leave"),
        ([("a/./b", b"", PLAIN)], "would leave"),
        ([("a/l", b"/etc/passwd", stat.S_IFLNK | 0o777)], "not a plain file"),
        ([("a/x", b"1", PLAIN), ("b/x", b"2", PLAIN)], "expected one folder in it, got a, b"),
        ([("x", b"1", PLAIN)], "expected one folder in it, got x"),
        ([], "expected one folder in it, got nothing"),
        ([("a/x", b"1", PLAIN), ("a/x/y", b"1", PLAIN)], "cannot unpack"),
    ],
)
def test_a_zip_that_would_do_something_else_is_refused(tmp_path: Path, members: list, message: str) -> None:
    path, folder = zip_of(tmp_path / "bad.zip", *members), tmp_path / "out" / "of"
    folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match=message):
        extract_zip(path, folder)
    assert not (tmp_path / "out" / "up").exists() and not (tmp_path / "up").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "twice.zip", ("a/x", b"1", PLAIN), ("a/x", b"2", PLAIN))
    with pytest.raises(ConfigError, match="'a/x' comes twice"):
        extract_zip(path, tmp_path)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "bomb.zip", ("a/x", bytes(10**6), PLAIN))
    with monkeypatch.context() as patch:
        patch.setattr(archive, "MAX_BYTES", 10**5)
        with pytest.raises(ConfigError, match="more than 20,000 files or"):
            extract_zip(path, tmp_path)
    # One that lies about its size: in the directory and before the data.
    data = path.read_bytes().replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="damaged"):
        extract_zip(path, tmp_path / "out")


def test_a_damaged_zip_is_one_line(tmp_path: Path) -> None:
    made = packages.write(tmp_path)
    whole = made.folder.with_name(f"{made.name}.zip").read_bytes()
    path = tmp_path / "cut.zip"
    for data in (b"", b"PK", whole[:-30], whole[:200] + b"\xff" * 40 + whole[240:]):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="ZIP file|checksum") as caught, open_package(path):
            raise AssertionError
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no package"), open_package(tmp_path / "none"):
        raise AssertionError


@given(st.text(max_size=20))
def test_what_is_inside_stays_inside(name: str) -> None:
    if is_inside(name):
        joined = os.path.normpath(f"/a/b/{name}")
        assert joined == f"/a/b/{name}" and joined != "/a/b/"


def test_the_model_has_exactly_what_the_runtime_needs() -> None:
    codesign_json = {"network": "n", "plan_digest": "p", "stream": 1, "registers": [], "upset_slots": 0, "options": 5}
    assert model_json(codesign_json, "net", ["a", "b"]) == {
        "network_name": "net",
        "network": "n",
        "plan": "p",
        "stream": 1,
        "registers": [],
        "upset_slots": 0,
        "layers": ["a", "b"],
    }
