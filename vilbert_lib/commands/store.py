"""``runs`` lists the runs that are there, ``import`` makes a run of another program's weights."""

import argparse
from pathlib import Path

from vilbert_lib.config import PROFILES


def add_to(commands) -> None:
    """Add both commands to the parsers of ``commands``."""
    listed = commands.add_parser("runs", help="list finished runs: id, score, settings, whether weights are here")
    listed.add_argument("patterns", nargs="*", default=["*"], metavar="PATTERN", help="such as 'mm_imdb/*' (all)")
    listed.set_defaults(run=list_runs)

    parser = commands.add_parser(
        "import",
        help="make a run of the weights of another program",
        description="Names are mapped by a small YAML file, see the book's chapter on the thesis' programme;"
        " shapes are checked, and the scores on the data are measured. `measure` and the studies then take the"
        " run's id.",
    )
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help=".safetensors, or .pt of torch")
    parser.add_argument("--map", type=Path, metavar="FILE.yaml", help="rename, ignore and keep")
    parser.add_argument("--task", required=True, help="such as hateful_memes")
    parser.add_argument("--architecture", required=True, help="such as middle_fusion, or t3.6-v6.8")
    parser.add_argument("--profile", default="base", choices=sorted(PROFILES))
    parser.add_argument("--data-root", default="", metavar="FOLDER", help="default: the profile's synthetic root")
    parser.add_argument("--seed", type=int, default=0, help="of what the weights leave open (0)")
    parser.add_argument("--model", nargs="+", action="extend", default=[], metavar="NAME=VALUE")
    parser.set_defaults(run=import_run)


def list_runs(arguments: argparse.Namespace) -> None:
    """Print a table of the finished runs."""
    import pandas as pd

    from vilbert_lib import runs

    rows = []
    for run in runs.matching(arguments.patterns):
        config, summary = run.config, run.summary
        scores = {name: summary[name] for name in ("test_accuracy", "test_macro_f1") if name in summary}
        rows.append(
            {
                "run": config.id,
                **scores,
                "epoch": summary["best_epoch"],
                "lr": config.train.lr,
                "fusion": config.model.fusion,
                "start": config.start_from or "-",
                "weights": "here" if run.trained else "no",
            }
        )
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format, na_rep=""))


def import_run(arguments: argparse.Namespace) -> None:
    """Import the weights and say what the run is called and how it does."""
    from vilbert_lib import runs, synthetic
    from vilbert_lib.commands.train import scores_of, settings
    from vilbert_lib.config import ModelConfig, profile
    from vilbert_lib.runs.importing import import_weights

    scale = profile(arguments.profile)
    root = synthetic.root_of(scale, arguments.data_root)
    changes = settings(ModelConfig, arguments.model)
    config = runs.configure(scale, root, arguments.task, arguments.architecture, arguments.seed, model=changes)
    run = import_weights(arguments.checkpoint, config, root, arguments.map)
    print(f"{run.config.id}: {scores_of(run)}")
