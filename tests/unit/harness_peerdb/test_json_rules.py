"""How bodies are read and written: protobuf's JSON mapping behind grpc-gateway."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from tests.harness.peerdb import protojson_slow
from tests.harness.peerdb.gojson import CodecError
from tests.harness.peerdb.protojson import decode
from tests.harness.peerdb.schema import MIRROR_STATUS, STATE_CHANGE, Message
from tests.unit.harness_peerdb.building import a_mirror, an_engine, full

UPDATE = '{"flowJobName":"m","flowConfigUpdate":{"cdcFlowConfigUpdate":%s}}'


def read(body: str, message: Message = MIRROR_STATUS) -> dict[str, object]:
    """The message, read both ways, which have to agree."""
    quick = decode(body.encode(), message)
    assert quick == protojson_slow.decode(body.encode(), message)
    return quick


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"flow_job_name":"a","include_flow_info":true}', {"flowJobName": "a", "includeFlowInfo": True}),
        ('{"FlowJobName":"a"}', {}),
        ('{"flowJobName":"a","bogus":{"x":[1,2.5,{"y":null}]}}', {"flowJobName": "a"}),
        ('{"flowJobName":null}', {}),
        ('{"flowJobName":"a"} trash', {"flowJobName": "a"}),
        ('{"flowJobName":"\\u00e4\\ud83d\\ude00\\n"}', {"flowJobName": "\u00e4\U0001f600\n"}),
        ("", {}),
    ],
)
def test_body_is_read_when_it_is_well_formed(body: str, expected: dict[str, object]) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "unexpected EOF"),
        ("[]", "proto: syntax error (line 1:1): unexpected token ["),
        ('{"flowJobName":1}', "proto: (line 1:16): invalid value for string field flowJobName: 1"),
        ('{"flowJobName":"a","flow_job_name":"b"}', 'proto: (line 1:20): duplicate field "flow_job_name"'),
        ('{\n  "includeFlowInfo": "true"}', 'proto: (line 2:22): invalid value for bool field includeFlowInfo: "true"'),
        ('{"a":[1 2]}', "invalid character '2' after array element"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":"\\x"}', "invalid character 'x' in string escape code"),
    ],
)
def test_body_is_refused_in_the_codecs_own_words_when_it_is_malformed(body: str, text: str) -> None:
    with pytest.raises(CodecError) as refused:
        decode(body.encode(), MIRROR_STATUS)

    assert str(refused.value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("batchSize", '"5"', 5), ("batchSize", "5e2", 500), ("batch_size", "4294967295", 4294967295)],
)
def test_integer_is_a_number_or_a_string_when_it_is_read(field: str, value: str, expected: int) -> None:
    found = cast("Any", read(UPDATE % f'{{"{field}":{value}}}', STATE_CHANGE))

    assert list(found["flowConfigUpdate"]["cdcFlowConfigUpdate"].values()) == [expected]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"batchSize":-1}', "invalid value for uint32 field batchSize: -1"),
        ('{"updatedEnv":{"K":true}}', "invalid value for string field value: true"),
        ('{"updatedEnv":{"K":"1","K":"2"}}', 'duplicate map key "K"'),
        ('{"additionalTables":[1]}', "unexpected token 1"),
        ('{"additionalTables":[{"engine":true}]}', "invalid value for enum field engine: true"),
    ],
)
def test_update_is_refused_when_a_value_has_the_wrong_type(body: str, text: str) -> None:
    with pytest.raises(CodecError) as refused:
        decode((UPDATE % body).encode(), STATE_CHANGE)

    assert re.sub(r"^.*\): ", "", str(refused.value)) == text


def test_every_field_is_there_with_its_zero_when_an_answer_is_written() -> None:
    engine = an_engine()
    a_mirror(engine, "a", batch=0)

    status = full(engine, excludeSnapshotStatus=True)

    config = status["cdcStatus"]["config"]
    assert status["cdcStatus"]["snapshotStatus"] is None
    assert (config["maxBatchSize"], config["idleTimeoutSeconds"], config["env"], config["flags"]) == (0, "0", {}, [])
    assert config["tableMappings"] == [
        {
            "sourceTableIdentifier": "public.a", "destinationTableIdentifier": "public.d_a", "partitionKey": "",
            "exclude": [], "columns": [], "engine": "CH_ENGINE_REPLACING_MERGE_TREE", "shardingKey": "",
            "policyName": "", "partitionByExpr": "",
        }
    ]  # fmt: skip
