"""Stage ``sync``: how far sound and lips are apart in every segment, by a scorer fitted on the set's own clips; no decoding.

With enough speech the scorer is fitted on the set itself in speaker-disjoint folds (no clip is judged by a scorer that has seen
its speaker), and its threshold is what mismatched sound of the same set exceeds in 5 % of cases. A smaller set uses the scorer
shipped in ``space_data/assets/sync_scorer.npz``. The table says which.

``python -m pipelines.sync --export`` makes the shipped scorers from the present set: one for this stage, one for the benchmark
(``sync_scorer_evaluation.npz``), fitted on disjoint halves of the speakers, so that no system is judged by the scorer that
chose its training clips.
"""



