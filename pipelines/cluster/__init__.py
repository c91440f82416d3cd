"""A cluster of one's own on this machine: Apache Flink or Spark, Beam's job server and an S3 server, on loopback.

    with LocalCluster(task_managers=2) as cluster:      # pipelines.cluster.local; the command is ``space cluster up``
        with beam.Pipeline(options=PipelineOptions(cluster.beam_options())) as pipeline: ...

``pins`` names the parts, ``parts`` fetches them, ``keeper`` is the parent of every process and the reason why none survives,
``flink`` and ``spark`` know how each engine is started, ``store`` the S3 server. Nothing here knows of video or of stages.
"""
