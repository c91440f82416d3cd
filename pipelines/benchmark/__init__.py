"""The benchmark beside the pipeline: systems that are not ours."""
