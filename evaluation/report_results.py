"""The benchmark page's results: contestants, controls, what must hold, contrasts, which metric tells what."""

from collections.abc import Callable, Sequence

from evaluation.aggregate import SIGNIFICANT, Contrast, best_of
from evaluation.baselines.published import published
from evaluation.blocks import Cell, Column, Table, Tone
from evaluation.metrics import HEADLINE, Metric
from evaluation.metrics.landmarks import LD_MOTION_MOUTH, LD_MOUTH
from evaluation.metrics.lips import CLOSURE_F1, LIP_LAG, LIP_VELOCITY_R
from evaluation.metrics.sync import AV_AT_ZERO
from evaluation.report_data import BenchmarkData
from evaluation.statistics import least_p
from evaluation.systems import (
    GROUND_TRUTH,
    MEAN_MOTION,
    MISMATCHED_AUDIO,
    OURS,
    RIDGE,
    SHIFT_FRAMES,
    SHIFTED_AUDIO,
    STILL,
    Entry,
)
from space_data.schema import Aggregate

ARROWS = {"lower": "↓", "higher": "↑", "recording": "≈"}
MAIN = OURS[0]
"""The system that the page is about."""
PAGE_ROWS = 14
"""Of the long table of contrasts."""
MOST_IDENTITIES = 100
"""Nobody's list is longer."""
LAG_SLACK = 1.0
"""Frames: a shift is found if the measured lag is so near."""


def number(value: float | None, digits: int, signed: bool = False) -> str:
    """A number as people read it; a dash for none."""
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def label_of(metric: Metric) -> Cell:
    """A metric as the head of a row."""
    unit = f" ({metric.unit})" if metric.unit else ""
    return Cell(f"{metric.title} {ARROWS[metric.better]}{unit}", title=f"{metric.metric_id}: {metric.definition}")


def contestants_table(data: BenchmarkData, metrics: Sequence[Metric]) -> Table:
    """Those that compete; the best are marked only where that is sure."""
    return _results(
        data, metrics, data.contestants, lambda metric: best_of(metric, [e.name for e in data.contestants], data.contrasts),
        "Mean over identities ± half of its 95 % interval; (clips with a value/clips asked for) where some are missing. ↓ lower, "
        "↑ higher is better, ≈ nearest to the recording is: in brackets the recording's own mean and the mean distance from it, "
        f"clip by clip. Green: what no other beats for sure (p < {SIGNIFICANT}, Holm over all contrasts below); no green: "
        "they cannot be told apart. Grey: the metric compares heads, and this system was not given the recording's head motion.",
    )  # fmt: skip


def controls_table(data: BenchmarkData, metrics: Sequence[Metric]) -> Table:
    """What anchors the scales; nobody here competes."""
    return _results(
        data, metrics, data.controls, lambda metric: set(),
        "The same metrics for systems whose place is known beforehand. A metric in which one of them is better than the "
        "contestants above rewards something else than what it is called after.",
    )  # fmt: skip


def _results(
    data: BenchmarkData, metrics: Sequence[Metric], entries: Sequence[Entry], best: Callable[[Metric], set[str]], caption: str
) -> Table:
    columns = [Column("metric"), *(Column(entry.title, "number", help=entry.description) for entry in entries)]
    rows: list[list[Cell | str]] = []
    for metric in metrics:
        marked = best(metric)
        row: list[Cell | str] = [label_of(metric)]
        for entry in entries:
            unfair = metric.needs_pose and not entry.pose_given
            row.append(_result(data.by_cell.get((entry.name, metric.metric_id)), metric, entry.name in marked, unfair))
        rows.append(row)
    return Table(columns, rows, caption, page_rows=len(rows))


def _result(cell: Aggregate | None, metric: Metric, is_best: bool, unfair: bool) -> Cell:
    if cell is None or cell.mean is None:
        return Cell(None, title="no clip could be scored" if cell else "not measured")
    text = number(cell.mean, metric.digits)
    title = f"{cell.n_ok} of {cell.n_total} clips, {cell.n_identities} identities"
    if cell.low is not None and cell.high is not None:
        text += f" ±{number((cell.high - cell.low) / 2, metric.digits)}"
        title += f", 95 % interval {number(cell.low, metric.digits + 1)} to {number(cell.high, metric.digits + 1)}"
    if cell.distance is not None:
        text += f" [{number(cell.recording, metric.digits)}; off {number(cell.distance, metric.digits)}]"
        title += f"; the recording has {number(cell.recording, metric.digits + 1)} on the same clips"
    if cell.n_common and cell.n_common < cell.n_ok and cell.common_mean is not None:
        title += f"; {number(cell.common_mean, metric.digits + 1)} on the {cell.n_common} clips that every system has"
    if cell.n_ok < cell.n_total:
        text += f" ({cell.n_ok}/{cell.n_total})"
    return Cell(cell.mean, text, "good" if is_best else "quiet" if unfair else "plain", title)


def published_table(data: BenchmarkData) -> Table:
    """Other people's systems: named, with the reason why there are no figures."""
    rows: list[list[Cell | str]] = [
        [system.name, system.reference, Cell(system.code), Cell(system.status, tone="quiet")]
        for system in published({entry.name for entry in data.systems})
    ]
    return Table([Column("system"), Column("paper"), Column("code", "code"), Column("state")], rows, "Not in the tables above")


ORDERS = (
    *((metric, GROUND_TRUTH.name, MAIN) for metric in (*HEADLINE, LD_MOUTH, AV_AT_ZERO)),
    *((metric, MAIN, MISMATCHED_AUDIO.name) for metric in (LIP_VELOCITY_R, CLOSURE_F1, LD_MOTION_MOUTH)),
    *((metric, MAIN, STILL.name) for metric in (LIP_VELOCITY_R, CLOSURE_F1, LD_MOUTH, LD_MOTION_MOUTH)),
    *((metric, MAIN, MEAN_MOTION.name) for metric in (LD_MOUTH, LD_MOTION_MOUTH)),
    *((metric, MAIN, RIDGE.name) for metric in (LIP_VELOCITY_R, CLOSURE_F1, AV_AT_ZERO)),
    (AV_AT_ZERO, GROUND_TRUTH.name, RIDGE.name), (AV_AT_ZERO, GROUND_TRUTH.name, MISMATCHED_AUDIO.name),
)  # fmt: skip
"""(metric, the better system, the worse one): what must come out if metrics, models and pipeline are sound."""


def _mean_in_words(data: BenchmarkData, system: str, metric: Metric) -> str:
    """The mean, and how far off the recording's value clips are where that is what orders."""
    mean = number(data.mean(system, metric), 4)
    return f"{mean} (off {number(data.loss(system, metric), 4)})" if metric.better == "recording" else mean


def expectations(data: BenchmarkData) -> list[tuple[str, bool | None, str]]:
    """What must come out: (statement, holds or None if not measured, figures); what fails comes first."""
    checks = []
    for metric, better, worse in ORDERS:
        first, second = data.loss(better, metric), data.loss(worse, metric)
        at_bound = better == GROUND_TRUTH.name  # which nobody can pass, but reach
        holds = None if first is None or second is None else first < second or (at_bound and first == second)
        means = " against ".join(_mean_in_words(data, system, metric) for system in (better, worse))
        how = "is not worse than" if at_bound else "is better than"
        checks.append((f"{metric.title}: {data.title(better)} {how} {data.title(worse)}", holds, means))
    lag, own = data.mean(SHIFTED_AUDIO.name, LIP_LAG), data.mean(MAIN, LIP_LAG)
    found = None if lag is None or own is None else abs(lag - own - SHIFT_FRAMES) <= LAG_SLACK
    shifted = f"{LIP_LAG.title}: {SHIFTED_AUDIO.title.lower()} is found {SHIFT_FRAMES} frames late"
    checks.append((shifted, found, f"{number(lag, 1)} against {number(own, 1)}"))
    return sorted(checks, key=lambda check: (check[1] is not False, check[1] is not None))


def expectations_table(data: BenchmarkData) -> Table:
    """`expectations` with a badge each."""
    badges: dict[bool | None, tuple[str, Tone]] = {
        True: ("holds", "good"),
        False: ("fails", "bad"),
        None: ("not measured", "warn"),
    }
    rows: list[list[Cell | str]] = [
        [Cell(badges[ok][0], tone=badges[ok][1]), text, figures] for text, ok, figures in expectations(data)
    ]
    return Table([Column("order", "badge"), Column("what must hold"), Column("means")], rows, page_rows=len(rows))


def too_many_contrasts(data: BenchmarkData) -> str:
    """What to say where so many contrasts are made of so few people that Holm leaves none of them sure; else nothing."""
    family = [made for made in data.contrasts if made.p_holm is not None]
    people = max((made.comparison.difference.n_identities for made in family), default=0)

    def least(n_identities: int) -> float:
        return len(family) * least_p(n_identities, data.draws)

    if not family or least(people) < SIGNIFICANT:
        return ""
    enough = next((n for n in range(people + 1, MOST_IDENTITIES) if least(n) < SIGNIFICANT), None)
    remedy = f"take a test list of {enough} identities or more" if enough else "raise evaluate.sign_flip_draws"
    return (
        f"No difference on this page can be sure, however large: with {people} identities no p is below "
        f"{least_p(people, data.draws):.2g}, and Holm multiplies the least by {len(family)} contrasts. Take systems out "
        f"(`rm -r data/external/NAME`), or {remedy}."
    )


def contrast_table(data: BenchmarkData) -> Table:
    """Paired differences of the contestants from each other and from the controls, one family."""
    rows: list[list[Cell | str | float | None]] = []
    for made in data.contrasts:
        d, metric = made.comparison.difference, made.metric
        if not d.n_ok:
            continue
        ends = (number(end, metric.digits + 1, True) for end in (d.low, d.high))
        interval = "" if d.low is None else f" [{', '.join(ends)}]"
        tone: Tone = "good" if made.winner == made.first else "bad" if made.winner else "plain"
        rows.append(
            [
                data.title(made.first), data.title(made.second), f"{metric.title} {ARROWS[metric.better]}",
                Cell(d.mean, f"{number(d.mean, metric.digits + 1, True)}{interval}", tone), made.comparison.effect_size,
                Cell(made.comparison.win_share, "–" if made.comparison.win_share is None else f"{made.comparison.win_share:.0%}"),
                made.p_holm, f"{d.n_ok} / {d.n_total}", d.n_identities,
            ]
        )  # fmt: skip
    columns = [
        Column("system"), Column("against"), Column("metric"),
        Column("difference", "number", help="of losses: below zero the first is better"),
        Column("effect size", "number", digits=1, help="mean over s.d. of the identities' differences"),
        Column("clips won", "number"), Column("p (Holm)", "number", digits=3, help="sign flips over identities, two-sided"),
        Column("clips"), Column("identities", "number", digits=0),
    ]  # fmt: skip
    caption = (
        "Losses: less is better (≈: distance from the recording's value). Paired by clip, tests over identities, Holm over all "
        f"{len(rows)}. With n identities no p is below 2 / 2ⁿ."
    )
    return Table(columns, rows, caption, searchable=True, page_rows=PAGE_ROWS)


def validity_table(data: BenchmarkData) -> Table:
    """Which metric tells which control from the recording."""
    controls = [entry for entry in data.controls if entry != GROUND_TRUTH]
    found = {(made.metric.metric_id, made.second): made for made in data.validity}
    rows: list[list[Cell | str | float | None]] = []
    for metric in data.columns:
        row: list[Cell | str | float | None] = [label_of(metric)]
        row += [_told(found.get((metric.metric_id, control.name))) for control in controls]
        rows.append(row)
    columns = [Column("metric"), *(Column(control.title, "number", help=control.description) for control in controls)]
    caption = (
        "Effect size of the control's loss over the recording's (encoded again), paired by identity. Green: told from it for "
        "sure; plain: not; red: for sure better than the recording, so the metric rewards something else. Holm over each row."
    )
    return Table(columns, rows, caption, page_rows=len(rows))


def _told(made: Contrast | None) -> Cell:
    if made is None or made.comparison.difference.mean is None:
        return Cell(None, title="not measured")
    effect, difference = made.comparison.effect_size, made.comparison.difference.mean
    size = None if effect is None else -effect
    text = number(size, 1, True) if size is not None else "equal" if difference == 0 else "always"
    tone: Tone = "good" if made.winner == GROUND_TRUTH.name else "bad" if made.winner else "plain"
    return Cell(size, text, tone, f"difference of losses {number(difference, 4, True)}, p (Holm) {number(made.p_holm, 3)}")
