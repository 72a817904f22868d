"""The datasets whose published layouts the library reads."""

from vilbert_lib.data.formats import conceptual_captions, easy_vqa, hateful_memes, mm_imdb, upmc_food, vqa
from vilbert_lib.data.formats.records import Task

TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK
    for module in (hateful_memes, mm_imdb, upmc_food, easy_vqa, vqa, conceptual_captions)
}
