"""Settings: where they come from, what is refused, and in which words."""

from pathlib import Path

import pytest

from peerdb_operator.settings import (
    ENV_PREFIX,
    LogFormat,
    NamespaceDeletion,
    Settings,
    SettingsError,
    flag_of,
    load_settings,
    variable_of,
)

URL = "http://flow-api:8113"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)


def refusal(**flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings({"peerdb_url": URL, **flags})
    (sentence,) = caught.value.sentences
    return sentence


def test_the_numbers_are_the_documented_ones_when_nothing_is_set() -> None:
    settings = load_settings({"peerdb_url": URL})
    assert settings.tick_seconds == 10
    assert settings.pausing_look_seconds == 0.5
    assert settings.transition_look_seconds == 1
    assert settings.config_sample_seconds == settings.anti_entropy_seconds == 300
    assert (settings.outage_quiet_seconds, settings.outage_unknown_seconds) == (30, 300)
    assert settings.deadline_pausing_seconds == 300
    assert settings.deadline_setup_seconds == settings.deadline_modifying_seconds == 600
    assert settings.deadline_terminating_seconds == 900
    assert settings.deadline_snapshot_seconds == 1800
    assert (settings.phase_quiet_seconds, settings.progress_write_seconds) == (2, 30)
    assert (settings.brake_drops, settings.brake_seconds) == (5, 600)
    assert settings.namespace_deletion is NamespaceDeletion.RELEASE
    assert settings.namespaces == ()
    assert settings.log_format is LogFormat.JSON


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDB_URL", "http://from-environment")
    monkeypatch.setenv("PEERDB_OPERATOR_TICK_SECONDS", "20")
    monkeypatch.setenv("KUBECONFIG", "config-of-the-environment")
    settings = load_settings({"peerdb_url": URL})
    assert settings.peerdb_url == URL
    assert settings.tick_seconds == 20
    assert settings.kubeconfig == "config-of-the-environment"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDB_PASSWORD", "")
    monkeypatch.setenv("KUBECONFIG", "")
    settings = load_settings({"peerdb_url": URL})
    assert settings.peerdb_password is None
    assert settings.kubeconfig is None


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://flow-api:8113", "http://flow-api:8113"),
        ("http://flow-api:8113/", "http://flow-api:8113"),
        (" https://peerdb.example.com/api// ", "https://peerdb.example.com/api"),
        ("http://[::1]:8113", "http://[::1]:8113"),
    ],
)
def test_the_base_address_is_taken_without_its_last_slash(given: str, base: str) -> None:
    assert load_settings({"peerdb_url": given}).peerdb_url == base


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://flow-api:8113/v1", "leave out the /v1 at the end: the base is http://flow-api:8113"),
        ("http://ui:3000/api/v1/", "leave out the /v1 at the end: the base is http://ui:3000/api"),
        ("flow-api:8113", "must look like"),
        ("ftp://flow-api", "must look like"),
        ("http://", "must look like"),
        ("http://flow-api:99999", "port out of range"),
        ("http://flow-api?x=1", "leave out everything from the ? or # on"),
    ],
)
def test_a_wrong_address_is_refused_with_a_hint(given: str, words: str) -> None:
    sentence = refusal(peerdb_url=given)
    assert sentence.startswith("--peerdb-url (PEERDB_URL): ")
    assert words in sentence


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    sentence = refusal(peerdb_url="http://user:hunter2@flow-api")
    assert "PEERDB_PASSWORD" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("given", ["proxy:3128", "socks5://proxy:1080", "http://", "http://me:hunter2@proxy:3128"])
def test_a_wrong_proxy_is_refused_with_a_hint_and_not_repeated(given: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"peerdb_url": URL, "peerdb_proxy": given})
    (sentence,) = caught.value.sentences
    assert sentence.startswith("--peerdb-proxy (PEERDB_PROXY): ")
    assert "http://proxy.example.com:3128" in sentence or "HTTPS_PROXY" in sentence
    assert "hunter2" not in sentence


def test_what_is_missing_is_named_with_an_example() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({})
    (sentence,) = caught.value.sentences
    assert sentence.startswith("--peerdb-url (PEERDB_URL) is not set")
    assert "http://flow-api:8113" in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tick_seconds", "0"),
        ("tick_seconds", "-1"),
        ("tick_seconds", "soon"),
        ("tick_seconds", "nan"),
        ("tick_seconds", "inf"),
        ("pausing_look_seconds", "0.01"),
        ("concurrency", "0"),
        ("concurrency", "1.5"),
        ("brake_drops", "-1"),
        ("health_port", "70000"),
        ("namespace_deletion", "drop"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("cluster_id", "a/b"),
        ("namespaces", "Data"),
        ("namespaces", "*"),
        ("peerdb_ca_file", "/does/not/exist"),
        ("peerdb_password_file", "/does/not/exist"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence_that_names_flag_and_variable(name: str, value: str) -> None:
    sentence = refusal(**{name: value})
    assert sentence.startswith(f"{flag_of(name)} ({variable_of(name)}): ")
    assert repr(value) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("text", ["data,crm", "data, crm", " data crm ", "data,,crm,data"])
def test_namespaces_are_separated_by_commas_or_blanks(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings({"peerdb_url": URL, "namespaces": text}).namespaces == ("data", "crm")
    monkeypatch.setenv("PEERDB_OPERATOR_NAMESPACES", text)
    assert load_settings({"peerdb_url": URL}).namespaces == ("data", "crm")


def test_password_and_password_file_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("hunter2")
    monkeypatch.setenv("PEERDB_PASSWORD", "hunter2")
    sentence = refusal(peerdb_password_file=str(tmp_path / "password"))
    assert "exclude each other" in sentence
    assert "hunter2" not in sentence


def test_a_later_outage_limit_may_not_be_shorter_than_the_first() -> None:
    sentence = refusal(outage_quiet_seconds="60", outage_unknown_seconds="30")
    assert "--outage-unknown-seconds (PEERDB_OPERATOR_OUTAGE_UNKNOWN_SECONDS)" in sentence


def test_the_password_never_shows_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERDB_PASSWORD", "hunter2")
    settings = load_settings({"peerdb_url": URL})
    assert settings.peerdb_password is not None
    assert settings.peerdb_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_misspelt_variable_is_refused_with_the_likely_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{ENV_PREFIX}NAMESPACE", "data")
    assert refusal() == "PEERDB_OPERATOR_NAMESPACE is not a setting: did you mean PEERDB_OPERATOR_NAMESPACES?"


def test_what_the_kubelet_sets_for_a_service_is_not_taken_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"):
        monkeypatch.setenv(f"{ENV_PREFIX}{name}", "tcp://10.0.0.1:8080")
    assert load_settings({"peerdb_url": URL}).health_port == 8080


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
