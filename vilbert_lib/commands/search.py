"""``search`` works on a search over placements and hyper-parameters, alone or as one of many."""

import argparse

from vilbert_lib.config import PROFILES


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "search",
        help="search over placements and hyper-parameters; many may work on one search",
        description="Begin a search or go on with it, until so many trials are settled; then say what was best."
        " Every process that works on it is given the same settings.",
        epilog="On many machines, which share the folder of runs: --at-once 1 --storage postgresql+psycopg://user@host/base",
    )
    parser.add_argument("name", help="of the search, and of its file below data/studies")
    figures = "val_loss, val_accuracy, alignment or -alignment of a task, such as mm_imdb.val_loss"
    parser.add_argument("--objectives", nargs="+", required=True, metavar="TASK.FIGURE", help=figures)
    parser.add_argument("--trials", type=int, required=True, help="of the search, by all who work on it")
    parser.add_argument("--space", nargs="+", default=["placement"], help="placement, training or both")
    parser.add_argument("--sampler", default="tpe", help="tpe or random")
    parser.add_argument("--seed", type=int, default=0, help="of the proposals")
    parser.add_argument("--run-seeds", type=int, nargs="+", default=[0], help="of the runs of each trial")
    parser.add_argument(
        "--batch", type=int, default=4, help="trials proposed together: at least as many as workers"
    )
    parser.add_argument("--startup", type=int, default=10, help="trials drawn at random at the beginning")
    parser.add_argument("--prune", action="store_true", help="end trials early that do worse than the median")
    parser.add_argument("--architecture", default="middle_fusion", help="of a search without placement")
    parser.add_argument("--measure", default="unbiased_cka", help="of the objective alignment")
    parser.add_argument("--aggregate", default="mean", help="of the layers' alignment: mean, last or max")
    parser.add_argument("--profile", default="quick", choices=sorted(PROFILES))
    parser.add_argument("--data-root", default="", metavar="FOLDER", help="default: the profile's synthetic root")
    parser.add_argument(
        "--storage", default="", metavar="ADDRESS", help="of a database; default: a file of SQLite"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=0,
        help="trials that this process takes: 1 where others work beside it; default: a whole batch",
    )
    parser.add_argument("--heartbeat", type=int, default=20, help="seconds; after three without, a worker is dead")
    parser.set_defaults(run=search_on)


def search_on(arguments: argparse.Namespace) -> None:
    """Work on the search that the arguments describe, and print its best configurations."""
    from vilbert_lib import search, synthetic
    from vilbert_lib.config import profile

    for name, least in (("trials", 1), ("at_once", 0), ("heartbeat", 1)):
        if (value := getattr(arguments, name)) < least:
            raise ValueError(f"--{name.replace('_', '-')} {value} must be at least {least}")
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in vars(arguments).items()}
    plan = search.Search(**{name: given[name] for name in search.Search.__dataclass_fields__})
    scale = profile(arguments.profile)
    root = synthetic.root_of(scale, arguments.data_root)
    record = search.start(plan, scale, root, storage=arguments.storage, heartbeat=arguments.heartbeat)
    search.work(record, arguments.trials, at_once=arguments.at_once)
    print(search.ready_to_use(record).to_string(index=False))
