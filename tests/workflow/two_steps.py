"""A study of three small runs, one of which starts from another, as its notebook and as a call in this process."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vilbert_lib import runs
from vilbert_lib.config import AlignmentConfig, ModelConfig, Profile, RunConfig, TrainConfig

EPOCHS = 12  # of the pretraining: long enough to be killed within

PARAMETERS = (
    'data_root: str = ""  # a folder\nshown: str = "test_accuracy"  # a column\nprofile: str = "quick"  # a scale'
)
ASKED = f"""\
from pathlib import Path
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import two_steps
from vilbert_lib import runs, notebooks
p = notebooks.parameters("two_steps", globals())
pretraining, *others = two_steps.configs(Path(p.data_root))
[pretrained] = runs.ensure([pretraining], Path(p.data_root), run_list=p.run_list)
print(notebooks.provenance(Path(p.data_root), "tiny", [pretrained]))"""
TUNED = """\
tuned = runs.ensure(others, Path(p.data_root), run_list=p.run_list)
print(runs.summaries(tuned)[p.shown].round(3).tolist())"""


def configs(root: Path) -> list[RunConfig]:
    """A pretraining, a fine-tuning that starts from it, and one that starts from noise."""
    train = TrainConfig(epochs=2, batch_size=8)
    tiny = Profile(
        name="tiny",
        model=ModelConfig(
            width=16, heads=2, coattention_width=16, coattention_heads=2, pooled_width=16, patch_size=32
        ),
        pretrain=TrainConfig(epochs=EPOCHS, batch_size=8),
        finetune=train,
        alignment=AlignmentConfig(measures=("cka",), n_samples=12, k=3),
    )
    first = runs.configure(tiny, root, "conceptual_captions", "middle_fusion", objectives=("mlm",))
    starts = ("", first.id)
    tuned = [runs.configure(tiny, root, "hateful_memes", "middle_fusion", start_from=start) for start in starts]
    return [first, *tuned]


def write_notebook(folder: Path, root: Path) -> None:
    """The notebook of the study in ``folder``, with ``root`` as its default."""
    folder.mkdir()
    cells = [
        new_markdown_cell("# Two steps"),
        new_code_cell(PARAMETERS.replace('""', repr(str(root))), metadata={"tags": ["parameters"]}),
        new_code_cell(ASKED),
        new_code_cell(TUNED),
    ]
    kernel = {"name": "python3", "display_name": "x"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / "two_steps.ipynb")
