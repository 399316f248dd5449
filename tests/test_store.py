"""The store: what it is given it gives back, however it was cut and shared."""

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import OTHER, STUDY, filled, kept, key, numbered, refused

from codesign.campaign.key import CampaignKey
from codesign.campaign.store import FILE_DIGEST, Store
from codesign.engine.counts import COUNTS
from codesign.errors import ConfigError, StoreError
from codesign.faults import FaultModel, Target

# First trial and length.
CUTS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=12)


def test_batches_that_overlap_count_once(tmp_path: Path) -> None:
    """Two processes on one campaign cut it differently."""
    with Store(tmp_path / "study.sqlite") as store:
        for first, end in ((0, 5), (3, 9), (4, 7), (9, 10), (12, 20)):
            store.add_batch(key(), first, numbered(range(first, end)))
        assert kept(store)["correct"].tolist() == list(range(10))


@given(CUTS, CUTS)
def test_every_trial_is_given_once_however_they_came(
    ours: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    """In any order, with overlaps and gaps, of two campaigns in turns."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "study.sqlite") as store:
        store._db.rows("pragma synchronous = off")  # for speed alone
        for campaign, cuts in (("a", ours), ("b", others)):
            for first, count in cuts:
                store.add_batch(key(campaign), first, numbered(range(first, first + count)))
        for campaign, cuts in (("a", ours), ("b", others)):
            given_back: list[int] = []
            for first, rows in store.batches(key(campaign)):
                assert rows.dtype == COUNTS and rows["silent"].tolist() == list(range(first, first + len(rows)))
                given_back += rows["correct"].tolist()
            assert given_back == sorted({trial for first, count in cuts for trial in range(first, first + count)})


def rows_of(path: Path) -> list[int]:
    """Trials of each row of the table of batches."""
    db = sqlite3.connect(path)
    counts = [count for (count,) in db.execute("select count from batch order by first")]
    db.close()
    return counts


@pytest.mark.parametrize("step", [1, -1])
def test_single_trials_end_in_few_rows(tmp_path: Path, step: int) -> None:
    with Store(tmp_path / "study.sqlite") as store:
        store._db.rows("pragma synchronous = off")  # for speed alone
        for trial in range(300)[::step]:
            store.add_batch(key(), trial, numbered(range(trial, trial + 1)))
        assert kept(store)["correct"].tolist() == list(range(300))
    assert len(rows_of(store.path)) < 10


def test_long_batches_are_kept_as_they_come(tmp_path: Path) -> None:
    """To join them would write every trial again and again."""
    with Store(tmp_path / "study.sqlite") as store:
        for first in range(0, 15_000, 3000):
            store.add_batch(key(), first, numbered(range(first, first + 3000)))
        assert kept(store)["correct"].tolist() == list(range(15_000))
    assert rows_of(store.path) == 5 * [3000]


def test_appending_takes_the_same_work_at_the_end(tmp_path: Path) -> None:
    """Counted in SQLite's steps, which do not depend on the machine."""
    steps: list[int] = [0]

    def count() -> int:
        steps[-1] += 1
        return 0

    with Store(tmp_path / "study.sqlite") as store:
        store._db.rows("pragma synchronous = off")  # for speed alone
        store._db._db.set_progress_handler(count, 1)
        for first in range(0, 200_000, 100):
            if first % 20_000 == 0:
                steps.append(0)
            store.add_batch(key(), first, numbered(range(first, first + 100)))
    per_part = steps[1:]
    assert len(per_part) == 10 and max(per_part) < 1.2 * min(per_part)


_ADDS = """
import sys
from pathlib import Path
from stores import key, numbered
from codesign.campaign.store import Store
size = int(sys.argv[2])
with Store(Path(sys.argv[1]), {"name": "a"}) as store:
    for first in range(0, 600, size):
        store.add_batch(key(), first, numbered(range(first, min(600, first + size))))
"""


def test_processes_share_a_store(tmp_path: Path) -> None:
    """They make it at the same moment, and run the same campaign, cut otherwise."""
    path = tmp_path / "study.sqlite"
    adding = [
        subprocess.Popen([sys.executable, "-c", _ADDS, path, str(size)], cwd=Path(__file__).parent)
        for size in (7, 9, 10)
    ]
    assert [process.wait(timeout=60) for process in adding] == [0, 0, 0]
    with Store(path, {"name": "a"}) as store:
        assert kept(store)["correct"].tolist() == list(range(600))


@given(
    st.text(max_size=9),
    st.sets(st.sampled_from(Target), min_size=1),
    st.one_of(st.floats(0, 1), st.integers(1, 99)),
    st.integers(0, 2**63 - 1),
    st.lists(st.text("abc_", min_size=1), unique=True, min_size=1, max_size=7),
)
def test_keys_are_read_as_they_were_written(
    text: str, targets: set[Target], amount: float, seed: int, columns: list[str]
) -> None:
    many = {"ber": amount} if isinstance(amount, float) else {"n_flips": amount}
    model = FaultModel(tuple(targets), **many, seed=seed)
    written = key(text, network_name=text, model=model, columns=tuple(columns))
    assert CampaignKey.parse(written.text) == written and "\n" not in written.text


def test_whatever_decides_a_trial_makes_another_key() -> None:
    model = FaultModel((Target.WEIGHT, Target.ACCUMULATOR), ber=1e-3, seed=8)
    names = ("network", "simulator", "network_name", "plan", "inputs", "labels")
    others = [key(**{name: "other"}) for name in names]
    others += [key(model=model), key(samples=7), key(columns=("correct",)), key(recipe=2)]
    assert len({other.digest for other in [key(), *others]}) == 1 + len(others)
    assert key().digest == key().digest


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"network": 1}'])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a campaign's key"):
        CampaignKey.parse(text)


def test_batches_and_evaluations_are_given_back(tmp_path: Path) -> None:
    with Store(tmp_path / "study.sqlite", STUDY) as store:
        assert list(store.batches(key())) == []
        store.add_batch(key(), 0, np.array([(3, 0, 1, 7, 5, 6), (1, 2, 0, 0, 0, 8)], COUNTS))
        store.add_batch(key(), 2, numbered(range(4, 5)))
        store.add_batch(key("other"), 0, numbered(range(9, 10)))
        store.add_evaluation("search", 1, {"b": 0.1, "a": [1, None]})
        store.add_evaluation("search", 0, {"c": "é"})
        store.add_evaluation("baseline", 0, {})
    with Store(tmp_path / "study.sqlite", STUDY) as store:
        assert kept(store).tolist() == [(3, 0, 1, 7, 5, 6), (1, 2, 0, 0, 0, 8), (4,) * 6]
        assert store.campaigns() == [key(), key("other")]
        assert store.evaluations("search") == [{"c": "é"}, {"b": 0.1, "a": [1, None]}]
        assert store.evaluations("none") == []


def test_seconds_add_up(tmp_path: Path) -> None:
    with Store(tmp_path / "study.sqlite") as store:
        assert (store.spent_seconds(), store.spent_seconds(1.5), store.spent_seconds(2.0)) == (0.0, 1.5, 3.5)
    with Store(tmp_path / "study.sqlite") as store:
        assert store.spent_seconds() == 3.5


def test_another_study_is_refused_and_kept(tmp_path: Path) -> None:
    path = filled(tmp_path / "study.sqlite")
    assert "another study" in refused(path, OTHER)
    with Store(path, STUDY) as store:
        assert len(store.evaluations("search")) == 200


def test_a_changed_study_is_told_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    before = {"seed": 1, "bits": [4, 8], "gone": "x", "same": {"low": 1, "high": 2}, "unset": None}
    with Store(path, {**before, "file": FILE_DIGEST + "00"}) as store:
        store.add_batch(key(), 0, numbered(range(1)))
    now = {**before, "seed": 2, "bits": [4, 6], "gone": None, "unset": "é", "file": FILE_DIGEST + "01"}
    line = refused(path, now)
    for said in ("file changed; ", 'gone was "x", is not set; ', "bits was [4, 8], is [4, 6]; ", "seed was 1, is 2; "):
        assert said in line
    assert "same" not in line and line.endswith("; undo that, or choose another folder with --out")
    many = {f"setting {number:02}": number for number in range(30)}
    assert "setting 06 was not set, is 6; and 23 more; undo" in refused(path, {**before, **many})
    assert 'unset was not set, is "é"' in refused(path, {**before, "unset": "é", "file": FILE_DIGEST + "00"})


def test_a_setting_that_is_new_and_not_set_is_no_change(tmp_path: Path) -> None:
    """A later codesign may have more settings."""
    with Store(tmp_path / "study.sqlite", STUDY) as store:
        store.add_batch(key(), 0, numbered(range(1)))
    with Store(tmp_path / "study.sqlite", {**STUDY, "new": None}) as store:
        assert len(kept(store)) == 1
    assert "new was not set, is 3" in refused(tmp_path / "study.sqlite", {**STUDY, "new": 3})


def test_a_store_of_nobody_becomes_the_first_study_s(tmp_path: Path) -> None:
    """As long as it holds nothing: a study that failed at once can be corrected."""
    path = tmp_path / "study.sqlite"
    for study in (OTHER, None, STUDY):
        with Store(path, study) as store:
            pass
    with Store(path) as store:
        store.add_batch(key(), 0, numbered(range(1)))
        assert json.loads(store._db.meta("study") or "") == STUDY
    assert "faults.ber was 3e-05, is 0.0001" in refused(path, OTHER)


def test_reading_makes_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    with pytest.raises(StoreError, match="no store"):
        Store(path, reading=True)
    assert not path.exists()
    before = filled(path).read_bytes()
    path.chmod(0o444)
    with Store(path, reading=True) as store:
        assert len(kept(store)) == 5000
    assert path.read_bytes() == before
