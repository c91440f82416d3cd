"""A Python worker of Beam's, as the local cluster starts it (Beam's PROCESS environment).

Beam's own launcher, a Go program of its images, does more: it installs what a job brings along, asks pip three times what there
is (3 s of processor time for each worker of each job), and starts a worker that ended again. Here the code is installed already,
and the engine sees the end of a worker and tries again. What is left of Beam's container contract
(https://s.apache.org/beam-fn-api-container-contract) is to ask the engine for the job's options and addresses.

    python -m pipelines.cluster.worker --id=ID --provision_endpoint=HOST:PORT ...
"""

import argparse
import os
import runpy

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from google.protobuf import json_format, text_format

from pipelines.job.job_end import WORKER_PROGRAM

ANSWER_S = 60.0
"""Limit for the engine, on the same machine, to answer."""


def provided(worker_id: str, endpoint: str) -> dict[str, str]:
    """The environment variables that Beam's worker reads, as the engine at ``endpoint`` (host:port) tells them.

    Raises:
        grpc.RpcError: nothing answers there, or not in time.
    """
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = stub.GetProvisionInfo(request, metadata=[("worker_id", worker_id)], timeout=ANSWER_S).info
    variables = {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.HasField("status_endpoint"):
        variables["STATUS_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(info.status_endpoint)
    return variables


def main() -> None:
    """Become the worker."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--id", required=True, help="the worker's name with the engine")
    parser.add_argument("--provision_endpoint", required=True, metavar="HOST:PORT", help="where the engine tells what the job is")
    arguments, _ = parser.parse_known_args()  # the engine passes addresses of older protocols, too
    os.environ |= provided(arguments.id, arguments.provision_endpoint)
    runpy.run_module(WORKER_PROGRAM, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
