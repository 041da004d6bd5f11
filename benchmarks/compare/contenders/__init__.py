"""Everyone in the comparison, in the order of the table; report.py names the yardsticks."""

from benchmarks.compare.contender import Contender

_AT_LEAST_ONCE = "at least once: a run that dies and starts again repeats what it had sent"
_SLOW = 200_000

CONTENDERS = (
    Contender(
        "read-sql",
        "read_sql chunks, to_dict, AvroSerializer, produce + callback + poll",
        "read_sql",
        "hand-written",
        _AT_LEAST_ONCE,
        max_rows=_SLOW,
    ),
    Contender(
        "itertuples",
        "itertuples, fastavro, produce",
        "itertuples",
        "hand-written",
        _AT_LEAST_ONCE,
        max_rows=_SLOW,
    ),
    Contender(
        "fetchmany",
        "fetchmany, fastavro, produce",
        "fetchmany",
        "hand-written",
        _AT_LEAST_ONCE,
        max_rows=_SLOW,
    ),
    Contender(
        "arrow-kafka",
        "arrow-kafka-pyo3 (Rust)",
        "arrow_kafka",
        "peer",
        f"{_AT_LEAST_ONCE}; makes its own schema from the Arrow types, not the contract; its partitioner cannot be "
        "set, so keys land where no Java producer puts them",
        max_rows=1_000_000,
        peers=True,
        own_schema=True,
    ),
    Contender(
        "spark",
        "Spark's Kafka sink, local[2], from Parquet",
        "spark",
        "peer",
        "at least once: a task that is retried repeats its records; records of one run become visible one by one",
        max_rows=1_000_000,
        prepares=True,
        peers=True,
        needs=("java", "maven"),
    ),
    Contender(
        "debezium",
        "Kafka Connect, Debezium's initial snapshot of PostgreSQL",
        "debezium",
        "peer",
        "at least once: a snapshot that is interrupted begins again; makes its own schema, with instants as text; the "
        "figures are Connect's alone, PostgreSQL is not counted",
        max_rows=500_000,
        own_schema=True,
        needs=("java", "maven", "postgresql"),
    ),
    Contender(
        "sourced",
        "Sluice, sourced: query to ordered snapshot",
        "sluice_stages",
        "stage",
        "",
        variant="sourced",
        writes=False,
    ),
    Contender(
        "transformed",
        "Sluice, transformed: snapshot to conformed snapshot",
        "sluice_stages",
        "stage",
        "",
        variant="transformed",
        writes=False,
        prepares=True,
    ),
    Contender(
        "encoded",
        "Sluice, encoding alone: snapshot to framed Avro in memory",
        "sluice_stages",
        "stage",
        "",
        variant="encoded",
        writes=False,
        prepares=True,
    ),
    Contender(
        "published",
        "Sluice, published: snapshot to committed records",
        "sluice_stages",
        "stage",
        "exactly once",
        variant="published",
        prepares=True,
    ),
    Contender(
        "sluice",
        "Sluice end to end through Dagster, not read back",
        "sluice_run",
        "sluice",
        "exactly once: records and ledger commit together; validated against the contract before the first is sent",
        variant="trusting",
    ),
    Contender(
        "sluice-reconciled",
        "Sluice end to end through Dagster, as it comes: read back and compared",
        "sluice_run",
        "sluice",
        "exactly once, and every record was read back from the topic and compared with the snapshot",
        variant="reconciled",
    ),
    Contender(
        "raw-c",
        "raw librdkafka in C, keyed, transactional; records encoded beforehand",
        "raw_c",
        "limit",
        "transactional in itself; no ledger, so a second run repeats everything",
        variant="transactional",
        max_rows=8_000_000,
        prepares=True,
        needs=("gcc", "librdkafka-dev"),
    ),
    Contender(
        "raw-c-idempotent",
        "raw librdkafka in C, keyed, no transactions; records encoded beforehand",
        "raw_c",
        "limit",
        _AT_LEAST_ONCE,
        variant="idempotent",
        max_rows=8_000_000,
        prepares=True,
        needs=("gcc", "librdkafka-dev"),
    ),
)

# These were considered, but the package clients of this benchmark cannot install them.
ABSENT = {
    "Kafka Connect with a JDBC source": "no JDBC source connector is on Maven Central: Aiven's is released on its project page only, "
    "Confluent's in Confluent's own repository",
    "Redpanda Connect": "built from Go modules; the Go module proxy refuses github.com/redpanda-data/connect/v4 and its engine, "
    'benthos/v4 ("This module version is not available")',
}
