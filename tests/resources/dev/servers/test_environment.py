"""A server for development gets the environment variables that any program needs, and no settings."""

from resources.dev.servers.environment import clean_environment, without_settings

ENVIRON = {
    "PATH": "/bin",
    "LC_ALL": "C",
    "JAVA_HOME": "/java",
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",
    "SLUICE_KAFKA_SASL_PASSWORD": "zebraball",
    "SLUICE_HOME": "/home",
    "PGPASSWORD": "zebraball",
    "AWS_SECRET_ACCESS_KEY": "zebraball",
    "HTTPS_PROXY": "http://me:zebraball@proxy",
    "SOMETHING": "else",
}


def test_a_server_is_told_what_any_program_needs() -> None:
    assert set(clean_environment(ENVIRON)) == {"PATH", "LC_ALL", "JAVA_HOME", "JAVA_TOOL_OPTIONS"}


def test_a_needed_variable_with_a_password_in_it_is_left_out() -> None:
    options = "-Djavax.net.ssl.keyStorePassword=zebraball"
    assert "JAVA_TOOL_OPTIONS" not in clean_environment({**ENVIRON, "JAVA_TOOL_OPTIONS": options})


def test_a_program_that_fetches_files_keeps_its_proxy() -> None:
    assert set(ENVIRON) - set(without_settings(ENVIRON)) == {
        "SLUICE_KAFKA_SASL_PASSWORD",
        "SLUICE_HOME",
        "PGPASSWORD",
    }
