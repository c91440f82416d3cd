"""Speech2Landmarks: speech and emotion to the landmarks of a given face in normalised space (paper, section 3.1).

    network    convolutions, LSTM, FiLM, linear filter: readable alone
    features   speech as the network sees it: projection and normalisation, known or running
    augment    training speech as other rooms and voices would give it
    loss, task what training minimises, and its batches
    fit        what is fitted in one pass beside the learnt weights
    model      the network with all that its answers need, kept and loaded
    output     lips that meet, the portrait's own state, a start from the photo
    stream     start, step, finish; a file is one chunk
    metrics    how well the landmarks meet recorded ones
    calibrate  the part of it that depends on a speaker or a data set, fitted on one's own clips
"""
