"""PoseGen: head pose from speech, one-to-many. Same seed, same motion; another seed, another plausible motion.

SPACE says only that pose is either generated or transferred (paper, section 3); the model is ours. Heads move slowly, so it works
on key poses 0.2 s apart: a linear recursion over the last two of them, driven by noise and by the rhythm of the speech. What is
fitted is the autocorrelation itself. Models that are likelier step by step (a GRU, and just as likely a recursion over six lags
of all columns at once) were no truer over seconds or drifted, and the GRU took nothing from the sound (docs/LOG.md).

    pose       the six columns, their origin, key poses
    speech     loudness, and how it rises before a key pose
    moments    what a person's takes say, as sums: any amount of video in one pass
    fit        the recursion from these sums; speech only where it helps on people left out
    model      the fitted numbers, kept and loaded
    stream     start, step, finish; a file is one chunk
    figures    how likely and how lively its motion is, against held-out people
"""
