"""Profiles: the scales at which the whole study can be run."""

from dataclasses import dataclass

from vilbert_lib.config.fields import choose
from vilbert_lib.config.model import ModelConfig
from vilbert_lib.config.run import AlignmentConfig, RunConfig
from vilbert_lib.config.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A scale at which the whole study can be run."""

    name: str
    model: ModelConfig
    pretrain: TrainConfig
    finetune: TrainConfig
    alignment: AlignmentConfig
    synthetic_samples: int = 0  # training samples a task of the synthetic root; 0: real data only

    def trained(self, config: RunConfig) -> bool:
        """Whether a run was configured at this scale: each profile evaluates another number of samples."""
        own = self.pretrain if config.objectives else self.finetune
        return (config.train.n_eval, config.model.width) == (own.n_eval, self.model.width)


#: Names of all measures of :mod:`vilbert_lib.metrics`.
EVERY_MEASURE = (
    "cka", "cka_rbf", "unbiased_cka", "svcca", "cca", "mknn", "cknna", "cycle_knn", "lcs_knn", "edit_knn",
    "jaccard", "rank", "procrustes", "procrustes_distance", "rsa", "r2", "r2_ols", "cosine", "max_sim_tp",
    "max_sim_pt", "wasserstein",
)  # fmt: skip

# The archived runs on the synthetic roots of ``quick`` and ``small`` were selected by accuracy. A constant answer
# cannot win there: no class has more than two thirds of the samples, and the labels can be learned. On any other
# data ``runs.configure`` takes the default of ``select``.
PROFILES: dict[str, Profile] = {
    "quick": Profile(
        name="quick",
        model=ModelConfig(heads=2, coattention_heads=2, dropout=0.0),
        pretrain=TrainConfig(epochs=12, lr=5e-4, augment=True, n_eval=400),
        finetune=TrainConfig(epochs=8, lr=5e-4, select="accuracy"),
        alignment=AlignmentConfig(),
        synthetic_samples=1600,
    ),
    "small": Profile(
        name="small",
        model=ModelConfig(heads=2, coattention_heads=2, dropout=0.0),
        pretrain=TrainConfig(epochs=8, lr=5e-4, augment=True, n_eval=500),
        finetune=TrainConfig(epochs=8, lr=5e-4, n_eval=500, select="accuracy"),
        alignment=AlignmentConfig(measures=EVERY_MEASURE),
        synthetic_samples=2000,
    ),
    "base": Profile(
        name="base",
        model=ModelConfig(
            width=768,
            heads=12,
            image_size=224,
            patch_size=16,
            max_tokens=40,
            coattention_width=768,
            coattention_heads=12,
            pooled_width=768,
            text_weights="bert-base-uncased",
            vision_weights="vit_base_patch16_224",
        ),
        pretrain=TrainConfig(epochs=10, batch_size=64, accumulation=8, lr=1e-4, precision="bf16", augment=True),
        finetune=TrainConfig(epochs=9, batch_size=32, lr=3e-5, precision="bf16"),
        alignment=AlignmentConfig(n_samples=512),
    ),
}


def profile(name: str) -> Profile:
    """The profile called ``name``; a ValueError lists the known ones."""
    return choose("profile", name, PROFILES)
