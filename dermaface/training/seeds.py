"""Training once more with another seed: how much of a result is luck."""

from dermaface.model import backbones, build
from dermaface.photos import images
from dermaface.quiet_tensorflow import keras
from dermaface.runs import Run
from dermaface.training import datasets, devices, features, stages
import pandas as pd


def train_again(run: Run, seed: int) -> keras.Model:
    """Train a run's model once more as notebook 03 did, with other random choices.

    The head starts from other weights, dropout is another, and the photos come in another order.
    The augmented views stay those of the run, so that its kept features serve again; what is no
    longer kept is computed anew.

    Args:
        run: with `images.csv`, `model_untrained.keras` and the parameters of notebook 03.
        seed: of the random choices.

    Returns:
        The whole model with the best weights, in full precision. No temperature is in it.
    """
    given = run.parameters("03_train_model")
    keras.utils.set_random_seed(seed)
    model = devices.load_model(
        run.path("model_untrained.keras"),
        *(given[name] for name in ("mixed_precision", "mirrored", "steps_per_execution")),
    )
    _, head = build.split_model(model)
    head.set_weights(keras.models.clone_model(head).get_weights())
    return _train(model, run, seed)


def _train(model: keras.Model, run: Run, seed: int) -> keras.Model:
    """Train a model through all stages of notebook 03, and return it in full precision."""
    given = run.parameters("03_train_model")
    backbone = backbones.get_backbone(run.parameters("02_build_model")["backbone"])
    order = datasets.Order(given["batch_size"], shuffle=True, seed=seed, views_seed=given["seed"])
    balance = None
    if given["use_class_weights"]:
        balance = datasets.class_weights(images.read_images(run, "train"), run.class_names)
    history = pd.DataFrame(columns=stages.HISTORY_COLUMNS)
    for stage, prefix, start, views in (
        ("head", "", "head", given["head_views"]),
        (
            *("fine_tune", "fine_tune_"),
            given["fine_tune_from"] or backbone.fine_tune_from,
            given["fine_tune_views"],
        ),
        ("full", "full_", model.layers[1].name, given["fine_tune_views"]),
    ):
        epochs, rate = given[f"{prefix}epochs"], given[f"{prefix}learning_rate"]
        if not epochs:
            continue
        frozen, rest = build.split_model(model, start)
        data = features.keep_features(
            run, frozen, order, views=views, augment=features.chosen_augmentation(run),
            cache_gb=given["cache_gb"],
        )  # fmt: skip
        callbacks = stages.make_callbacks(
            given[f"{prefix}schedule"], rate, epochs, given["early_stopping_patience"]
        )
        checkpoint = stages.Checkpoint(stage, epochs, callbacks)
        rest.compile(
            stages.make_optimizer(given["optimizer"], rate, given["weight_decay"]),
            keras.losses.CategoricalCrossentropy(label_smoothing=given["label_smoothing"]),
            metrics=["accuracy"],
            steps_per_execution=given["steps_per_execution"],
        )
        stages.fit_stage(rest, data, checkpoint, shuffle=False, class_weight=balance, verbose=0)
        history = stages.keep_if_better(rest, checkpoint, history)
    devices.set_precision(model, "float32")
    return model
