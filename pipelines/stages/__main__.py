"""``python -m pipelines.stages <stage>``."""

from pipelines.job.run import stage_main

if __name__ == "__main__":
    stage_main()
