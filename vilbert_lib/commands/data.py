"""``data check``: say what the datasets below a data root hold, and what is wrong with them."""

import argparse
import sys
from pathlib import Path

ALL_LABELS = 30  # classes that are listed one by one; of more only the ends
ENDS = 3


def add_to(commands) -> None:
    """Add the command ``data``, and below it ``data check``, to the parsers of ``commands``."""
    data = commands.add_parser("data", help="look after the datasets on disk")
    parser = data.add_subparsers(dest="data_command", required=True).add_parser(
        "check",
        help="read the datasets of a root whole and report on them",
        description="Reads every list and every image. Ends with status 1 where something is wrong.",
    )
    parser.add_argument("root", type=Path, help="the folder that holds the datasets")
    parser.add_argument("--task", metavar="NAME", help="one dataset only, such as hateful_memes")
    parser.add_argument("--show", type=int, default=20, metavar="N", help="name N problems of a kind (20)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="count the texts that N wordpieces cut")
    parser.add_argument(
        "--text-weights", default="", metavar="NAME", help="the weights whose wordpieces these are"
    )
    parser.set_defaults(run=check_root)


def check_root(arguments: argparse.Namespace) -> int:
    """Check the named dataset, or all; returns 1 where something is wrong."""
    from vilbert_lib import synthetic
    from vilbert_lib.data import check, formats
    from vilbert_lib.runs.inputs import tokenizer_of

    root, show = arguments.root, arguments.show
    if not root.is_dir():
        raise FileNotFoundError(f"data root {root} does not exist")
    if show < 0:
        raise ValueError(f"--show {show} must not be negative")
    names = formats.names_in(root)
    if arguments.task:
        formats.task(arguments.task, root).folder(root)
        names = [arguments.task]
    if not names:
        raise FileNotFoundError(
            f"data root {root} holds none of {', '.join(sorted(formats.TASKS))}, and no folder with a task.json"
        )
    say(f"{root}: {synthetic.describe(root)}")
    wrong, words = [], None
    if arguments.max_tokens:
        words = tokenizer_of(arguments.text_weights, root, "skip")
    for name in names:
        try:
            findings = check.check(formats.task(name, root), root, words, arguments.max_tokens)
        except (ValueError, OSError) as error:
            say(f"\n{name}\n  cannot be read: {error}")
            wrong.append(name)
            continue
        say(f"\n{name} ({findings.task.kind})\n{report(findings, root, show)}")
        if findings.faults:
            wrong.append(name)
    say(f"\n{'wrong: ' + ', '.join(wrong) if wrong else 'nothing is wrong'}")
    return 1 if wrong else 0


def say(text: str) -> None:
    """Print ``text``; what the terminal cannot show, such as a name that is not UTF-8, is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def report(findings, root: Path, show: int) -> str:
    """Findings in words: a table with a column a split, then a line or list for all that stands out."""
    from vilbert_lib import synthetic

    lines = [table(findings).to_string(index_names=False)]
    for row in findings.left_out.itertuples():
        lines.append(f"left out of {row.split}, {row.cause}: {row.rows}")
    for row in findings.duplicates[findings.duplicates.documented].itertuples():
        lines.append(f"same {row.what} in {row.split} and {row.other}: {row.count}, as the dataset is published")
    if findings.unused:
        lines.append(f"images that no sample uses: {len(findings.unused)}, such as {findings.unused[0].name}")
    drawn = synthetic.drawn_with(root, findings.task.name)  # which has sizes of its own
    lines += [f"note: {note}" for note in [*findings.notes, *([] if drawn else findings.other_sizes)]]
    lines += [f"WRONG: {fault}" for fault in findings.faults]
    causes = list(dict.fromkeys(problem.cause for problem in findings.problems))
    for cause in causes:
        problems = [problem for problem in findings.problems if problem.cause == cause]
        lines += [f"  {str(problem).replace(f'{root}/', '')}" for problem in problems[:show]]
        if len(problems) > show:
            lines.append(f"  {cause}: and {len(problems) - show} more")
    return "\n".join("  " + line for text in lines for line in text.splitlines())


def table(findings):
    """Sizes, lengths of texts and balance as one frame of words: a row a quantity, a column a split."""
    import pandas as pd

    sizes, words = findings.sizes.set_index("split"), findings.words.set_index("split")
    rows = {
        "samples": sizes.samples,
        "images": sizes.images,
        "without label": sizes.unlabelled,
        "repeated in the split": sizes.repeated,
        "words, median": words["median"],
        "words, 95 %": words.p95,
        "words, longest": words.longest,
    }
    if findings.task.kind == "captions":
        del rows["without label"]
    frame = pd.DataFrame(rows).T.map(lambda number: "-" if pd.isna(number) else f"{number:.1f}".removesuffix(".0"))
    if words.cut.notna().any():
        frame.loc["texts that are cut"] = [f"{share:.1%}" for share in words.cut]
    return pd.concat([frame, balance(findings.balance, list(frame.columns))])


def balance(frame, splits: list[str]):
    """Counts and shares of the labels; of many classes only the most and the least frequent of the first split."""
    import pandas as pd

    if frame.empty:
        return pd.DataFrame(columns=splits)
    words = frame["count"].astype(str) + frame.share.map(lambda share: f" ({share:.1%})", na_action="ignore")
    wide = frame.assign(words=words).pivot(index="label", columns="split", values="words")[splits].fillna("-")
    order = frame[frame.split == splits[0]].sort_values(["count", "label"], ascending=[False, True]).label
    if len(order) <= ALL_LABELS:
        return wide.loc[list(frame.label.unique())].rename(index=lambda label: f"label: {label}")
    return wide.loc[[*order[:ENDS], *order[-ENDS:]]].rename(index=lambda label: f"label, of {len(order)}: {label}")
