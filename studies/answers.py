"""The book's first page: its questions, each with the findings of the studies that answer it.

    python -m studies.answers

writes ``book/_answers.md`` from the pages of results.
"""

import re
from pathlib import Path

import nbformat

from vilbert_lib import pages, paths

#: Questions of the book; of each the findings that answer it, by page and beginning of their own question.
QUESTIONS = {
    "What do co-attention blocks do to alignment?": [
        ("04_correlation", "H3: does unbiased_cka rise over a co-attention block after training?"),
        ("04_correlation", "H3: does unbiased_cka rise over a co-attention block before training?"),
        ("04_correlation", "H3: does unbiased_cka rise over a co-attention block by training?"),
        ("04_correlation", "H3: does mknn rise over a co-attention block before training?"),
        ("04_correlation", "H3: does mknn rise over a co-attention block by training?"),
    ],
    "Do co-attention blocks raise accuracy?": [
        ("04_correlation", "synergy: do blocks raise mean validation accuracy?"),
        ("structure", "synergy: do blocks raise test accuracy over streams"),
        ("structure", "unique: do blocks raise test accuracy over streams"),
        ("01_finetuning", "hateful_memes: does baseline change test accuracy"),
    ],
    "Does alignment predict accuracy, over placements and tasks?": [
        ("04_correlation", "synergy: do unbiased_cka and mean_val_accuracy go together once the blocks' places"),
        ("04_correlation", "synergy, across placements: do unbiased_cka and mean_val_accuracy go together?"),
        (
            "04_correlation",
            "synergy, between seeds of a placement: do unbiased_cka and mean_val_accuracy",
        ),
    ],
    "Does that depend on the task?": [
        ("structure", "synergy: do better seeds of one placement have the larger"),
        ("structure", "unique: do better seeds of one placement have the larger"),
    ],
    "Which placement is best?": [
        ("04_correlation", "synergy: do placements differ in mean validation accuracy by more than seeds do?"),
        ("04_correlation", "synergy: what is a block more worth?"),
        ("04_correlation", "synergy: what is blocks a layer later in the image stream worth?"),
        ("structure", "H1: is early_fusion less late_fusion another one for synergy"),
        ("structure", "synergy: do early_fusion and late_fusion learn"),
        ("structure", "unique: do early_fusion and late_fusion learn"),
        ("06_placement_search", "synergy, replayed: does TPE choose a better placement"),
    ],
    "Does accuracy change when alignment is pushed?": [
        (
            "08_alignment_objective",
            f"{task}: does test accuracy change with unbiased_cka when the term moves both?",
        )
        for task in ("hateful_memes", "dishes, redundant", "dishes, unique", "dishes, synergy")
    ],
}
#: The same of the thesis' own models, which were trained on the real datasets.
OF_THE_THESIS = {
    "Does alignment go with accuracy in the thesis' models?": [
        ("05_thesis_log", "alignment goes up with accuracy and up with the loss"),
        ("05_thesis_log", "six measures"),
    ],
    "Does the best placement depend on the task there?": [
        ("05_thesis_log", "H1, accuracy: some tasks benefit more from one placement than others"),
    ],
}


def table(questions: dict[str, list[tuple[str, str]]], book: Path) -> str:
    """Questions and their findings in the pages of ``book`` as a Markdown table with a link to each page.

    Raises
    ------
    ValueError
        Where a page has no such finding, or several.
    """
    lines = ["| question | findings | n | p | verdict |", "|---|---|---|---|---|"]
    for question, wanted in questions.items():
        for page, beginning in wanted:
            _, sentence, n, p, verdict = re.split(
                r"(?<!\\) \| ", _finding(book / "results" / f"{page}.ipynb", beginning)[2:-2]
            )
            lines.append(f"| {question} | {sentence} [Page](results/{page}.ipynb) | {n} | {p} | {verdict} |")
            question = ""
    return "\n".join(lines)


def _finding(page: Path, beginning: str) -> str:
    found = pages.finding_rows(nbformat.read(page, as_version=4))
    rows = [row for row in found if row.startswith(f"| {pages.escape_markdown(beginning)}")]
    if len(rows) != 1:
        raise ValueError(
            f"results/{page.name} has {len(rows)} findings that begin with {beginning!r}: 1 is needed"
        )
    return rows[0]


def text(book: Path) -> str:
    """What ``_answers.md`` of the folder ``book`` holds."""
    return f"""### On synthetic data, small models

{table(QUESTIONS, book)}

### On real data: what the thesis logged

{table(OF_THE_THESIS, book)}
"""


if __name__ == "__main__":
    (paths.book() / "_answers.md").write_text(text(paths.book()), encoding="utf-8")
