"""An Apache Kafka with active ACLs:
a listener without login for the tests, one with logins for the code under test."""

import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress

LOGIN, PASSWORD = "publisher", "publisher-secret"

_SECURED = """\
listeners=PLAINTEXT://{host}:{port},LOGIN://{host}:{login_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port},LOGIN://{host}:{login_port},CONTROLLER://{host}:{controller_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{login}="{password}";
"""


class SecuredKafka(ApacheKafka):
    """As ApacheKafka; the third port is the listener with logins."""

    name = "kafka-secured"
    port_count = 3

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:
        port, controller_port, login_port = ports
        launch = super().prepare(folder, (port, controller_port), progress)
        # If two lines have the same name, the last one counts.
        with (folder / "server.properties").open("a") as properties:
            properties.write(
                _SECURED.format(
                    host=LOOPBACK,
                    port=port,
                    controller_port=controller_port,
                    login_port=login_port,
                    login=LOGIN,
                    password=PASSWORD,
                )
            )
        return launch


KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}

Right = tuple[str, str, str]
"""Kind of resource, its name, operation. A name that ends in `*` is a prefix."""


class Acls:
    """The rights of the login; at first it has none."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def set(self, *rights: Right) -> None:
        """Give these rights, and no others; they are in force when this returns."""
        for done in self._admin.delete_acls([_OF_THE_LOGIN]).values():
            done.result()
        wanted = [_binding(*right) for right in rights]
        if wanted:
            for done in self._admin.create_acls(wanted).values():
                done.result()
        # The controller has them; the broker's authorizer gets them later.
        deadline = time.monotonic() + 60
        while len(self._admin.describe_acls(_OF_THE_LOGIN).result()) != len(wanted):
            assert time.monotonic() < deadline, "ACLs are not in force after 60 s"
            time.sleep(0.05)


_OF_THE_LOGIN = AclBindingFilter(
    ResourceType.ANY,
    None,  # type: ignore[arg-type]
    ResourcePatternType.ANY,
    f"User:{LOGIN}",
    None,  # type: ignore[arg-type]
    AclOperation.ANY,
    AclPermissionType.ANY,
)


def _binding(kind: str, name: str, operation: str) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    return AclBinding(
        KINDS[kind],
        name.removesuffix("*"),
        pattern,
        f"User:{LOGIN}",
        "*",
        AclOperation[operation],
        AclPermissionType.ALLOW,
    )
