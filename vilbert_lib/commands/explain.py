"""``explain``: a picture of what the answer of a trained run to an image and a sentence depends on."""

import argparse
from pathlib import Path


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "explain",
        help="show what a run's answer to an image and a sentence depends on",
        description="Writes the image with the relevance of its patches, and the sentence with coloured words.",
    )
    parser.add_argument("--run", required=True, dest="run_id", metavar="ID", help="task/architecture-s0-12345678")
    parser.add_argument("--img", required=True, type=Path, metavar="FILE")
    parser.add_argument("--text", required=True)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help=".png, .pdf or .svg")
    parser.add_argument(
        "--data-root", default="", metavar="FOLDER", help="default: the run's, if the project made it"
    )
    parser.add_argument("--method", default="chefer", metavar="NAME", help="by default chefer")
    parser.add_argument(
        "--target", default="", metavar="LABEL", help="the class to explain; default: the likeliest"
    )
    parser.add_argument(
        "--train-first", action="store_true", help="train the run first where the archive keeps only its results"
    )
    parser.set_defaults(run=explain_pair)


def explain_pair(arguments: argparse.Namespace) -> None:
    """Print the probabilities of the classes, and write the picture."""
    from vilbert_lib import explain, features, runs
    from vilbert_lib.training import checkpoint

    features.writable(arguments.out, features.PICTURES)
    run = runs.open_run(arguments.run_id)
    if not run.trained and not arguments.train_first:
        raise FileNotFoundError(
            f"run {run.config.id}: the archive keeps its results, not its weights; add --train-first to train"
            f" it here, which took {run.summary['seconds'] / 60:.0f} minutes on {run.env['device']}"
        )
    root = explain.root_of(run.config, arguments.data_root)
    asked = {"method": arguments.method, "target": arguments.target}
    explain.check_question(run.config, root, arguments.img, arguments.text, **asked)  # before it is trained
    [run] = runs.ensure([run.config], root, weights=True)
    answer = explain.explain(run, root, arguments.img, arguments.text, **asked)
    for name, share in sorted(answer.shares.items(), key=lambda item: -item[1])[:5]:
        print(f"{share:6.1%}  {name}")
    picture = explain.picture(answer, run, arguments.method)
    checkpoint.write(arguments.out, lambda path: picture.savefig(path, dpi=150))
    print(f"wrote {arguments.out}")
