"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Model
from polyglot_testkit import list_models

from .conftest import connect

ROW = {"modelId": "garden.leaf-v1:0", "modelName": "Leaf", "responseStreamingSupported": True}


def test_the_list_is_read():
    """It has one page."""
    models, requests, error = list_models(connect(), [json.dumps({"modelSummaries": [ROW]}).encode()])
    assert (error, len(requests)) == (None, 1)
    assert models == [Model(id="garden.leaf-v1:0", name="Leaf", raw=ROW)]


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://bedrock.us-east-1.amazonaws.com"),
        ({"facts": {"region": "cn-north-1"}}, "https://bedrock.cn-north-1.amazonaws.com.cn"),
        (
            {"base_url": "https://bedrock-runtime-fips.us-west-2.amazonaws.com"},
            "https://bedrock-fips.us-west-2.amazonaws.com",
        ),
        ({"base_url": "http://127.0.0.1:1/bedrock-runtime/"}, "http://127.0.0.1:1/bedrock-runtime"),
    ],
    ids=["default", "region", "FIPS", "another host"],
)
def test_the_list_is_at_another_host_of_amazon(fields, url):
    """A host that is not Amazon's has both."""
    assert list_models(connect(**fields), ()).requests[0].url == f"{url}/foundation-models"
