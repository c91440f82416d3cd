"""One file per stage of the pipeline. These are the lists of them: everything that shows or loops over stages reads them."""

CURATION = ("ingest", "measure", "segment", "syncnet", "sync", "filter", "features", "speech", "align")
"""From raw video to training features, and to pixels where these are wanted: what ``space data curate`` runs."""
STAGES = (
    "corpus", *CURATION, "generator", "latents", "train_s2l", "train_posegen", "train_l2l", "emotion", "diversity",
    "synthesize", "evaluate", "report",
)  # fmt: skip
"""All of them, in the order in which they run."""
TRAINING = ("generator", "train_s2l", "train_l2l")
"""Those with a training loop (``generator`` where ``generator.source`` says so)."""
ALONE = (*TRAINING, "train_posegen", "report")
"""Those that run no units in worker processes."""
