"""Records: read as they were written, the same bytes for the same rows, ``run.json`` last."""

from pathlib import Path

import pytest

from replicate.messages import ConfigError, DamagedRunError
from replicate.store import columns, files, records
from replicate.training.runs import train_cohort
from tests.conftest import runs_of
from tests.stored import description

(RUN,) = runs_of("env=hopper", "total_env_steps=2048")
ABOUT = description(RUN)
EPISODE = {"env_step": 7, "episodic_return": 1.5, "episodic_length": 7, "terminated": True}
ALL_UPDATES = columns.schema("updates").names
UPDATE = {"update": 0, "env_step": 2048, "kl": 0.01}


def test_a_run_round_trips(tmp_path: Path) -> None:
    assert not records.is_finished(tmp_path)
    records.write_run(tmp_path, [EPISODE], [UPDATE], ABOUT)
    assert records.is_finished(tmp_path)
    assert records.read_table(tmp_path, "episodes").to_pylist() == [EPISODE]
    (row,) = records.read_table(tmp_path, "updates").to_pylist()
    assert row["kl"] == pytest.approx(0.01) and row["backtracks"] is None
    read = records.read_description(tmp_path)
    assert read == {**ABOUT, "files": read["files"]}
    records.check_files(tmp_path, read)


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        records.write_run(tmp_path / name, [EPISODE] * 1000, [UPDATE], ABOUT)
    for file in ("episodes.parquet", "updates.parquet", "run.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_is_no_description_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^statsu: unknown key; did you mean 'status'\?$"):
        records.write_run(tmp_path, [EPISODE], [UPDATE], {**ABOUT, "statsu": "finished"})
    assert not records.is_finished(tmp_path)


def test_run_json_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    original = files.write_atomically

    def note(path: Path, data: bytes) -> None:
        written.append(path.name)
        original(path, data)

    for module in (columns, files):
        monkeypatch.setattr(module, "write_atomically", note)
    records.write_run(tmp_path, [EPISODE], [UPDATE], ABOUT)
    assert written[-1] == "run.json"


def test_an_episode_that_a_change_of_physics_cut_is_no_damage(tmp_path: Path) -> None:
    given = ("algo.num_steps=64", "algo.minibatch_size=32", "total_env_steps=256")
    (run,) = runs_of("env=hopper", *given, "change.at_share=0.5", "change.gravity=1.5")
    train_cohort([run], tmp_path, "cpu", 1)
    folder = tmp_path / run.run_id
    about = records.read_description(folder)
    records.check_rows(folder, about)
    ends = records.read_table(folder, "episodes")["env_step"].to_pylist()
    assert 128 not in ends and min(ends) < 128 < max(ends)
    unchanged = {**about, "settings": {**about["settings"], "change": None}}
    with pytest.raises(DamagedRunError, match="from env step"):
        records.check_rows(folder, unchanged)


def test_a_run_that_is_older_than_a_column_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.write_run(tmp_path, [EPISODE], [UPDATE], ABOUT)
    mine = columns._float("step_norm", "–", "length of the step")
    monkeypatch.setitem(columns.SCHEMAS, "updates", [*columns.UPDATES, mine])
    assert records._columns(tmp_path, "updates").keys() == {*ALL_UPDATES, "step_norm"}
    (row,) = records.read_table(tmp_path, "updates").to_pylist()
    assert row["kl"] == pytest.approx(0.01) and row["step_norm"] is None


def test_a_run_of_settings_that_are_not_known_here_is_not_called_damaged(tmp_path: Path) -> None:
    records.write_run(tmp_path, [EPISODE], [UPDATE], ABOUT)
    file = tmp_path / "run.json"
    whole = file.read_text()
    file.write_text(whole.replace('"objective": "clip"', '"objective": "rollback"'))
    with pytest.raises(DamagedRunError) as raised:
        records.read_description(tmp_path)
    said = str(raised.value)
    assert said.startswith(f"{file}: settings that this version does not know (settings.algo.")
    assert "'rollback' is not a choice" in said and "made at commit c0ffee; use the code" in said
    assert "delete" not in said and "\n" not in said
    file.write_text(whole.replace('"name": "ppo"', '"name": "sgd"'))
    with pytest.raises(
        DamagedRunError, match=r"does not know \(settings\.algo\.name: unknown algo"
    ):
        records.read_description(tmp_path)
    file.write_text(whole.replace('"status": "finished"', '"status": "begun"'))
    with pytest.raises(DamagedRunError, match=r"run\.json: damaged \(status: 'begun'"):
        records.read_description(tmp_path)
