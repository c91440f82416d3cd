"""Stage ``train_posegen``: head pose from speech, learnt from the pose tracks of the features."""

from operator import itemgetter

from pipelines.layout import Layout
from pipelines.training import training_stage
from space_data.params import Params
from space_data.schema import FeatureClip, FeatureFrame
from space_data.speech import MEL_BANDS, mean_normalise
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_models import posegen
from space_models.dataset import hash_of, spread
from space_models.posegen import PoseClip, PoseGen, PoseGenConfig, PoseTask

STAGE, MODEL = "train_posegen", "posegen"


def read_pose_clips(layout: Layout) -> dict[str, list[PoseClip]]:
    """Pose and sound of the filmed clips, by split (speech-only utterances have no pose of their own)."""
    filmed = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip) if row.kind == "video"}
    by_split: dict[str, list[PoseClip]] = {"train": [], "val": [], "test": []}
    columns = ["clip_id", "pose", "log_mel"]
    for clip_id, rows in sorted(by_clip(read_arrow(layout.feature_frames, FeatureFrame, columns)), key=itemgetter(0)):
        if clip_id in filmed and len(rows) >= 3 * posegen.FRAMES_PER_KEY:
            sound = mean_normalise(vectors(rows, "log_mel").reshape(-1, MEL_BANDS)).reshape(len(rows), -1)
            row = filmed[clip_id]
            by_split[row.split].append(posegen.pose_clip(row.subject, vectors(rows, "pose"), sound))
    return by_split


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Train on the training identities; figures on the test identities (on validation ones where there are none)."""
    settings = params.posegen
    with training_stage(STAGE, MODEL, settings, params, layout, overfit_one_clip) as stage:
        clips = read_pose_clips(layout)
        learnt = stage.learnt(clips["train"], "filmed clip")
        held_out = stage.held_out({split: clips[split] for split in ("test", "val")})
        config = PoseGenConfig(settings.hidden, *posegen.units_of(learnt))
        model = PoseGen(config)
        watched = spread(clips["val"], stage.training.validation_clips)
        task = PoseTask(learnt, watched, settings.batch, settings.keys)
        if not stage.train(model, task, hash_of(learnt, watched)):
            return
        metrics = posegen.evaluate(model, held_out, settings.seed) if held_out else {}
        stage.write(model, vars(config), metrics, f"{len(learnt)} filmed clips")
        stage.clock.clips = sum(map(len, clips.values()))
        stage.clock.notes = {name: f"{value:.3f}" for name, value in metrics.items()}
