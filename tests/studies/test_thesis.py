"""The thesis' programme: what its file may hold, what it trains, and all of it end to end."""

import subprocess
import sys

import pytest
import yaml

from studies import thesis
from studies.thesis import Programme
from vilbert_lib import paths, synthetic
from vilbert_lib.config import PROFILES, with_settings

BASE = paths.REPOSITORY / "notebooks" / "base.yaml"


def written(tmp_path, change) -> Programme:
    content = yaml.safe_load(BASE.read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "programme.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Programme.read(tmp_path / "programme.yaml")


def test_the_programme_in_the_repository_holds_the_thesis_settings():
    programme = Programme.read(BASE)
    scale = with_settings(PROFILES["base"], programme.settings)
    assert programme.architectures[:2] == ("baseline", "early_fusion") and len(programme.architectures) == 7
    assert scale.of_task["hateful_memes"]["train"]["lr"] == 4.4e-5
    assert scale.of_task["mm_imdb"]["train"]["epochs"] == 8
    assert scale.finetune.batch_size * scale.finetune.accumulation == 512
    assert scale.alignment.n_samples == 512 and "cknna" in scale.alignment.measures
    assert scale.on_error == "skip"


@pytest.mark.parametrize("text", ["programme: [", "", "hello"])
def test_a_file_that_is_no_programme_is_named(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml: (not readable as YAML|programme and settings are needed)"):
        Programme.read(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["programme"].pop("seeds"), "programme must hold architectures, objectives, seeds"),
        (lambda c: c.update({"99_other": {}}), "'99_other' is none of programme, settings, 01_finetuning"),
        (lambda c: c["programme"].update(architectures=["late"]), "unknown architecture 'late'"),
    ],
)
def test_a_programme_with_a_mistake_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        written(tmp_path, change)


def test_all_fine_tunings_of_an_architecture_start_from_its_one_pretraining(tmp_path, monkeypatch):
    root = synthetic.make_root(tmp_path / "root", n_train=24, tasks=("hateful_memes", "mm_imdb", thesis.CAPTIONS))
    programme = written(
        tmp_path,
        lambda c: c["programme"].update(architectures=["baseline", "optuna1"], tasks=["hateful_memes", "mm_imdb"]),
    )
    before = thesis.pretrainings(PROFILES["quick"], root, programme)
    starts = {name: config.id for name, config in before.items()}
    after = thesis.finetunings(PROFILES["quick"], root, programme, starts)
    assert len(after) == 2 * 2 * 3
    assert {config.architecture: config.start_from for config in after} == starts
    table = thesis.estimate([*before.values(), *after], root).set_index("task")
    assert table.runs["all"] == 14
    epochs = PROFILES["quick"].finetune.epochs
    assert table.samples["hateful_memes"] == 6 * 24 * epochs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data-root", "nowhere"], "has no hateful_memes"),
        (["--data-root", ".", "--programme", "nowhere.yaml"], "No such file"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_trained(options, message):
    with pytest.raises(SystemExit, match=message):
        thesis.main(options)


@pytest.mark.slow
def test_the_programme_is_rehearsed_end_to_end(tmp_path):
    command = [sys.executable, "-m", "studies.rehearsal", str(tmp_path)]
    done = subprocess.run(command, cwd=paths.REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "rehearsed: " in done.stdout
