"""The page, in Gradio. What it does is in `studio`; here is what it looks like and which button does what."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.demo.form import DIRECTION, FROM_FILE, PLAIN, request_of, without_folders
from pipelines.demo.studio import EXAMPLE_TEXT, Studio, shown_by
from pipelines.spoken_text import DEFAULT_VOICE
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS
from space_models.controls.asked import MOST_GAIN, MOST_STRENGTH
from space_models.controls.blinks import BLINK_RANGE_S
from space_models.controls.gaze import CAMERA, GENERATED, MOST_DEG, PHOTO
from space_models.controls.head import STILL
from space_models.generators import DEFAULT_RENDERER, RENDERERS

logger = logging.getLogger(__name__)

TITLE = "Make a portrait speak"
NOTICE = (
    "**Please animate only people who agree to it**, and say that a video is generated when you show it. All of it is made on "
    "the machine that serves this page; uploads and results are removed when you close it."
)
OFFSET_DEG = 30.0
SIZES_PX = (256, 384, 512, 768, 1024)
VOICES = [DEFAULT_VOICE, "en-us+f3", "en-gb", "de", "fr-fr", "es", "it", "cmn"]
TIMELINE_EXAMPLE = "blinks: [{time_s: 1.2}]\ngaze: [{time_s: 0}, {time_s: 1, yaw_deg: -20}]\nface: [{time_s: 0, brow_up: 0.05}]"
CSS = "#notice {border-left: 4px solid var(--color-accent); padding: 0.5rem 0.8rem;} footer {display: none !important;}"
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
"""Its usual fonts come from elsewhere."""
UPLOADS = ("image", "audio", "driving", "from_tracks")
BUTTONS = ["download"]
"""Without the usual one that uploads to a public place."""
PLAY_BOTH = "() => document.querySelectorAll('#results video').forEach(video => { video.currentTime = 0; video.play(); })"
BAR = gr.Progress()
NO_TRACE = "our code failed on this, and what went wrong stands in the log of the server; other inputs may work"


def _as_uploaded(payload: Any) -> str | None:
    """The path of the file that was uploaded, whatever is in it."""
    return None if payload is None else payload.path


def page(studio: Studio) -> gr.Blocks:
    """The page of a studio."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {TITLE}")
        gr.Markdown(NOTICE, elem_id="notice")
        with gr.Row():
            with gr.Column():
                form = _inputs(studio) | _controls()
                go = gr.Button("Animate", variant="primary", elem_id="go")
            with gr.Column(elem_id="results"):
                status = gr.Textbox(label="Status", value="ready", interactive=False, lines=2, elem_id="status")
                with gr.Row():
                    video = gr.Video(label="Result", interactive=False, elem_id="video", buttons=BUTTONS)
                    landmarks = gr.Video(label="Landmarks", interactive=False, elem_id="landmarks", buttons=BUTTONS)
                both = gr.Button("Play both", size="sm")
                files = gr.Files(label="Download: video and tracks", interactive=False, elem_id="files")
        names, fields = list(form), list(form.values())
        for name in UPLOADS:
            form[name].preprocess = _as_uploaded  # Gradio would open pictures, and leave empty copies of other files

        def animate(request: gr.Request, *values: Any, progress: gr.Progress = BAR) -> tuple[Any, ...]:
            asked = dict(zip(names, values, strict=True))
            visitor = str(request.session_hash)

            def make() -> tuple[Any, ...]:
                with studio.folder(visitor) as folder:
                    made = studio.make(request_of(asked, folder), shown_by(progress))
                return str(made.video), str(made.landmarks), [str(made.video), str(made.tracks)], "\n".join(made.lines)

            return _in_words(make, (None, None, None), studio.root)

        go.click(
            animate, fields, [video, landmarks, files, status], trigger_mode="once", concurrency_limit=1,
            api_visibility="private", show_progress_on=[video, status],
        )  # fmt: skip
        both.click(None, js=PLAY_BOTH)

        def remember(upload: str | None, request: gr.Request) -> None:
            if upload:
                studio.remember(str(request.session_hash), Path(upload))

        for name in UPLOADS:
            form[name].change(remember, form[name], None, queue=False, show_progress="hidden", api_visibility="private")

        def leave(request: gr.Request) -> None:
            studio.leave(str(request.session_hash))

        blocks.unload(leave)
    return blocks


def _in_words(make: Callable[[], tuple[Any, ...]], nothing: tuple[Any, ...], root: Path) -> tuple[Any, ...]:
    """What ``make`` gives; or ``nothing`` and, in one line, why."""
    try:
        return make()
    except SpaceError as error:
        return *nothing, "error: " + without_folders(str(error), root)
    except Exception:
        logger.exception("a video of the page failed")
        return *nothing, f"error: {NO_TRACE}"


def _inputs(studio: Studio) -> dict[str, Any]:
    """Portrait and speech, and the ways to get them."""
    with gr.Row():
        image = gr.Image(
            label="Portrait", type="filepath", sources=["upload", "webcam", "clipboard"], elem_id="image", height=280,
            buttons=BUTTONS,
        )  # fmt: skip
        with gr.Column():
            audio = gr.Audio(
                label="Speech", type="filepath", sources=["upload", "microphone"], elem_id="audio", format=None, buttons=BUTTONS
            )
            with gr.Row():
                text = gr.Textbox(label="or text, for quick trials", value=EXAMPLE_TEXT, lines=2, scale=3, elem_id="text")
                voice = gr.Dropdown(VOICES, value=DEFAULT_VOICE, label="Voice", allow_custom_value=True, scale=1)
            with gr.Row():
                say = gr.Button("Say the text", size="sm", elem_id="say")
                example = gr.Button("Take the example", size="sm", elem_id="example")
    problem = gr.Textbox(label="Speech from text", visible=False, interactive=False)

    def spoken(words: str, name: str, request: gr.Request) -> tuple[Any, ...]:
        def make() -> tuple[Any, ...]:
            return str(studio.say(str(request.session_hash), words, name)), gr.update(visible=False)

        path, told = _in_words(make, (gr.skip(),), studio.root)
        return path, gr.update(value=told, visible=True) if isinstance(told, str) else told

    def taken(request: gr.Request) -> tuple[str, ...]:
        return tuple(map(str, studio.example(str(request.session_hash))))

    say.click(spoken, [text, voice], [audio, problem], api_visibility="private")
    example.click(taken, None, [image, audio], api_visibility="private")
    return {"image": image, "audio": audio}


def _controls() -> dict[str, Any]:
    """Every control, by the names of ``form.request_of``."""
    form: dict[str, Any] = {}
    with gr.Accordion("Expression", elem_id="expression", open=True):
        form["emotion"] = gr.Dataframe(
            [[0, "happy", 0.6], *[[None, "", None]] * 3], headers=["time (s)", "emotion", "intensity 0-1"],
            datatype=["number", "str", "number"], type="array", interactive=True, column_count=3,
            label=f"Emotions over time: {', '.join(EMOTIONS)}", elem_id="emotion",
        )  # fmt: skip
        form["portrait_emotion"] = gr.Dropdown(list(EMOTIONS), value=PLAIN["portrait_emotion"], label="What the photo shows")
    with gr.Accordion("Head", elem_id="head", open=False):
        choices = [("from the speech", PLAIN["pose"]), ("still", STILL), ("of the driving file", FROM_FILE)]
        form["pose"] = gr.Radio(choices, value=PLAIN["pose"], label="Head motion", elem_id="pose")
        form["pose_strength"] = gr.Slider(0, MOST_STRENGTH, PLAIN["pose_strength"], step=0.1, label="Strength")
        with gr.Row():
            for name, what in (("yaw", "turn, + to the image left"), ("pitch", "nod, + down"), ("roll", "lean, + clockwise")):
                form[f"pose_{name}"] = gr.Slider(-OFFSET_DEG, OFFSET_DEG, 0, step=1, label=f"{what} (degrees)")
        form["driving"] = gr.File(
            label="Driving file: a video of a person; for the head also .csv or .parquet", type="filepath", elem_id="driving"
        )
    with gr.Accordion("Eyes", elem_id="eyes", open=False):
        info = f"a rate per minute (15), off, times in seconds (1.2,3.5), or {FROM_FILE}: of the driving video; empty: usual"
        form["blinks"] = gr.Textbox(PLAIN["blinks"], label="Blinks", info=info, elem_id="blinks")
        form["blink_duration"] = gr.Slider(*BLINK_RANGE_S, PLAIN["blink_duration"], step=0.04, label="Length of a blink (s)")
        looks = [("with glances", GENERATED), ("into the camera", CAMERA), ("as in the photo", PHOTO), ("where I say", DIRECTION)]
        form["gaze"] = gr.Radio(looks, value=PLAIN["gaze"], label="Gaze", elem_id="gaze")
        with gr.Row():
            form["gaze_yaw"] = gr.Slider(-MOST_DEG, MOST_DEG, 0, step=1, label="to the image left (degrees)")
            form["gaze_pitch"] = gr.Slider(-MOST_DEG, MOST_DEG, 0, step=1, label="down (degrees)")
    with gr.Accordion("Mouth", elem_id="mouth", open=False):
        form["mouth_gain"] = gr.Slider(0, MOST_GAIN, PLAIN["mouth_gain"], step=0.1, label="How far the lips open (factor)")
        form["mouth_closure"] = gr.Slider(0, 1, PLAIN["mouth_closure"], step=0.1, label="How much nearly closed lips are closed")
    with gr.Accordion("Timeline and tracks", open=False):
        form["timeline"] = gr.Textbox(
            "", label="Timeline (YAML): emotion, blinks, lids, gaze, mouth, face, pose", lines=4, placeholder=TIMELINE_EXAMPLE
        )
        form["from_tracks"] = gr.File(label="Tracks to render again (.parquet)", type="filepath", file_types=[".parquet"])
    with gr.Row():
        form["generator"] = gr.Dropdown(list(RENDERERS), value=DEFAULT_RENDERER, label="Generator", elem_id="generator")
        form["size"] = gr.Dropdown(list(SIZES_PX), value=512, label="Size (pixels)")
        form["seed"] = gr.Number(0, precision=0, minimum=0, label="Seed")
    form["paste_back"] = gr.Checkbox(False, label="The whole photo, at its own size, with the animated face in it")
    form["watermark"] = gr.Checkbox(False, label="Write 'AI-generated' into the picture")
    return form
