"""From votes to figures: names put back, files merged, raters of known preference recovered, the rule kept."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from made_up_study import CLIPS, KEY, RECORDED, TEXTS, plan

from evaluation.study.answers import Judgement, collected
from evaluation.study.build import planned
from evaluation.study.database import Vote, Votes
from evaluation.study.manifest import RECORDING, Question, Study, StudyFolder, Trial
from evaluation.study.questions import QUESTIONS
from evaluation.study.report import report_page, write_report
from evaluation.study.results import Results, rate_in_words, results_of
from evaluation.study.sources import Sources
from space_data.errors import SpaceError

SYSTEMS = ("zebra", "quagga", RECORDED)
PAIRS = [("zebra", "quagga"), ("zebra", RECORDED), ("quagga", RECORDED)]
Choose = Callable[[int, Trial, str], str]


def made_up(raters: int, trials: int, catches: int = 2, n_clips: int = 8) -> Study:
    """A study as data; no file is made."""
    clips = {f"clip {i}": Path(f"{i}.mp4") for i in range(n_clips)}
    sources = Sources({name: clips for name in SYSTEMS}, clips, RECORDED, {})
    return planned(sources, PAIRS, QUESTIONS, TEXTS, plan(raters, trials, catches), KEY)


def saved_answers(study: Study, number: int, choose: Choose, seconds: float = 4.0) -> dict:
    """The file that the page would save for one list."""
    one = study.lists[number]
    answers = [
        {"trial": trial.id, "question": question, "answer": choose(number, trial, question), "seconds": seconds, "plays": 1}
        for trial in one.trials
        for question in one.questions
    ]
    return {"format": 1, "study": study.study_id, "rater": f"{number:032x}", "list": number, "answers": answers}


def judged(study: Study, choose: Choose, folder: Path) -> list[Judgement]:
    """All lists answered."""
    files = []
    for number in range(len(study.lists)):
        files.append(folder / f"{number}.json")
        files[-1].write_text(json.dumps(saved_answers(study, number, choose)))
    return collected(StudyFolder(folder), study, files)


def prefers(trial: Trial, order: tuple[str, ...]) -> str:
    """The side of the system (or recording) that comes first in ``order``."""
    return "a" if order.index(trial.left) < order.index(trial.right) else "b"


ORDER = (RECORDING, "frozen", "mismatched", RECORDED, "zebra", "quagga")


def test_names_are_put_back_whichever_side_they_stood_on(tmp_path: Path) -> None:
    study = made_up(3, 6)
    found = judged(study, lambda _n, trial, _q: prefers(trial, ORDER), tmp_path)
    assert len(found) == 3 * 8 * 4
    for one in found:
        assert one.score == (1.0 if ORDER.index(one.first) < ORDER.index(one.second) else 0.0)
        assert one.catch is None or one.first == RECORDING
    assert {one.answer for one in found} == {"a", "b"}


def test_database_and_files_are_merged_and_each_answer_counts_once(tmp_path: Path) -> None:
    study, folder = made_up(2, 3), StudyFolder(tmp_path)
    votes = Votes(folder.votes, study)
    session = votes.begin()
    file = saved_answers(study, session.list_number, lambda *_: "a") | {"rater": session.rater}
    first = file["answers"][0]
    votes.add_vote(Vote(session.rater, first["trial"], first["question"], "a", 1.0, 1))
    votes.close()
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(file))
    assert len(collected(folder, study, [])) == 1
    assert len(collected(folder, study, [path, path])) == len(file["answers"])
    first["answer"] = "b"
    path.write_text(json.dumps(file))
    with pytest.raises(SpaceError, match="'b', elsewhere 'a'"):
        collected(folder, study, [path])
    path.write_text(json.dumps(file | {"list": 1 - session.list_number}))
    with pytest.raises(SpaceError, match="elsewhere on list"):
        collected(folder, study, [path])


NO_FILE = "not a file of answers"
STRANGE = {"trial": "x", "question": "lip_sync", "answer": "a", "seconds": 1.0, "plays": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"study": "other"}, "answers to study other"), ({"list": 9}, "need one of 1 to 2"), ({"list": True}, NO_FILE),
        ({"rater": "../x"}, NO_FILE), ({"format": 2}, NO_FILE), ({"more": 1}, NO_FILE),
        ({"answers": [STRANGE]}, "not in list 1"), ({"answers": [STRANGE | {"answer": "d"}]}, NO_FILE),
    ],
)  # fmt: skip
def test_files_that_are_none_of_this_study_are_refused(change: dict, words: str, tmp_path: Path) -> None:
    study = made_up(2, 3)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(saved_answers(study, 0, lambda *_: "a") | change))
    with pytest.raises(SpaceError, match=words):
        collected(StudyFolder(tmp_path), study, [path])
    path.write_bytes(b"\xff{")
    with pytest.raises(SpaceError, match="not a file of answers"):
        collected(StudyFolder(tmp_path), study, [path])


def choosing(strengths: dict[str, float], seed: int, tie: float = 0.2) -> Choose:
    """Raters by Davidson's model with these strengths (a tie is as likely as ``tie`` between equals); catches always right."""
    rng = np.random.default_rng(seed)
    log_nu = np.log(2 * tie / (1 - tie))

    def choose(_number: int, trial: Trial, _question: str) -> str:
        if trial.catch:
            return trial.right_answer
        a, b = strengths[trial.left], strengths[trial.right]
        weights = np.exp([a, b, log_nu + (a + b) / 2])
        return ("a", "b", "tie")[rng.choice(3, p=weights / weights.sum())]

    return choose


def test_raters_of_known_preference_are_recovered(tmp_path: Path) -> None:
    true = {"zebra": 0.0, "quagga": -0.8, RECORDED: 0.8}
    results = results_of(made_up(60, 12), judged(made_up(60, 12), choosing(true, 5), tmp_path))
    for one in results.strengths:
        assert one.fit is not None and not one.fit.note
        assert [strength.system for strength in one.fit.strengths] == [RECORDED, "zebra", "quagga"]
        for strength in one.fit.strengths:
            assert strength.low is not None and strength.high is not None
            assert strength.low <= true[strength.system] <= strength.high and strength.high - strength.low < 1.2
    for pair in results.rates:
        a, b = np.exp(true[pair.first]), np.exp(true[pair.second])
        tie = 0.5 * (a * b) ** 0.5
        assert pair.rate.low is not None and pair.rate.high is not None
        assert pair.rate.low <= (a + tie / 2) / (a + b + tie) <= pair.rate.high
        assert pair.p_holm is not None and pair.rate.p_value is not None and pair.rate.p_value <= pair.p_holm
    assert len(results.counting) == 60


def test_raters_who_choose_by_chance_show_no_difference(tmp_path: Path) -> None:
    study = made_up(30, 12)
    results = results_of(study, judged(study, choosing(dict.fromkeys(SYSTEMS, 0.0), 2), tmp_path))
    assert sum(one.p_holm is not None and one.p_holm < 0.05 for one in results.rates) == 0


def careless(study: Study, folder: Path) -> Results:
    """Eight raters who see what is there; the last one always says A, the one before answers the first trial only."""

    def choose(number: int, trial: Trial, _question: str) -> str:
        return "a" if number == 7 else trial.right_answer if trial.catch else prefers(trial, ORDER)

    found = judged(study, choose, folder)
    begun = {one.trial for one in found if one.list_number == 6 and one.trial == study.lists[6].trials[0].id}
    return results_of(study, [one for one in found if one.list_number != 6 or one.trial in begun])


def test_the_rule_leaves_out_who_does_not_watch_and_says_so(tmp_path: Path) -> None:
    study = made_up(8, 9, catches=4)
    results = careless(study, tmp_path)
    out = {int(q.rater, 16): q.left_out for q in results.raters if q.left_out}
    assert set(out) == {6, 7} and "answers, need 50%" in out[6] and "catch answers right, need 75%" in out[7]
    lazy, good = results.raters[7], results.raters[0]
    assert lazy.left_share == 1.0 and lazy.left_p is not None and lazy.left_p < 1e-6
    assert good.agreement == 1.0 and good.catches_right == good.catches_answered == 8 and good.median_seconds == 4.0
    assert all(one.rate.rate in (0.0, 1.0) and 0 < one.everybody < 1 for one in results.rates)


def test_nobody_who_counts_is_an_error(tmp_path: Path) -> None:
    study = made_up(2, 3)
    with pytest.raises(SpaceError, match="nobody has answered yet"):
        results_of(study, [])
    with pytest.raises(SpaceError, match="none of whom counts"):
        results_of(study, judged(study, lambda *_: "tie", tmp_path))


def test_the_report_and_its_tables(tmp_path: Path) -> None:
    study = made_up(8, 9, catches=4)
    results = careless(study, tmp_path)
    page = write_report(tmp_path / "out", study, results)
    html = page.read_text()
    for words in ("Lip sync", "zebra", RECORDED, "Davidson", "catch answers right", "never lost"):
        assert words in html
    assert json.loads((tmp_path / "out" / "results.json").read_text())["rates"][0]["question"] == "lip_sync"
    rates = pa_csv.read_csv(tmp_path / "out" / "rates.csv").to_pylist()
    assert len(rates) == 12 and {"first", "second", "rate", "low", "high", "p_holm", "wins", "everybody"} <= set(rates[0])
    votes = pa_csv.read_csv(tmp_path / "out" / "votes.csv")
    assert votes.num_rows == len(results.judgements) and set(votes["counts"].to_pylist()) == {True, False}
    assert rate_in_words(results.rates[0].rate).endswith("]")


def test_strengths_of_ties_alone_are_noted(tmp_path: Path) -> None:
    study = made_up(4, 6)
    found = judged(study, lambda _n, trial, _q: trial.right_answer if trial.catch else "tie", tmp_path)
    only = [one for one in found if one.catch or (one.first, one.second) == PAIRS[0]]
    html = report_page(study, results_of(study, only)).render()
    assert "half a win each way was added" in html
    assert CLIPS[0] not in html


def test_systems_that_no_vote_connects_have_no_strengths_and_the_report_says_why(tmp_path: Path) -> None:
    clips = {f"clip {i}": Path(f"{i}.mp4") for i in range(4)}
    sources = Sources({name: clips for name in "abcd"}, clips, None, {})
    called_as_a_section = (Question(id="raters", text="Which?"),)
    study = planned(sources, [("a", "b"), ("c", "d")], called_as_a_section, TEXTS, plan(3, 4, 0), KEY)
    results = results_of(study, judged(study, lambda _n, trial, _q: "a" if trial.clip == "clip 1" else "b", tmp_path))
    assert "do not connect" in write_report(tmp_path / "out", study, results).read_text()
    (row,) = pa_csv.read_csv(tmp_path / "out" / "strengths.csv").to_pylist()
    assert "do not connect" in row["note"] and not row["system"]
