"""The command ``papermill``."""

from vilbert_lib import paths


def main() -> None:
    """Run a notebook: in a clone of the project as its studies are run, elsewhere as papermill itself does."""
    if paths.notebooks().is_dir():
        from vilbert_lib.notebooks import papermill
    else:
        from papermill.cli import papermill
    papermill()
