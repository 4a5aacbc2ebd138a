"""No secret of a database or a cloud is shown because somebody else wrote it into a message."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdb_operator.peerdb.redaction import LONGEST_READ, names_a_secret, one_line, redacted, secret_values, without

CANARY = "c4nary"

SAMPLES = [
    # URLs and connection strings
    ("dial postgres://user:c4nary@db:5432/app failed", "dial postgres://***@db:5432/app failed"),
    ("dial postgres://u:pa/c4nary@db:5432/app failed", "dial postgres://***@db:5432/app failed"),
    ("dial postgres://u:c4@nary@db/app failed", "dial postgres://***@db/app failed"),
    ("mongodb+srv://u:c4nary%40x@h/db", "mongodb+srv://***@h/db"),
    ('parse "postgres://u:a c4nary@h/db": invalid userinfo', 'parse "postgres://***@h/db": invalid userinfo'),
    ("https://u:c4nary@a/x and https://u:c4nary@b/y", "https://***@a/x and https://***@b/y"),
    ("GET https://h/x?password=c4nary&sslmode=off", "GET https://h/x?password=***&sslmode=off"),
    ("GET https://b/x?X-Amz-Security-Token=c4nary&n=1", "GET https://b/x?X-Amz-Security-Token=***&n=1"),
    ("GET https://b/x?n=1&X-Amz-Signature=c4nary", "GET https://b/x?n=1&X-Amz-Signature=***"),
    ("GET https://h/x?n=1&password=a@c4nary&m=2", "GET https://***&m=2"),
    ("GET /x%3Fpassword%3Dc4nary", "GET /x%3Fpassword%3D***"),
    ("root:c4nary@tcp(db:3306)/app failed", "***@tcp(db:3306)/app failed"),
    ("host=db password=c4nary sslmode=off", "host=db password=*** sslmode=off"),
    ("host=db Password = 'a c4nary' sslmode=off", "host=db Password = *** sslmode=off"),
    ("host=db password='it''s c4nary' sslmode=off", "host=db password=*** sslmode=off"),
    ("sslcert=x sslpassword=c4nary", "sslcert=x sslpassword=***"),
    ("Server=h;Password=a c4nary;Database=d", "Server=h;Password=***;Database=d"),
    ("Password=a c4nary;Database=d", "Password=***;Database=d"),
    ("Endpoint=sb://h/;SharedAccessKey=c4nary=;EntityPath=p", "Endpoint=sb://h/;SharedAccessKey=***;EntityPath=p"),
    # variables and options
    ("PGPASSWORD=c4nary psql -h db", "PGPASSWORD=*** psql -h db"),
    ("AWS_SECRET_ACCESS_KEY=c4nary aws", "AWS_SECRET_ACCESS_KEY=*** aws"),
    ("psql --password c4nary -h db", "psql --password *** -h db"),
    ("psql --password=c4nary -h db", "psql --password=*** -h db"),
    ("api_key=c4nary", "api_key=***"),
    ("the API key: c4nary", "the API key: ***"),
    ("token: Bearer c4nary", "token: ***"),
    ("env['SECRET'] = 'a c4nary'", "env['SECRET'] = ***"),
    # structures
    ('{"password": "a c4nary", "user": "x"}', '{"password": ***, "user": "x"}'),
    ('{"password":"a\\"c4nary","user":"x"}', '{"password":***,"user":"x"}'),
    (r'{"a":"{\"password\":\"a c4nary\",\"user\":\"x\"}"}', r'{"a":"{\"password\":***,\"user\":\"x\"}"}'),
    ('{"passwords": ["a", "c4nary"], "user": "x"}', '{"passwords": ***, "user": "x"}'),
    ('{"password":"","token":"c4nary"}', '{"password":***,"token":***}'),
    ("{'secretKey': 'a c4nary', 'user': 'x'}", "{'secretKey': ***, 'user': 'x'}"),
    ("&{Host:db Password:c4nary Port:5432}", "&{Host:db Password:*** Port:5432}"),
    ("access_key: 'c4nary', secret_key: 'c4nary'", "access_key: ***, secret_key: ***"),
    ("password:\n  c4nary\nuser: x", "password:\n  ***\nuser: x"),
    ("password=`a c4nary` and more", "password=*** and more"),
    # what is cut off has no end
    ('{"password": "a c4nary', '{"password": ***'),
    # headers
    ("Authorization: Bearer c4nary; 401", "Authorization: *** 401"),
    ("Authorization: Basic c4nary== was refused", "Authorization: *** was refused"),
    ('{"Authorization": "Bearer c4nary", "Accept": "*"}', '{"Authorization": ***, "Accept": "*"}'),
    ('authorization: Digest username="x", response="c4nary"', "authorization: ***"),
    ("bad authorization header: Basic c4nary", "bad authorization header: ***"),
    ("Cookie: a=1; session=c4nary\nHost: db", "Cookie: ***\nHost: db"),
    ("X-Api-Key: c4nary", "X-Api-Key: ***"),
    ("curl -H bearer c4naryc4nary", "curl -H bearer ***"),
    ("got eyJhbGciOi.eyJzdWIi.c4nary from it", "got *** from it"),
    # SQL
    ("CREATE USER x PASSWORD 'a c4nary'", "CREATE USER x PASSWORD ***"),
    ("IDENTIFIED WITH sha256_password BY 'a c4nary'", "IDENTIFIED WITH sha256_password BY ***"),
    ("FROM s3('https://b/x','AKIA','c4nary','Avro') WHERE 1", "FROM s3('https://b/x',***) WHERE 1"),
    # keys
    ("key -----BEGIN RSA PRIVATE KEY-----\nMII\nc4nary\n-----END RSA PRIVATE KEY----- end", "key *** end"),
    ("private_key=-----BEGIN PRIVATE KEY-----\nMII c4nary", "private_key=***"),
]


@pytest.mark.parametrize(("text", "shown"), SAMPLES)
def test_a_secret_is_hidden_and_the_words_around_it_are_not(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert CANARY not in one_line(text)


@pytest.mark.parametrize(
    "text",
    [
        'password authentication failed for user "x" (SQLSTATE 28P01)',
        "failed to connect to `user=postgres database=src`: server refused TLS connection",
        'ERROR: duplicate key value violates unique constraint "orders_pkey"',
        "DETAIL: Key (id)=(5) already exists.",
        "primary key violates not-null",
        "foreign key=orders_customer_fk, key: id, sharding_key=id, partitionKey: ts",
        "primary_key: id, sort_key=ts",
        "the tokens=3 passes=2 bypass=true compass: north",
        "password_encryption=scram-sha-256 passwordSecretRef: orders",
        "proto: syntax error (line 1:1): unexpected token [",
        "unexpected end of the token at 5",
        'secrets "peerdb-password" not found',
        'publication "peerflow_pub_x" does not exist Where:slot "peerflow_slot_x", LSN 0/1E08',
        "write tcp 127.0.0.1:5432->127.0.0.1:6543: write: broken pipe",
        "see https://docs.peerdb.io/connect?from=a&to=b or ask x@example.com",
        "invalid private key: asn1: structure error",
        "a bearer must have a name; an authorization failed",
        "clone_orders_public_users_0d4c9b1e-1d1f: pulled rows 1..100",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "PEERDB_S3_SECRET",
        "GITHUB_TOKEN",
        "pgpassword",
        "dbPass",
        "clientSecret",
        "SharedAccessKey",
        "AWSSecretAccessKey",
        "credentials",
        "api-key",
        "accessToken",
        "password2",
        "PASSWORD_HASH",
    ],
)
def test_the_name_of_a_setting_can_say_that_it_holds_a_secret(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize(
    "name",
    ["PEERDB_MAX_SYNCS", "PEERDB_PRIMARY_KEY", "secretName", "tokenizer", "passport", "monkey", "passwordFile", ""],
)
def test_most_names_say_nothing_of_the_kind(name: str) -> None:
    assert not names_a_secret(name)


def test_only_the_values_of_secret_settings_are_secret() -> None:
    settings = {
        "PEERDB_S3_SECRET": "hunter2",
        "PEERDB_API_TOKEN": "abc",
        "PEERDB_SCHEMA": "public",
        "PEERDB_MAX": "100",
    }

    assert secret_values(settings) == {"hunter2"}


def test_a_short_value_is_hidden_as_a_word_and_a_long_one_anywhere() -> None:
    values = {"hunter2", "hunter2-again", "a.long+value!"}

    assert without("hunter2 xhunter2 hunter2s (hunter2)", values) == "*** xhunter2 hunter2s (***)"
    assert without("xhunter2-again, %3Da.long+value!y", values) == "x***, %3D***y"


PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
SPACED = st.characters(min_codepoint=32, max_codepoint=126)


def a_secret(letters: st.SearchStrategy[str], first: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A canary with anything of these letters around it."""
    text = st.text(letters, max_size=12)
    return st.builds(lambda *parts: "".join(parts), first, text, st.just(CANARY), text)


LETTER = st.sampled_from("aZ9")
BARE = a_secret(PRINTABLE, LETTER)
IN_URL = a_secret(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'`"), LETTER)
IN_QUERY = a_secret(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="&"), LETTER)
IN_SINGLE = a_secret(SPACED, LETTER).map(lambda text: text.replace("\\", "").replace("'", "''"))
IN_JSON = a_secret(st.characters(exclude_categories=["Cs"]), LETTER)
NAMES = st.sampled_from(
    [
        "password",
        "PGPASSWORD",
        "sslpassword",
        "secret",
        "AWS_SECRET_ACCESS_KEY",
        "secret_key",
        "api_key",
        "apiKey",
        "token",
        "clientSecret",
        "passphrase",
        "account-key",
        "X-Auth-Token",
        "db.password",
        "pwd",
    ]
)
SEPARATORS = st.sampled_from(["=", ": ", " = ", ":", " => ", ":=", ":\n\t"])


def json_in(depth: int) -> Callable[[str, str], str]:
    def shape(name: str, secret: str) -> str:
        value: object = {"host": "db", name: secret, "user": "x"}
        for _ in range(depth):
            value = json.dumps(value)
        return str(value)

    return shape


SHAPES = st.one_of(
    st.builds("{}{}{}".format, NAMES, SEPARATORS, BARE),
    st.builds("{}{}'{}'".format, NAMES, SEPARATORS, IN_SINGLE),
    st.builds(json_in(1), NAMES, IN_JSON),
    st.builds(json_in(2), NAMES, IN_JSON),
    st.builds("postgres://user:{}@db:5432/app".format, IN_URL),
    st.builds('parse "https://user:{}@db": invalid'.format, IN_URL),
    st.builds("https://h/x?n=1&{}={}&m=2".format, NAMES.filter(lambda name: "." not in name), IN_QUERY),
    st.builds("{}: {} {}".format, st.sampled_from(["Authorization", "proxy-authorization"]),
              st.sampled_from(["Bearer", "Basic", "Negotiate", "AWS4"]), BARE),
    st.builds("-----BEGIN {} KEY-----\n{}\n-----END {} KEY-----".format, st.just("EC PRIVATE"), IN_JSON,
              st.just("EC PRIVATE")),
    st.builds("{}@tcp(db:3306)/app".format, st.builds("root:{}".format, a_secret(st.sampled_from("x/.!$"), LETTER))),
)  # fmt: skip
AROUND = st.sampled_from(
    [
        "",
        "dial failed: ",
        "ERROR: (SQLSTATE 28P01)\n\t",
        " at 10.0.0.1:5432, ",
        "[x] ",
        "a=b; ",
        "key: id ",
        "https://h/x ",
    ]
)


@given(AROUND, SHAPES, AROUND)
def test_no_canary_comes_through_in_any_of_these_shapes(before: str, shape: str, after: str) -> None:
    assert CANARY not in redacted(f"{before}{shape} {after}")
    assert CANARY not in one_line(f"{before}{shape} {after}", 100_000)


@given(st.integers(0, LONGEST_READ + 100), SHAPES)
def test_a_secret_that_is_cut_in_the_middle_does_not_come_through(padding: int, shape: str) -> None:
    text = f"{'x ' * (padding // 2)}{shape}"

    assert CANARY not in redacted(text)
    assert len(redacted(text)) <= LONGEST_READ


@given(st.text(max_size=300))
def test_any_text_can_be_redacted_and_redacted_again(text: str) -> None:
    once = redacted(text)

    assert set(redacted(once)) <= {*once, "*"}
