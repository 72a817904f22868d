"""Weights of another program become a run that is measured like any other."""

import os
import pickle
import re

import pytest
import torch
import yaml
from safetensors.torch import save_file

from vilbert_lib import paths, runs
from vilbert_lib.__main__ import main
from vilbert_lib.runs.importing import import_weights, read_map, read_state_dict

ORIGINAL = paths.REPOSITORY / "book" / "howto" / "vilbert_names.yaml"
SMALL = {"n_samples": 12, "k": 3}


@pytest.fixture
def config(store, tiny_root, tiny_profile):
    return runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", train={"epochs": 1})


@pytest.fixture
def trained(config, tiny_root):
    [run] = runs.ensure([config], tiny_root)
    return run


def names_of_the_original(name: str) -> str:
    """What the original ViLBERT calls a tensor: the inverse of the documented map."""
    for pattern, replacement in yaml.safe_load(ORIGINAL.read_text())["rename"]:
        groups = iter(re.findall(r"\([^)]*\)", pattern))
        expression = re.sub(r"\\\\\d", lambda _, g=groups: next(g), re.escape(replacement))
        if found := re.match(expression, name):
            values = iter(found.groups())
            plain = re.sub(r"\([^)]*\)", lambda _, v=values: next(v), pattern)
            return re.sub(expression, re.sub(r"\\\.", ".", plain), name, count=1)
    return name


def test_imported_weights_have_the_scores_and_alignment_of_their_run(trained, config, tiny_root, tmp_path):
    weights = {f"module.{name}": value for name, value in trained.model(tiny_root).state_dict().items()}
    torch.save({"epoch": 3, "model_state_dict": weights}, tmp_path / "mine.pt")
    run = import_weights(tmp_path / "mine.pt", config, tiny_root)
    assert run.config.id != trained.config.id and run.config.start_from.startswith("import:")
    for name in ("test_accuracy", "test_loss", "val_accuracy"):
        assert run.summary[name] == pytest.approx(trained.summary[name])
    ours, theirs = (r.alignment(("cka",), data_root=tiny_root, **SMALL).value for r in (run, trained))
    assert (ours == theirs).all()
    assert import_weights(tmp_path / "mine.pt", config, tiny_root).config == run.config
    with pytest.raises(ValueError, match="what its model was before training is not known"):
        run.alignment(("cka",), data_root=tiny_root, epoch="untrained", **SMALL)


def test_the_names_of_the_original_vilbert_are_mapped(trained, config, tiny_root, tmp_path, capsys):
    weights = trained.model(tiny_root).state_dict()
    theirs = {names_of_the_original(name): value for name, value in weights.items() if ".vit." not in name}
    assert "bert.encoder.c_layer.0.biattention.query2.weight" in theirs
    theirs |= {"cls.predictions.bias": torch.zeros(3), "bert.v_embeddings.LayerNorm.weight": torch.ones(2)}
    save_file({name: value.contiguous() for name, value in theirs.items()}, tmp_path / "theirs.safetensors")
    run = import_weights(tmp_path / "theirs.safetensors", config, tiny_root, ORIGINAL)
    found = run.model(tiny_root).state_dict()
    for name in weights:
        if "coattention" in name or ".bert." in name:
            assert torch.equal(found[name], weights[name]), name


@pytest.mark.parametrize(
    ("change", "rules", "message"),
    [
        (lambda w: w.pop("head.bias"), {}, "head.bias is missing"),
        (lambda w: w.update(extra=torch.zeros(2)), {}, r"extra is not known.*--map names a file"),
        (lambda w: w.update({"head.bias": torch.zeros(5)}), {}, r"head.bias has shape \(5,\) instead of \(2,\)\."),
        (lambda w: w.update({"two.bias": torch.zeros(2)}), {"rename": [["two", "head"]]}, "is a second head.bias"),
        (
            lambda w: w.update({"head.bias": torch.full((2,), torch.nan)}),
            {},
            "head.bias holds torch.float32 that are",
        ),
        (lambda w: w.update({"head.bias": torch.ones(2, dtype=int)}), {}, "head.bias holds torch.int64 that are"),
        (lambda w: None, {"rename": [["head", r"\3"]]}, "rename 'head': .* cannot be used: invalid group"),
        (lambda w: None, {"names": []}, r"map\.yaml: the map holds 'names'; known: rename, ignore, keep"),
    ],
)
def test_what_does_not_fit_is_listed(config, tiny_root, tmp_path, change, rules, message):
    weights = runs.build_model(config, tiny_root).state_dict()
    change(weights)
    torch.save(weights, tmp_path / "mine.pt")
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(rules))
    with pytest.raises(ValueError, match=message):
        import_weights(tmp_path / "mine.pt", config, tiny_root, tmp_path / "map.yaml")
    assert not (tmp_path / "runs" / "hateful_memes").exists()


def test_files_that_are_no_weights_are_named(tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "no.safetensors").write_bytes(b"no weights")
    torch.save({}, tmp_path / "nothing.pt")
    torch.save({1: torch.zeros(2)}, tmp_path / "numbers.pt")
    torch.save({"epoch": 1}, tmp_path / "none.pt")
    torch.save({"state_dict": pytest.approx(1)}, tmp_path / "code.pt")
    for name, message in (
        ("missing.pt", "there is no such file"),
        ("broken.pt", "cannot be read as weights: "),
        ("empty.pt", "cannot be read as weights: torch.save did not write it"),
        ("no.safetensors", "cannot be read as weights: .*header"),
        ("nothing.pt", "holds no tensors"),
        ("numbers.pt", "holds a tensor under 1: names are needed"),
        ("none.pt", "holds epoch: none of state_dict, model_state_dict, model"),
        ("code.pt", "cannot be read as weights: not a checkpoint of tensors"),
    ):
        with pytest.raises(ValueError, match=rf"{name}:? {message}"):
            read_state_dict(tmp_path / name)


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    torch.save({"state_dict": Code(tmp_path / "ran")}, tmp_path / "code.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Code(tmp_path / "ran"), protocol=2))
    for name in ("code.pt", "plain.pt"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as weights: not a checkpoint of tensors"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"rename: [a: b\n", "not readable as YAML"),
        (b"- a", "holds a list: lists under rename, ignore, keep"),
        (b"rename: [['caf\xe9', b]]", "not UTF-8"),
        (b"rename: [['(', x]]", r"rename '\(' is no regular expression"),
        (b"keep: ['[']", r"keep '\[' is no regular expression"),
        (b"rename: [[a, b, c]]", r"rename holds \['a', 'b', 'c'\]: a pair \[pattern, replacement\]"),
        (b"rename: {a: b}", r"rename \{'a': 'b'\} is no list"),
        (b"ignore: head", "ignore 'head' is no list"),
        (b"ignore: [1]", "ignore holds 1: a pattern is needed"),
    ],
)
def test_a_map_with_a_mistake_is_named(tmp_path, text, message):
    (tmp_path / "map.yaml").write_bytes(text)
    with pytest.raises(ValueError, match=rf"map\.yaml:? {message}"):
        read_map(tmp_path / "map.yaml")


def test_a_missing_file_is_named_by_the_command(tiny_root, tmp_path, monkeypatch):
    asked = ["import", tmp_path / "no.pt", "--task", "hateful_memes", "--architecture", "middle_fusion"]
    asked += ["--profile", "quick", "--data-root", tiny_root]
    monkeypatch.setattr("sys.argv", ["vilbert_lib", *map(str, asked)])
    with pytest.raises(SystemExit, match=r"import: .*no\.pt: there is no such file"):
        main()


def test_runs_are_listed_and_found_by_patterns(trained, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vilbert_lib", "runs", "hateful_memes/middle*"])
    main()
    said = capsys.readouterr().out
    assert trained.config.id in said and "here" in said
    assert next(iter(runs.matching([trained.config.id, "*/middle*"]))).config.id == trained.config.id
    with pytest.raises(ValueError, match="no finished run matches 'hateful_memes/x'"):
        runs.matching(["hateful_memes/x"])
