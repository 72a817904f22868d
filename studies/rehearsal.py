"""The thesis' programme end to end on small weights and data in the real formats: ``make rehearse``.

    python -m studies.rehearsal [folder]

Writes checkpoints of BERT and of a vision transformer as transformers and timm save them, and datasets in their
real layouts with one broken image each. Runs :mod:`studies.thesis` on them at the profile ``base``, kills it in
the middle, and runs it again to the end. Settings are those of ``notebooks/base.yaml`` but for sizes and epochs.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml

from studies.thesis import PAGES
from vilbert_lib import paths, synthetic
from vilbert_lib.data import formats

LAYERS = 12  # of each stream, as the named architectures need
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DATASETS = ("hateful_memes", "mm_imdb", "upmc_food", "conceptual_captions")
#: What is smaller than in base.yaml: with it a programme of hours takes minutes.
PROGRAMME = {"architectures": ["baseline", "early_fusion", "late_fusion", "optuna1"], "seeds": [0, 1]}
MODEL = {"coattention_width": 32, "coattention_heads": 2, "pooled_width": 32, "max_tokens": 24}
TRAIN = {"epochs": 2, "batch_size": 8, "accumulation": 2, "lr": 1e-3, "precision": "fp32"}
ALIGNMENT = {"n_samples": 32, "k": 5}
PAGE = {"03_sample_size_k": {"sizes": [8, 16], "ks": [2, 4, 8], "k": 4, "n": 16}}


def datasets(root: Path, n_train: int = 48) -> None:
    """Datasets in the real layouts, with nothing that tells them from real ones, and one broken image in each."""
    synthetic.make_root(root, n_train=n_train, tasks=DATASETS)
    (root / "MANIFEST.json").unlink()
    for name in DATASETS:
        formats.task(name, root).splits(root)["train"][0].img.write_bytes(b"no image")


def checkpoints(
    folder: Path, root: Path, *, width: int = 32, heads: int = 2, image_size: int = 32, patch_size: int = 8
) -> dict[str, str]:
    """Untrained weights as transformers and timm save them, whose tokenizer knows the words of the datasets."""
    import timm
    from timm.models import save_for_hf
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    torch.manual_seed(0)
    texts = [r.text for name in DATASETS for r in formats.task(name, root).splits(root, "skip")["train"]]
    words = sorted(set(re.findall(r"\w+", " ".join(texts).lower())))
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join((*WORDS, *words)), encoding="utf-8")
    text, vision = folder / "bert", folder / "vit"
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(text)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": heads}
    vocabulary = len(WORDS) + len(words)
    BertForMaskedLM(BertConfig(vocab_size=vocabulary, num_hidden_layers=LAYERS, **sizes)).save_pretrained(text)
    sizes = {
        "img_size": image_size,
        "patch_size": patch_size,
        "embed_dim": width,
        "depth": LAYERS,
        "num_heads": heads,
    }
    model = timm.create_model("vit_tiny_patch16_224", **sizes)
    model.pretrained_cfg |= {"input_size": (3, image_size, image_size)}
    save_for_hf(model, vision, model_args=sizes, safe_serialization=True)
    return {"text_weights": str(text), "vision_weights": str(vision)}


def programme(weights: dict[str, str]) -> dict:
    """The content of base.yaml with smaller sizes and fewer epochs, those of single tasks as well."""
    content = yaml.safe_load((paths.REPOSITORY / "notebooks" / "base.yaml").read_text(encoding="utf-8"))
    content["programme"] |= PROGRAMME
    settings = content["settings"]
    settings["model"] |= MODEL | weights
    for name, value in settings["train"].items():
        if isinstance(value, dict):
            settings["train"][name] = value | {key: TRAIN[key] for key in value if key in TRAIN}
    settings["train"] |= TRAIN
    settings["alignment"] |= ALIGNMENT
    for name, values in PAGE.items():
        content[name] |= values
    return content


def rehearse(folder: Path) -> None:
    """Run the programme in ``folder``, with a kill in the middle; an AssertionError says what went wrong."""
    root, started = folder / "datasets", time.monotonic()
    datasets(root)
    content = programme(checkpoints(folder / "weights", root))
    file = folder / "programme.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    places = {name: folder / name.lower() for name in ("DATA", "RUNS", "BOOK", "ARCHIVE")}
    environment = os.environ | {f"VILBERT_{name}": str(place) for name, place in places.items()}
    command = [sys.executable, "-m", "studies.thesis", "--data-root", str(root), "--programme", str(file)]

    killed = subprocess.Popen(command, cwd=paths.REPOSITORY, env=environment, start_new_session=True)
    while len(finished := sorted(places["RUNS"].glob("*/*/summary.json"))) < 6:
        if killed.poll() is not None:
            raise AssertionError(f"the programme ended with status {killed.returncode} before it was killed")
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    print(f"killed after {len(finished)} runs; once more, to the end", flush=True)

    written = {path: path.stat().st_mtime_ns for path in finished}
    subprocess.run(command, cwd=paths.REPOSITORY, env=environment, check=True)
    again = [path for path, when in written.items() if path.stat().st_mtime_ns != when]
    assert not again, f"{again} were trained anew"
    shape = content["programme"]
    expected = len(shape["architectures"]) * (1 + len(shape["tasks"]) * len(shape["seeds"]))
    trained = sorted(places["RUNS"].glob("*/*/summary.json"))
    assert len(trained) >= expected, f"{len(trained)} runs instead of at least {expected}"
    made = {path.stem for path in (places["BOOK"] / "results" / "base").glob("*.ipynb")}
    assert made == set(PAGES), f"pages {sorted(made)} instead of {sorted(PAGES)}"
    for name in ("scores.csv", "scores.tex"):
        text = (places["BOOK"] / "results" / "base" / name).read_text(encoding="utf-8")
        assert "early" in text and "±" in text, f"{name} lacks an architecture or a deviation"
    minutes = (time.monotonic() - started) / 60
    print(f"rehearsed: {len(trained)} runs, {len(made)} pages, {minutes:.1f} minutes")


def main() -> None:
    """Rehearse in the folder that is named, or in a temporary one that is removed afterwards."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="rehearsal-"))
    try:
        rehearse(folder.resolve())
    finally:
        if len(sys.argv) < 2:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
