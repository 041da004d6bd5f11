"""What every test may ask for."""

pytest_plugins = ["tests.fixtures_servers", "tests.fixtures_postgres"]
