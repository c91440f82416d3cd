"""The benchmark page's section on emotions: plots, faces, tables, and in words what does not show."""

from collections.abc import Mapping, Sequence

from plotly import graph_objects as go

from evaluation.blocks import Block, Cell, Column, Figure, Figures, Media, Note, Strips, Table, Tone
from evaluation.emotion_figures import EmotionFigures, EmotionReport, Interval
from evaluation.emotion_response import ADDED, ADDED_VIDEO, LANDMARKS, MEDIA, RECORDED, VIDEO
from evaluation.fer_figures import FerReport
from evaluation.html import SERIES

TITLES = {
    LANDMARKS: "ours, landmarks", VIDEO: "ours, video", ADDED: "direction added, landmarks",
    ADDED_VIDEO: "direction added, video", RECORDED: "recordings",
}  # fmt: skip
COLOURS = {LANDMARKS: SERIES[0], VIDEO: SERIES[1], ADDED_VIDEO: SERIES[7], RECORDED: SERIES[2]}
ARTICULATION_KEPT = 0.9
"""Least closure F1 under an emotion, as a share of neutral's."""
OWN = (LANDMARKS, VIDEO)
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
ROOM_FOR_LEGEND = {"l": 52, "r": 16, "t": 56, "b": 44}


def emotion_blocks(report: EmotionReport, strips: Sequence[tuple[str, str]]) -> list[Block]:
    """All of the section."""
    short = shortcomings(report)
    verdict = Note(" ".join(short), "warn") if short else Note("Every emotion shows, rises and keeps the lips.", "good")
    blocks: list[Block] = [verdict, Note(judge_said(report))]
    blocks.append(Figures([response_figure(name, own) for name, own in report.emotions.items()]))
    if strips:
        media = [Media(address, name) for name, address in strips]
        blocks.append(Strips(media, "One person, one moment: intensity 0 and up, left to right; last neutral and the mixtures"))
    blocks.append(response_table(report))
    if report.fer:
        blocks += [fer_said(report.fer), fer_table(report.fer)]
    return [
        *blocks, articulation_table(report), confusion_table(report), measure_table(report),
        *([mixture_table(report)] if report.mixtures else []),
    ]  # fmt: skip


def judge_said(report: EmotionReport) -> str:
    """Who judges, and how strong what it sees is beside what recordings get from it."""
    said = (
        "The judge: which training people's direction of an emotion, in landmarks, a face's change from neutral is nearest to. "
        "It knows none of the people judged, but S2L learnt from the clips that it was fitted on: no outside opinion."
    )
    for medium in (*OWN, RECORDED):
        own = {name: by_medium[medium] for name, by_medium in report.emotions.items() if medium in by_medium}
        if own:
            strength = {name: list(figures.levels.values())[-1].mean for name, figures in own.items()}
            least, most = min(strength, key=lambda n: strength[n]), max(strength, key=lambda n: strength[n])
            named = sum(figures.named for figures in own.values()) / len(own)
            ends = f"{strength[least]:.2f} ({least}) to {strength[most]:.2f} ({most})"
            said += f" {TITLES[medium].capitalize()}: {named:.0%} named as told, response {ends}."
    return f"{said} A judge that names mean faces more often than recorded ones prefers averages to life."


def response_figure(name: str, by_medium: Mapping[str, EmotionFigures]) -> Figure:
    """Response over intensity, on landmarks and on video, with intervals; what recordings and the added direction reach."""
    figure = go.Figure()
    for medium in OWN:
        own = by_medium.get(medium)
        if own is None:
            continue
        x = [0.0, *map(float, own.levels)]
        shown = [Interval(0.0, 0.0, 0.0, 0), *own.levels.values()]
        error = {
            "array": [one.arms[1] for one in shown], "arrayminus": [one.arms[0] for one in shown],
            "symmetric": False,
        }  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=x, y=[one.mean for one in shown], error_y=error, name=TITLES[medium], mode="lines+markers",
                line={"color": COLOURS[medium], "width": 2},
            )
        )  # fmt: skip
    for medium, symbol in ((RECORDED, "diamond"), (ADDED_VIDEO, "x")):
        own = by_medium.get(medium)
        if own is not None:
            top = list(own.levels.values())[-1]
            error = {"array": [top.arms[1]], "arrayminus": [top.arms[0]], "symmetric": False}
            marker = {"color": COLOURS[medium], "size": 10, "symbol": symbol}
            figure.add_trace(go.Scatter(x=[1.0], y=[top.mean], error_y=error, name=TITLES[medium], mode="markers", marker=marker))
    line = {"color": "#9aa0ad", "dash": "dash", "width": 1}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, hoverinfo="skip", showlegend=False))
    figure.update_layout(
        showlegend=True, legend=LEGEND, margin=ROOM_FOR_LEGEND, xaxis_title="intensity", yaxis_title="response",
        yaxis_range=[-0.25, 1.35],
    )  # fmt: skip
    return Figure(figure, "", 300, name)


def response_table(report: EmotionReport) -> Table:
    """Strength, direction and order per emotion and medium."""
    rows: list[list[Cell | str | float | None]] = []
    for name, by_medium in report.emotions.items():
        for medium in MEDIA:
            own = by_medium.get(medium)
            if own is not None:
                top = list(own.levels.values())[-1]
                tone: Tone = "plain" if shows(own) else "warn"
                shown = Cell(top.mean, top.text, tone)
                rows.append([name, TITLES[medium], shown, own.cosine, own.named, own.monotone, own.spearman, top.people])
        rows.append([name, "still neutral face", 0.0, None, 0.0, 0.0, 0.0, None])
    columns = [
        Column("emotion"), Column("of"), Column("response at 1", "number", 2), Column("cosine", "number", 2),
        Column("named", "number", 2), Column("rises", "number", 2), Column("Spearman", "number", 2),
        Column("people", "number", 0),
    ]  # fmt: skip
    lengths = ", ".join(f"{name} {length:.3f}" for name, length in report.corpus_length.items())
    caption = (
        "Response: projection on the corpus' direction in units of its length, at full intensity, interval over people. Cosine: "
        "with that direction. Named: share whose nearest direction is the emotion told; chance is "
        f"{1 / max(len(report.corpus_length), 1):.2f}. Rises: share of people in whom every step of intensity adds. Recordings "
        "are other words than their neutral clip's and tracked, so their faces differ by more than the emotion; their response "
        f"is the slope over intensity. Lengths of the directions in IOD: {lengths}."
    )
    return Table(columns, rows, caption)


def shows(own: EmotionFigures) -> bool:
    """Whether the response at full intensity is above zero, with its whole interval (which one person does not give)."""
    top = list(own.levels.values())[-1]
    return (top.mean if top.low is None else top.low) > 0


def fer_said(report: FerReport) -> Note:
    """Whether the second judge may be listened to: what it makes of recordings."""
    said = (
        "Second judge: fer's network (FER-2013), which looks at pixels and has learnt nothing of ours; its answer is the emotion "
        "that gains most against the same person's neutral."
    )
    if report.named is None or report.most_probable is None:
        return Note(f"{said} No labelled recordings to test it on: it ranks nobody.", "warn")
    said += (
        f" Of {report.recordings} recordings of {report.named.people} people it names {report.named.text} as labelled, chance "
        f"{report.chance:.2f}; its most probable class, whatever the face at rest looks like, names {report.most_probable.text}."
    )
    if report.admitted:
        return Note(f"{said} It is heard.")
    return Note(f"{said} That is not surely above chance: it ranks nobody, and the table below shows only what it says.", "warn")


def fer_table(report: FerReport) -> Table:
    """The second judge, per emotion, medium and intensity."""
    levels = sorted({level for media in report.emotions.values() for own in media.values() for level in own.gains}, key=float)
    rows: list[list[Cell | str | float | None]] = []
    for name, by_medium in report.emotions.items():
        for medium, own in by_medium.items():
            shown = [Cell(one.mean, one.text) if (one := own.gains.get(level)) else None for level in levels]
            others = {other: share for other, share in own.taken_for.items() if other != name}
            taken = max(others, key=lambda other: others[other], default="–")
            probable = Cell(own.probability, f"{own.probability_neutral:.3f} → {own.probability:.3f}")
            people = list(own.gains.values())[-1].people
            rows.append([name, TITLES[medium], *shown, probable, own.named, own.monotone, taken, people])
    columns = [
        Column("emotion"), Column("of"), *(Column(f"gain at {level}", "number", 2) for level in levels),
        Column("probability", "number"), Column("named", "number", 2), Column("rises", "number", 2), Column("else mostly"),
        Column("people", "number", 0),
    ]  # fmt: skip
    caption = (
        "Gain: how much the emotion's log probability rises against neutral, in nats, interval over people; recordings at their "
        "own intensities, under 1. Probability: neutral's and at 1. Named: share in which the emotion told gains most of the six "
        "that the network knows (calm and contempt it does not), and which does most often where it does not. "
        f"Videos in which it found no face: {report.unseen}."
    )
    return Table(columns, rows, caption)


def articulation_table(report: EmotionReport) -> Table:
    """What full intensity does to the lips."""
    rows: list[list[Cell | str | float | None]] = []
    for medium in OWN:
        calm = report.neutral.get(medium)
        if calm is None:
            continue
        rows.append(["neutral", TITLES[medium], calm["closure_f1"], 1.0, None, calm["closed_share"], None])
        for name, by_medium in report.emotions.items():
            own = by_medium.get(medium)
            kept = own.closures_kept if own else None
            if own is not None and kept is not None:
                tone: Tone = "warn" if kept.mean < ARTICULATION_KEPT else "plain"
                share = Cell(kept.mean, kept.text, tone)
                rows.append(
                    [name, TITLES[medium], own.closure_f1, share, own.closure_f1_against_neutral, own.closed_share, own.lip_gap_r]
                )
    columns = [
        Column("emotion"), Column("of"), Column("closure F1", "number", 2), Column("of neutral's", "number", 2),
        Column("F1 against neutral run", "number", 2), Column("closed share", "number", 2), Column("lip gap r", "number", 2),
    ]  # fmt: skip
    recorded = ", ".join(f"{own['closed_share_recorded']:.2f}" for own in report.neutral.values())
    caption = (
        "Closure F1 at full intensity against the recording of that very sound, which is neutral: it says when lips must meet "
        "whatever the face wears, and also when they rest, which an open face need not. Against the neutral run it "
        f"counts closures that neutral makes wrongly, too. Recorded closed share in the frames measured: {recorded}. "
        "Lip gap r: with the neutral run."
    )
    return Table(columns, rows, caption)


def confusion_table(report: EmotionReport) -> Table:
    """Emotion told against nearest direction, of the video where there is one."""
    names = list(report.corpus_length)
    rows: list[list[Cell | str | float | None]] = []
    medium = VIDEO if report.filmed_people else LANDMARKS
    for name in names:
        own = report.emotions.get(name, {}).get(medium)
        if own is not None:
            shares = [Cell(own.taken_for.get(other, 0.0), tone="good" if other == name else "plain") for other in names]
            rows.append([name, *shares])
    columns = [Column("told"), *(Column(name, "number", 2) for name in names)]
    return Table(columns, rows, f"{TITLES[medium]}, full intensity: share of people whose face is nearest to which direction.")


def measure_table(report: EmotionReport) -> Table:
    """Changes of single measures at full intensity."""
    rows: list[list[Cell | str | float | None]] = []
    labels: list[str] = []
    for name, by_medium in report.emotions.items():
        for medium in MEDIA:
            own = by_medium.get(medium)
            if own is not None:
                labels = labels or list(own.measures)
                rows.append([name, TITLES[medium], *(own.measures[label] for label in labels)])
    columns = [Column("emotion"), Column("of"), *(Column(label.replace("_", " "), "number", 3, "IOD") for label in labels)]
    return Table(columns, rows, "Change of the mean face at full intensity; + is up, wider, more open.")


def mixture_table(report: EmotionReport) -> Table:
    """Coordinates of mixtures on their emotions."""
    rows: list[list[Cell | str | float | None]] = []
    for text, by_medium in report.mixtures.items():
        for medium, own in by_medium.items():
            shown = ", ".join(f"{name} {value:.2f}" for name, value in own.shown.items())
            alone = ", ".join(f"{name} {value:.2f}" for name, value in own.alone.items())
            verdict = Cell("in between", tone="good") if own.in_between else Cell("not in between", tone="warn")
            rows.append([text, TITLES[medium], shown, alone, verdict])
    columns = [Column("mixture", "code"), Column("of"), Column("shows"), Column("each alone at 1"), Column("")]
    return Table(columns, rows, "Coordinates on the directions of the two emotions (least squares), mean over people.")


def shortcomings(report: EmotionReport) -> list[str]:
    """What does not hold, a sentence each."""
    found = []
    if report.same_as_neutral < 1:
        found.append(f"Intensity 0 differs from neutral in {1 - report.same_as_neutral:.0%} of people.")
    chance = 1 / max(len(report.corpus_length), 1)
    for medium in OWN:
        own = {name: by_medium[medium] for name, by_medium in report.emotions.items() if medium in by_medium}
        faults = {
            "do not show (interval of the response reaches 0)": [n for n, f in own.items() if not shows(f)],
            "do not rise with every step in everybody": [n for n, f in own.items() if f.monotone is not None and f.monotone < 1],
            "are nearest to their own direction no more often than by chance": [n for n, f in own.items() if f.named <= chance],
            f"keep less than {ARTICULATION_KEPT:.0%} of neutral's closure F1": [
                n for n, f in own.items() if f.closures_kept and f.closures_kept.mean < ARTICULATION_KEPT
            ],
        }
        found += [f"{TITLES[medium].capitalize()}: {', '.join(names)} {fault}." for fault, names in faults.items() if names]
    mixed = [text for text, media in report.mixtures.items() if any(not media[m].in_between for m in OWN if m in media)]
    if mixed:
        found.append(f"Not in between: {', '.join(mixed)}.")
    return found
