"""The worker's launcher hears from the engine what Beam's worker reads from its environment."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, endpoints_pb2
from google.protobuf import text_format

from pipelines.cluster.worker import provided


class Engine(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """Answers as Beam's job server does; remembers who asked."""

    asked: tuple[str, ...] = ()

    def GetProvisionInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (gRPC's name)
        self.asked += tuple(value for key, value in context.invocation_metadata() if key == "worker_id")
        info = beam_provision_api_pb2.ProvisionInfo(
            logging_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:1"),
            control_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:2"),
            runner_capabilities=["beam:protocol:control_response_elements_embedding:v1", "x"],
        )
        info.pipeline_options.update({"beam:option:job_name:v1": "curate"})
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=info)


@pytest.fixture
def engine() -> Iterator[tuple[Engine, str]]:
    """An engine on loopback, and its address."""
    server, service = grpc.server(ThreadPoolExecutor(1)), Engine()
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None)


def test_options_and_addresses_come_from_the_engine(engine: tuple[Engine, str]) -> None:
    service, address = engine
    found = provided("worker 7", address)
    assert service.asked == ("worker 7",) and found["WORKER_ID"] == "worker 7"
    assert json.loads(found["PIPELINE_OPTIONS"]) == {"beam:option:job_name:v1": "curate"}
    for name, url in {"LOGGING": "localhost:1", "CONTROL": "localhost:2"}.items():
        descriptor = endpoints_pb2.ApiServiceDescriptor()
        text_format.Merge(found[f"{name}_API_SERVICE_DESCRIPTOR"], descriptor)
        assert descriptor.url == url
    assert found["RUNNER_CAPABILITIES"].split()[1] == "x"
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in found, "an empty address would be one to connect to"


def test_an_engine_that_is_gone_is_an_error(engine: tuple[Engine, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.cluster.worker.ANSWER_S", 0.2)
    with pytest.raises(grpc.RpcError):
        provided("worker 7", "127.0.0.1:1")
