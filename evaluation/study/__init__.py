"""The human study: pairs of systems shown side by side to raters who do not know which is which.

    manifest   what a study is, on disk: the researcher's half, with the names
    design     who sees which pair of which clip, on which side
    sources    the systems' videos, matched by clip
    stimuli    one file per pair and clip, both faces in it
    build      all of these, and the page
    page       what raters get: one HTML file and the media
    database   votes, kept through a kill
    server     the page and the votes over HTTP
    answers    votes of the database and of downloaded files, with the names put back
    clustered  rates whose intervals know of raters and clips
    bradley_terry   strengths from pairs, with ties
    raters     who paid attention
    results    all figures of a study
    report     the page that shows them
"""
