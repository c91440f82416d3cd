"""Stage ``train_s2l``: Speech2Landmarks, learnt from filmed clips and from speech with exact landmark tracks."""

from pipelines.layout import Layout
from pipelines.training import training_stage
from space_data.params import Params
from space_data.schema import emotion_known
from space_models import s2l
from space_models.dataset import Features, spread
from space_models.s2l import S2L, S2LConfig, S2LTask

STAGE, MODEL = "train_s2l", "s2l"


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Train on the training identities; figures on the test identities (on validation ones where there are none)."""
    settings = params.s2l
    with training_stage(STAGE, MODEL, settings, params, layout, overfit_one_clip) as stage:
        data = Features.read(layout.feature_frames, layout.feature_clips)
        learnt = stage.learnt(data.of_split("train"), "clip")
        held_out = stage.held_out({split: data.of_split(split, "video") for split in ("test", "val")})
        known = [emotion_known(c.clip.emotion) for c in learnt]
        config = S2LConfig(
            settings.channels, settings.hidden, settings.lookahead_frames, settings.dropout, any(known), not all(known)
        )
        model = S2L(config)
        noise_db = (settings.noise_below_peak_db[0], settings.noise_below_peak_db[1])
        watched = spread(data.of_split("val", "video"), stage.training.validation_clips)
        task = S2LTask(learnt, watched, settings.batch, settings.frames, noise_db, settings.filmed_share)
        if not stage.train(model, task, data.data_hash):
            return
        metrics = s2l.evaluate(model, held_out, s2l.Means.of(learnt)) if held_out else {}
        for name in ("still", "mean", "mean_face") if metrics else ():
            metrics[f"better_than_{name}"] = 1 - metrics["lmd_mouth"] / metrics[f"lmd_mouth_{name}"]
        notes = f"{len(learnt)} clips, {sum(map(len, learnt))} frames of {params.data.raw}"
        stage.write(model, s2l.config_of(model), metrics, notes)
        stage.clock.clips = len(data.clips)
        shown = ("lmd_mouth", "better_than_still", "better_than_mean", "better_than_mean_face", "lip_gap_r")
        stage.clock.notes = {name: f"{metrics[name]:.3f}" for name in shown if name in metrics}
