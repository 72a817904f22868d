"""The example in the chapter on data of one's own does what the chapter says."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

from vilbert_lib.paths import REPOSITORY

CHAPTER = REPOSITORY / "book" / "howto" / "own_data.md"


def blocks() -> list[tuple[str, str, str]]:
    """Language, caption and content of every fenced block, in order."""
    text = CHAPTER.read_text(encoding="utf-8")
    fence = r"^```(?:\{code-block\} )?(\w+)\n(?::caption: (\S+)\n)?(.*?)^```$"
    return re.findall(fence, text, re.DOTALL | re.MULTILINE)


def test_the_example_of_the_chapter_runs_as_it_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, ran = {}, []
    for language, caption, content in blocks():
        if caption:
            Path(caption).write_text(content)
        elif language == "text":
            assert Path("my_data/colours/all.csv").read_text().startswith(content)
        elif content.startswith(">>>"):
            example = doctest.DocTestParser().get_doctest(content, names, "chapter", str(CHAPTER), 0)
            assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
            names.update(example.globs)
        elif language == "python":
            exec(compile(content, str(CHAPTER), "exec"), names)
        elif content.startswith("python -m"):
            command = [sys.executable, *content.split()[1:]]
            done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=False)
            assert done.returncode == 0
        else:
            assert content.startswith("papermill notebooks/01_finetuning.ipynb -p tasks colours")
        ran.append(caption or language)
    assert ran == ["python", "text", "my_data/colours/task.json", "bash", "python", "bash", "python"]
