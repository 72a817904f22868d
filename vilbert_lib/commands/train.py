"""``train`` trains one run, by itself or by several processes together."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from vilbert_lib import paths
from vilbert_lib.config import PROFILES, ModelConfig, RunConfig, TrainConfig, choose


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "train",
        help="train one run; after `accelerate launch -m` on several GPUs",
        description="Train one run, or go on where it stopped. A study that asks for the same run finds it.",
        epilog="On two GPUs: accelerate launch --num_processes 2 -m vilbert_lib train --task ...",
    )
    parser.add_argument(
        "--planned", metavar="FILE", help="a run as `plan` describes it; nothing else is named then"
    )
    parser.add_argument(
        "--run",
        default="",
        dest="run_id",
        metavar="ID",
        help="a run of the archive, to have its weights; of the rest only --data-root is named then",
    )
    parser.add_argument(
        "--weights", action="store_true", help="train it even where the archive keeps its results, for its weights"
    )
    parser.add_argument("--task", help="such as conceptual_captions")
    parser.add_argument("--architecture", help="such as middle_fusion")
    parser.add_argument("--objectives", default="", help="of pretraining, such as mlm,ap; none: fine-tuning")
    parser.add_argument("--profile", default="quick", choices=sorted(PROFILES))
    parser.add_argument("--data-root", default="", metavar="FOLDER", help="default: the profile's synthetic root")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-from", default="", metavar="RUN", help="id of a finished pretraining run")
    parser.add_argument(
        "--train", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="such as lr=1e-4 epochs=2"
    )
    parser.add_argument(
        "--model", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="such as pooling=mean"
    )
    parser.add_argument("--checkpoint-seconds", type=float, default=300.0, help="between two checkpoints")
    parser.set_defaults(run=train, described={name: parser.get_default(name) for name in _DESCRIPTION})


#: What describes a run field by field.
_DESCRIPTION = ("task", "architecture", "objectives", "profile", "seed", "start_from", "train", "model")


def _refuse_ignored(arguments: argparse.Namespace) -> None:
    """Raise a ValueError where the run is named as a whole and something else that would describe it is given."""
    if not (arguments.planned or arguments.run_id):
        return
    given = [name for name, default in arguments.described.items() if getattr(arguments, name) != default]
    given += ["data_root"] if arguments.planned and arguments.data_root else []
    given += ["run"] if arguments.planned and arguments.run_id else []
    if given:
        whole = "planned" if arguments.planned else "run"
        raise ValueError(f"--{given[0].replace('_', '-')} has no effect beside --{whole}: leave it out")


def train(arguments: argparse.Namespace) -> None:
    """Train the run that the arguments describe and print its folder, or that only its results are here."""
    from vilbert_lib import explain, runs
    from vilbert_lib.runs.planning import read_plan
    from vilbert_lib.training import processes

    _refuse_ignored(arguments)
    processes.start()
    if arguments.run_id:
        config = runs.open_run(arguments.run_id).config
        root = explain.root_of(config, arguments.data_root)
    else:
        config, root = read_plan(Path(arguments.planned)) if arguments.planned else _described(arguments)
    weights = arguments.weights or bool(arguments.run_id)
    there = runs.Run(config).trained
    [run] = runs.ensure([config], root, weights=weights, checkpoint_seconds=arguments.checkpoint_seconds)
    if not processes.is_first():
        return
    if run.trained:
        print(f"{'kept, not trained: ' if there else ''}{run.folder}")
        print(scores_of(run))
    else:
        print(
            f"not trained: the results of {config.id} are kept in the archive {paths.archive()}, without its"
            f" weights. To train it for them: python -m vilbert_lib train --run {config.id}"
        )


def scores_of(run) -> str:
    """The scores on the test split in one line."""
    values = {name: value for name, value in run.summary.items() if name.startswith(("test_", "val_"))}
    shown = [f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, float)]
    return ", ".join(shown)


def _described(arguments: argparse.Namespace) -> tuple[RunConfig, Path]:
    """The run that is described field by field, and its data root."""
    from vilbert_lib import runs, synthetic
    from vilbert_lib.config import profile

    if not (arguments.task and arguments.architecture):
        raise ValueError("--task and --architecture are needed, or --planned")
    scale = profile(arguments.profile)
    root = synthetic.root_of(scale, arguments.data_root)
    config = runs.configure(
        scale,
        root,
        arguments.task,
        arguments.architecture,
        arguments.seed,
        objectives=tuple(name for name in arguments.objectives.split(",") if name),
        start_from=arguments.start_from,
        train=settings(TrainConfig, arguments.train),
        model=settings(ModelConfig, arguments.model),
    )
    return config, root


def settings(cls, pairs: list[str]) -> dict[str, Any]:
    """Fields of the configuration ``cls`` as ``name=value`` gives them; a ValueError names what is wrong."""
    kinds, values = get_type_hints(cls), {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise ValueError(f"{pair!r} is not of the form name=value")
        kind = kinds[choose(f"field of {cls.__name__}", name, [field.name for field in fields(cls)])]
        if name in values:
            raise ValueError(f"{pair!r}: {name} is given twice; give it once")
        try:
            values[name] = _READERS.get(kind, str)(text)
        except (ValueError, KeyError):
            raise ValueError(f"{pair!r}: {name} is of another type") from None
    return values


_READERS = {
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    tuple[int, ...]: lambda text: tuple(int(part) for part in text.split(",") if part),
    tuple[float, ...]: lambda text: tuple(float(part) for part in text.split(",") if part),
}
