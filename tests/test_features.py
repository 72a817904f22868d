"""Files of features in, a table and a heat map out: the book's example, and what cannot be read."""

import doctest
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from matplotlib.figure import Figure

from vilbert_lib import __main__, features
from vilbert_lib.metrics import alignment_grid
from vilbert_lib.paths import REPOSITORY

PAGE = (REPOSITORY / "book" / "howto" / "features.md").read_text()


def block(kind: str) -> str:
    return re.search(rf"```{kind}\n((?!>>>).*?)```", PAGE, re.S).group(1)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The example's two files, in the folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    exec(block("python"), {})
    return tmp_path


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["vilbert_lib", "align", *arguments])
    __main__.main()


def test_the_book_s_example_prints_what_the_book_says(files):
    command = block("bash").split()
    assert command[0] == "python"
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True, cwd=files)
    assert done.stdout == block("text")
    table = pd.read_csv(files / "alignment.csv")
    assert len(table) == 3 * 2 * 3 and {"chance", "chance_sd", "p", "calibrated"} <= set(table)
    assert (files / "alignment.png").stat().st_size > 10_000


def test_one_file_is_measured_with_itself(files, monkeypatch, capsys):
    run(
        monkeypatch,
        "text.npz",
        "--measures",
        "procrustes_distance",
        "--null",
        "permutation",
        "--permutations",
        "9",
    )
    shown = capsys.readouterr().out
    assert "Procrustes distance (procrustes_distance)" in shown
    assert "most alike: text 0 and text 1" in shown and "p of a maximum over these 3 pairs" in shown


def test_files_with_ids_are_matched_by_id_or_refused(files, monkeypatch, capsys):
    vision = features.read(files / "vision.npz")
    wanted = features.align(files / "text.npz", files / "vision.npz", ["cka"])
    text, order = features.read(files / "text.npz"), np.random.default_rng(0).permutation(300)
    names = np.array([f"s{i}" for i in range(300)])
    np.savez(files / "text.npz", ids=names, **text)
    np.savez(files / "shuffled.npz", ids=names[order], **{name: x[order] for name, x in vision.items()})
    differ = f"row 0 is 's0' in text.npz: text 2 but 's{order[0]}' in shuffled"
    with pytest.raises(SystemExit, match=differ):
        run(monkeypatch, "text.npz", "shuffled.npz")
    run(monkeypatch, "text.npz", "shuffled.npz", "--align", "--measures", "cka", "--out", "table.csv")
    assert pd.read_csv("table.csv").value.to_numpy() == pytest.approx(wanted.value.to_numpy())
    fewer = {name: x[order[:290]] for name, x in vision.items()}
    np.savez(files / "fewer.npz", ids=names[order[:290]], **fewer)
    run(monkeypatch, "text.npz", "fewer.npz", "--align", "--measures", "cka")
    assert "align: 290 samples are in all layers; left out: 10 of text.npz: text 0" in capsys.readouterr().err
    assert features.align(files / "text.npz", files / "vision.npz", ["cka"]).equals(wanted)  # one file has no ids


def test_tied_neighbours_have_no_exact_chance_level(files, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    np.savez("codes.npz", a=np.eye(4)[rng.integers(0, 4, 99)], b=np.eye(4)[rng.integers(0, 4, 99)])
    run(monkeypatch, "codes.npz", "--measures", "mknn")
    shown = capsys.readouterr()
    assert shown.out.endswith("chance level unknown (tied neighbours): --null permutation gives one\n")
    assert shown.err.startswith("align: mknn: no exact chance level for 1 of 1 pairs")


def test_a_dominant_sample_is_named(files, monkeypatch, capsys):
    text = features.read(files / "text.npz")
    text["text 0"][7] *= 1000
    np.savez("spoiled.npz", **text)
    run(monkeypatch, "spoiled.npz", "--measures", "cka")
    assert "align: sample 7 holds 99.6% of the variance of spoiled.npz: text 0" in capsys.readouterr().err


def independent(seed: int, layers: int = 12) -> pd.DataFrame:
    """Exact chance levels of pairs of layers that have nothing in common."""
    rng = np.random.default_rng(seed)
    names = [f"{side}{i}" for side in "xy" for i in range(layers)]
    made = {name: np.repeat(rng.standard_normal((60, 1)) ** 3, 2, 1) for name in names}
    pairs = [(x, y) for x in names[:layers] for y in names[layers:]]
    return alignment_grid(made, ["unbiased_cka"], pairs=pairs, null="exact")


def test_the_best_of_many_pairs_is_not_called_aligned_by_the_p_of_one_pair():
    alone, best = [], []
    for seed in range(20):
        said = features.in_words(independent(seed))
        one, of_all = re.search(
            r"p ([\d.e-]+)\); p of a maximum over these 144 pairs at most ([\d.e-]+)$", said
        ).groups()
        alone.append(float(one) <= 0.05)
        best.append(float(of_all) <= 0.05)
    assert np.mean(alone) > 0.3, "here a single pair's p would mislead"
    assert not any(best)


def test_a_table_is_written_whole_or_not_at_all(files, monkeypatch):
    """What stood there stays where writing fails."""
    table = features.align(files / "text.npz", None, ["cka"])
    for name in ("table.csv", "table.parquet"):
        features.write(table, files / name)
        kept = (files / name).read_bytes()
        with pytest.raises((TypeError, ValueError, AttributeError)):
            features.write(table.assign(value=[Unwritable()] * len(table)), files / name)
        assert (files / name).read_bytes() == kept
    features.heat_map(table, files / "map.png", "caption")
    kept = (files / "map.png").read_bytes()
    monkeypatch.setattr(Figure, "savefig", fail_halfway)
    with pytest.raises(OSError, match="disk full"):
        features.heat_map(table, files / "map.png", "caption")
    assert (files / "map.png").read_bytes() == kept and not list(files.glob("*.unfinished"))


def fail_halfway(figure, path, **options):
    path.write_bytes(b"half a picture")
    raise OSError("disk full")


class Unwritable:
    """A value that has no text."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def write_bad(folder):
    np.savez(folder / "objects.npz", layer=np.array([{}], dtype=object))
    np.savez(folder / "words.npz", layer=np.array([["a"]] * 300))
    np.savez(folder / "short.npz", layer=np.random.default_rng(0).standard_normal((299, 3)))
    np.savez(folder / "gap.npz", layer=np.where(np.arange(900).reshape(300, 3) == 7, np.nan, 1.0))
    np.savez(folder / "none.npz")
    np.savez(folder / "onlyids.npz", ids=np.arange(300))
    np.savez(folder / "fewids.npz", layer=np.eye(300), ids=np.arange(299))
    np.savez(folder / "ids.npz", layer=np.eye(300), ids=np.arange(300))
    np.savez(folder / "otherids.npz", layer=np.eye(300), ids=np.arange(1, 301))
    (folder / "folder.csv").mkdir()
    (folder / "cut.npz").write_bytes((folder / "text.npz").read_bytes()[:500])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("text.npz missing.npz", "missing.npz: there is no such file"),
        ("text.npz cut.npz", "cut.npz: not an .npz file"),
        ("text.npz objects.npz", "objects.npz: array 'layer' cannot be read"),
        ("text.npz words.npz", "words.npz: array 'layer' holds <U1"),
        ("text.npz none.npz", "none.npz: holds no arrays"),
        ("text.npz onlyids.npz", "onlyids.npz: holds no arrays of features"),
        ("text.npz fewids.npz", "ids of fewids.npz: layer has 299 entries: it has n=300"),
        ("ids.npz otherids.npz", "row 0 is 0 in ids.npz: layer but 1 in otherids.npz: layer"),
        ("text.npz ids.npz --align", "align=True: text.npz: text 0 has no ids"),
        ("text.npz vision.npz --measures cka mknn cka", "measures names 'cka' 2 times"),
        ("short.npz", "short.npz: holds one array"),
        ("text.npz short.npz", "short.npz: layer has n=299"),
        ("text.npz gap.npz", "gap.npz: layer holds nan at row 2, column 1"),
        ("text.npz vision.npz --measures ckaa", "unknown measure 'ckaa'"),
        ("text.npz vision.npz --k 300", "k=300"),
        ("text.npz vision.npz --measures svcca --null exact", "svcca has no closed form"),
        ("text.npz vision.npz --out table.xls", "table.xls: the name must end in .csv or .parquet"),
        ("text.npz vision.npz --figure map", "map: the name must end in .png"),
        ("text.npz vision.npz --out .csv", ".csv: the name must end in"),
        ("text.npz vision.npz --out folder.csv", "folder.csv: is a folder"),
        ("text.npz vision.npz --device nowhere", "device='nowhere'"),
    ],
)
def test_what_cannot_be_done_is_named_in_one_line(files, monkeypatch, arguments, named):
    write_bad(files)
    before = set(files.iterdir())
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments.split())
    assert named in str(stopped.value) and str(stopped.value).startswith("align: ")
    assert "\n" not in str(stopped.value)
    assert set(files.iterdir()) == before


def test_the_book_s_example_of_a_model_runs():
    text = re.search(r"```python\n(>>>.*?)```", PAGE, re.DOTALL)[1]
    examples = doctest.DocTestParser().get_doctest(text, {}, "features.md", None, 0)
    said = []
    assert doctest.DocTestRunner(verbose=False).run(examples, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("ending", [".npy", ".pt", ".safetensors", ".parquet"])
def test_layers_of_other_kinds_of_files(tmp_path, ending):
    x = np.random.default_rng(0).standard_normal((12, 2, 3))
    path, ids = tmp_path / f"model{ending}", np.arange(12)
    match ending:
        case ".npy":
            np.save(path, x)
        case ".pt":
            layers = {name: torch.from_numpy(x[:, i]) for i, name in enumerate("ab")}
            torch.save(layers | {"ids": torch.arange(12)}, path)
        case ".safetensors":
            safetensors.numpy.save_file({"a": x[:, 0].copy(), "b": x[:, 1].copy(), "ids": ids}, path)
        case ".parquet":
            columns = {f"{layer}.{j}": x[:, i, j] for i, layer in enumerate("ab") for j in range(3)}
            pd.DataFrame(columns).assign(ids=[f"s{i}" for i in ids]).to_parquet(path)
    found = features.align(path, None, ["cka"])
    assert found.value[0] == pytest.approx(alignment_grid(x, ["cka"]).value[0])
    assert ("ids" in features.read(path)) == (ending != ".npy")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"a": pytest.approx(1)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt: it holds other things than tensors"):
        features.read(tmp_path / "model.pt")
