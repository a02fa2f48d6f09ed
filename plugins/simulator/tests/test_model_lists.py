"""Lists of models over sockets, of each dialect that is installed, sync and async."""

from __future__ import annotations

import asyncio

import pytest

from polyglot_core import AsyncInference, Inference, Message
from polyglot_core._values.models import PROBES
from polyglot_core.errors import AuthenticationError, RequestError
from polyglot_simulator import Simulator
from polyglot_simulator.routes import supported_drivers

NAMES = ["leaf-1", "leaf-2", "leaf-3", "leaf-4", "leaf-5"]
PAGES = {"anthropic": 3, "cohere": 3, "gemini": 3, "vertex": 3}
"""Requests for five models, in dialects that have pages."""


def listed(connection, kind):
    if kind == "sync":
        return Inference.from_connection(connection).models()
    return asyncio.run(_listed(connection))


async def _listed(connection):
    async with AsyncInference.from_connection(connection) as inference:
        return await inference.models()


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("driver", supported_drivers())
def test_all_models_are_listed(driver, kind):
    """Each page is one request, with the key where the dialect has it."""
    with Simulator(models=NAMES, api_key="test-key") as simulator:
        models = listed(simulator.connection_for(driver), kind)
    assert [model.id for model in models] == NAMES
    assert all(model.raw for model in models)
    assert [request.method for request in simulator.requests] == ["GET"] * PAGES.get(driver, 1)


@pytest.mark.parametrize("driver", supported_drivers())
def test_a_wrong_key_is_refused(driver):
    """The error is that of the dialect, and has no partial."""
    with Simulator(api_key="test-key") as simulator:
        connection = simulator.connection_for(driver).with_changes(api_key="wrong-key")
        with pytest.raises(AuthenticationError) as caught:
            listed(connection, "sync")
    assert (caught.value.status, caught.value.partial) == (401, None)


def test_the_only_model_is_listed_by_default():
    """It is that of the replies."""
    with Simulator(model="leaf") as simulator:
        assert [model.id for model in listed(simulator.connection, "sync")] == ["leaf"]


def test_no_model_is_listed_if_there_is_none():
    """The list may be empty."""
    with Simulator(models=[]) as simulator:
        assert [listed(simulator.connection_for(driver), "sync") for driver in supported_drivers()] == [
            [] for _ in supported_drivers()
        ]


@pytest.mark.parametrize("driver", supported_drivers())
def test_capabilities_are_those_of_calls(driver):
    """A call with a feature is sent if the driver has the capability; else it raises an error, and nothing is sent."""
    with Simulator() as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        found = inference.capabilities()
        assert simulator.requests == []
        assert found.models
        for name, fields in PROBES.items():
            before = len(simulator.requests)
            pending = inference.create(**{"messages": [Message(role="user", content="A")], **fields})
            if getattr(found, name):
                assert pending.text(), name
            else:
                with pytest.raises(RequestError):
                    pending.text()
            assert len(simulator.requests) == before + getattr(found, name), name
