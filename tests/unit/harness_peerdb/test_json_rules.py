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


def read(body: str | bytes, message: Message = MIRROR_STATUS) -> dict[str, object]:
    """The message, read both ways, which have to agree."""
    raw = body if isinstance(body, bytes) else body.encode()
    quick = decode(raw, message)
    assert quick == protojson_slow.decode(raw, message)
    return quick


def update(body: str) -> dict[str, object]:
    """The cdc update in a state_change."""
    found = read(UPDATE % body, STATE_CHANGE)
    return cast("Any", found)["flowConfigUpdate"]["cdcFlowConfigUpdate"]  # type: ignore[no-any-return]  # decoded JSON


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"flowJobName":"a"}', {"flowJobName": "a"}),
        ('{"flow_job_name":"a","include_flow_info":true}', {"flowJobName": "a", "includeFlowInfo": True}),
        ('{"FlowJobName":"a"}', {}),
        ('{"flowJobName":"a","bogus":{"x":[1,2.5,{"y":null}]}}', {"flowJobName": "a"}),
        ('{"flowJobName":null}', {}),
        ('{"flowJobName":"a"} trash', {"flowJobName": "a"}),
        ('{"flowJobName":"a"}{"flowJobName":"b"}', {"flowJobName": "a"}),
        (' \n\t{"flowJobName":"a"}', {"flowJobName": "a"}),
        ('{"flowJobName":"\\u00e4\\ud83d\\ude00\\n"}', {"flowJobName": "\u00e4\U0001f600\n"}),
        ("", {}),
        ("  \r\n", {}),
        ("{}", {}),
    ],
)
def test_body_is_read_when_it_is_well_formed(body: str, expected: dict[str, object]) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "unexpected EOF"),
        ('{"a', "unexpected EOF"),
        ("[]", "proto: syntax error (line 1:1): unexpected token ["),
        ("null", "proto: syntax error (line 1:1): unexpected token null"),
        ('"x"', 'proto: syntax error (line 1:1): unexpected token "x"'),
        ("12", "proto: syntax error (line 1:1): unexpected token 12"),
        ('{"flowJobName":1}', "proto: (line 1:16): invalid value for string field flowJobName: 1"),
        ('{"flowJobName":{}}', "proto: (line 1:16): invalid value for string field flowJobName: {"),
        ('{"flowJobName":"a","flowJobName":"b"}', 'proto: (line 1:20): duplicate field "flowJobName"'),
        ('{"flowJobName":"a","flow_job_name":"b"}', 'proto: (line 1:20): duplicate field "flow_job_name"'),
        ('{\n  "includeFlowInfo": "true"}', 'proto: (line 2:22): invalid value for bool field includeFlowInfo: "true"'),
        ('{"includeFlowInfo":1}', "proto: (line 1:20): invalid value for bool field includeFlowInfo: 1"),
        ('{"flowJobName":"a",}', "invalid character '}' looking for beginning of object key string"),
        ("flowJobName=a", "invalid character 'l' in literal false (expecting 'a')"),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        ('{"a":[1 2]}', "invalid character '2' after array element"),
        ('{"a":01}', "invalid character '1' after object key:value pair"),
        ('{"a":-}', "invalid character '}' in numeric literal"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        ('{"a":"\n"}', "invalid character '\\n' in string literal"),
        ('{"a":"\\x"}', "invalid character 'x' in string escape code"),
        ('{"a":"\\u12g4"}', "invalid character 'g' in \\u hexadecimal character escape"),
        ('{"a":nul}', "invalid character '}' in literal null (expecting 'l')"),
        ('{"flowJobName":"\\ud800"}', "proto: unexpected EOF"),
        ('{"flowJobName":"\\ud800abcdef"}', 'proto: syntax error (line 1:16): invalid escape code "abcdef" in string'),
        (b'{"flowJobName":"\xff"}', "proto: syntax error (line 1:16): invalid UTF-8 in string"),
    ],
)
def test_body_is_refused_in_the_codecs_own_words_when_it_is_malformed(body: str | bytes, text: str) -> None:
    raw = body if isinstance(body, bytes) else body.encode()

    with pytest.raises(CodecError) as refused:
        decode(raw, MIRROR_STATUS)

    assert str(refused.value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("batchSize", "5", 5), ("batchSize", '"5"', 5), ("batchSize", "5.0", 5), ("batchSize", "5e2", 500),
     ("batchSize", '"1e3"', 1000), ("idleTimeout", '"18446744073709551615"', 18446744073709551615),
     ("batch_size", "4294967295", 4294967295)],
)  # fmt: skip
def test_integer_is_a_number_or_a_string_when_it_is_read(field: str, value: str, expected: int) -> None:
    assert list(update(f'{{"{field}":{value}}}').values()) == [expected]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"batchSize":-1}', "invalid value for uint32 field batchSize: -1"),
        ('{"batchSize":1.5}', "invalid value for uint32 field batchSize: 1.5"),
        ('{"batchSize":4294967296}', "invalid value for uint32 field batchSize: 4294967296"),
        ('{"batchSize":" 5"}', 'invalid value for uint32 field batchSize: " 5"'),
        ('{"batchSize":"x"}', 'invalid value for uint32 field batchSize: "x"'),
        ('{"idleTimeout":true}', "invalid value for uint64 field idleTimeout: true"),
        ('{"updatedEnv":{"K":true}}', "invalid value for string field value: true"),
        ('{"updatedEnv":{"K":"1","K":"2"}}', 'duplicate map key "K"'),
        ('{"updatedEnv":[]}', "unexpected token ["),
        ('{"additionalTables":{}}', "unexpected token {"),
        ('{"additionalTables":[1]}', "unexpected token 1"),
        ('{"additionalTables":[{"exclude":"a,b"}]}', 'unexpected token "a,b"'),
        ('{"additionalTables":[{"exclude":[1]}]}', "invalid value for string field exclude: 1"),
        ('{"additionalTables":[{"engine":true}]}', "invalid value for enum field engine: true"),
        ("1", "unexpected token 1"),
    ],
)
def test_update_is_refused_when_a_value_has_the_wrong_type(body: str, text: str) -> None:
    with pytest.raises(CodecError) as refused:
        decode((UPDATE % body).encode(), STATE_CHANGE)

    assert re.sub(r"^.*\): ", "", str(refused.value)) == text


# -- answers -----------------------------------------------------------------------------------------------------------


def test_every_field_is_there_with_its_zero_when_an_answer_is_written() -> None:
    engine = an_engine()
    a_mirror(engine, "a", batch=0)

    status = full(engine, excludeSnapshotStatus=True)

    config = status["cdcStatus"]["config"]
    assert set(status) == {"flowJobName", "cdcStatus", "currentFlowState", "createdAt"}
    assert status["cdcStatus"]["snapshotStatus"] is None
    assert (config["maxBatchSize"], config["idleTimeoutSeconds"], config["env"], config["flags"]) == (0, "0", {}, [])
    assert config["tableMappings"] == [
        {
            "sourceTableIdentifier": "public.a", "destinationTableIdentifier": "public.d_a", "partitionKey": "",
            "exclude": [], "columns": [], "engine": "CH_ENGINE_REPLACING_MERGE_TREE", "shardingKey": "",
            "policyName": "", "partitionByExpr": "",
        }
    ]  # fmt: skip
