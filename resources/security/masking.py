"""Which part of a setting is secret: what may be shown of its value, and what must not appear in any text.

A value may be malformed, and a parser may then cut it at any place. So nothing here requires a URL that can
be parsed. These parts are masked: in an address, everything from `://` to the last `@`; in its query, every
value, except those of parameters that are known to hold no secret; a list of `key=value`, as a whole; a
property that Sluice does not know, its whole value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

STARS = "********"

# The properties of librdkafka 2.16 whose values may be shown. All others are masked, also misspelt ones.
_KAFKA = frozenset(
    """
    acks allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms
    auto.commit.enable auto.commit.interval.ms auto.offset.reset batch.num.messages batch.size bootstrap.servers
    broker.address.family broker.address.ttl broker.version.fallback builtin.features check.crcs client.dns.lookup
    client.id client.rack compression.codec compression.level compression.type connections.max.idle.ms
    consume.callback.max.messages coordinator.query.interval.ms debug delivery.report.only.error delivery.timeout.ms
    enable.auto.commit enable.auto.offset.store enable.gapless.guarantee enable.idempotence enable.metrics.push
    enable.partition.eof enable.random.seed enable.sasl.oauthbearer.unsecure.jwt enable.ssl.certificate.verification
    fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes fetch.min.bytes fetch.queue.backoff.ms
    fetch.wait.max.ms group.id group.instance.id group.protocol group.protocol.type group.remote.assignor
    heartbeat.interval.ms https.ca.location internal.termination.signal isolation.level linger.ms
    log.connection.close log.queue log.thread.name log_level max.in.flight max.in.flight.requests.per.connection
    max.partition.fetch.bytes max.poll.interval.ms max.poll.records message.copy.max.bytes message.max.bytes
    message.send.max.retries message.timeout.ms metadata.broker.list metadata.max.age.ms
    metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy offset.store.method offset.store.path
    offset.store.sync.interval.ms partition.assignment.strategy partitioner plugin.library.paths produce.offset.report
    queue.buffering.backpressure.threshold queue.buffering.max.kbytes queue.buffering.max.messages
    queue.buffering.max.ms queued.max.messages.kbytes queued.min.messages queuing.strategy receive.message.max.bytes
    reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms request.required.acks request.timeout.ms
    retries retry.backoff.max.ms retry.backoff.ms sasl.kerberos.keytab sasl.kerberos.min.time.before.relogin
    sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism sasl.mechanisms
    sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
    sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
    sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
    sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
    sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.assertion.private.key.file
    sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.id sasl.oauthbearer.grant.type
    sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.method sasl.oauthbearer.scope
    sasl.oauthbearer.sub.claim.name sasl.oauthbearer.token.endpoint.url sasl.username security.protocol
    session.timeout.ms share.acknowledgement.mode socket.blocking.max.ms socket.connection.setup.timeout.ms
    socket.keepalive.enable socket.max.fails socket.nagle.disable socket.receive.buffer.bytes
    socket.send.buffer.bytes socket.timeout.ms ssl.ca.certificate.stores ssl.ca.location ssl.certificate.location
    ssl.cipher.suites ssl.crl.location ssl.curves.list ssl.endpoint.identification.algorithm ssl.engine.id
    ssl.engine.location ssl.key.location ssl.keystore.location ssl.providers ssl.sigalgs.list statistics.interval.ms
    sticky.partitioning.linger.ms topic.blacklist topic.metadata.propagation.max.ms
    topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms
    topic.metadata.refresh.sparse transaction.timeout.ms transactional.id
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
)
_REGISTRY = frozenset(
    """
    url proxy timeout max.retries retries.wait.ms retries.max.wait.ms cache.capacity cache.latest.ttl.sec
    ssl.ca.location ssl.certificate.location ssl.key.location basic.auth.credentials.source
    bearer.auth.credentials.source bearer.auth.logical.cluster bearer.auth.identity.pool.id bearer.auth.client.id
    bearer.auth.scope bearer.auth.issuer.endpoint.url
    """.split()  # noqa: SIM905
)
# Values of these groups and settings are addresses; all other settings without a group
# are numbers, switches or names.
_ADDRESSES = re.compile(
    r"warehouse\..*|snapshots|ui_hosts|registry\.(url|proxy|.*\.url)|kafka\.(bootstrap\.servers|metadata\.broker\.list|.*\.url)"
)
_CONSUMERS = "consumers"
# Users and names of things that messages mention.
_NAMES = re.compile(
    r"warehouse\..*|consumers\..*|snapshots|home|code_location|ledger_topic|registry\.url|kafka\.(bootstrap\.servers|sasl\.username)"
)
# Parameters in the query of an address (libpq's, fsspec's) whose values may be shown.
_PARAMETERS = frozenset(
    """
    host hostaddr port dbname user passfile require_auth channel_binding connect_timeout client_encoding options
    application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count
    tcp_user_timeout replication gssencmode sslmode requiressl sslnegotiation sslcompression sslcert sslkey
    sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version
    krbsrvname gsslib gssdelegation service target_session_attrs load_balance_hosts
    region endpoint endpoint_url use_ssl anon account_name project scheme version
    """.split()  # noqa: SIM905
)
_NAMES_A_SECRET = re.compile(
    r"pas+w|passphrase|pwd|secret|token(?!\.endpoint)|credential(?!s\.source)|user\.info|jaas|private|signature|"
    r"\bsig\b|(access|api|account|storage|sas|shared)[._-]?key|connection[._]?string|\.pem$",
    re.IGNORECASE,
)
# `password=…` or `secret: …` in a text, with or without quotes.
_PAIR = re.compile(
    r"(?P<name>\w*(?:passw|passwd|pwd|passphrase|secret|token|api_?key|access_?key|account_?key)\w*)\s*[=:]\s*"
    r"(?P<value>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s;,&]+)",
    re.IGNORECASE,
)
_IN_A_LIST = re.compile(
    rf"(?is)\bpassword\s*=\s*(.*?)(?=\s(?:{'|'.join(sorted(_PARAMETERS))}|sslpassword|password)\s*=|$)"
)
_URL = re.compile(r"^[\w+.:-]*?://", re.ASCII)
_NEXT_URL = re.compile(r",(?=\s*[\w+.-]+://)", re.ASCII)
# A login inside another text. A quote that ends the URL is followed by punctuation;
# another quote may be in a password.
_LOGIN = re.compile(r"""(?<=://)[^\s/@:]*:(?:[^\s"'<>]|["'<>](?![,:;)\]}>\s]|$)){0,3000}@""")
# These URLs have no login: after the scheme comes a path on this machine.
_OF_FILES = re.compile(r"^(duckdb|file|local):///", re.IGNORECASE)
_FILE_NAME = re.compile(r"[/.~]")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
# If a login is not percent-encoded, a parser would cut it at these characters.
_CUTS = re.compile(r"[/@?#:\[\]\\\s%]+")
_MALFORMED = re.compile(r"[/@?#\[\]\\\s]|%(?![0-9a-fA-F]{2})")
_LEAST_TOKEN = 16


@dataclass(frozen=True)
class Secret:
    """A text that must not appear anywhere. `user`: the user whose password it is, if the setting names one
    next to it. `cut`: a parser may cut the value, so that parts of it may appear."""

    text: str
    user: str = ""
    cut: bool = False

    @property
    def parts(self) -> list[str]:
        """The parts into which a parser may cut it; empty unless `cut`."""
        return [part for part in _CUTS.split(self.text) if part] if self.cut else []


def is_shown(name: str) -> bool:
    """Whether the value of the setting `name` (`kafka.sasl.username`) may be shown,
    as far as the name decides."""
    group, _, rest = name.partition(".")
    if group == "kafka":
        return rest in _KAFKA
    if group == "registry":
        return rest in _REGISTRY
    return group in ("warehouse", _CONSUMERS) or not rest


def mask(name: str, value: str) -> str:
    """What may be shown of the value of the setting `name`: `batch_rows`,
    `kafka.sasl.username`, `warehouse.erp`."""
    if not value or not is_shown(name):
        return value and STARS
    if name.startswith(f"{_CONSUMERS}."):
        return value  # the name of a service may be token-service, and the id of its group is no secret
    if _ADDRESSES.fullmatch(name):
        return mask_address(value)
    return STARS if _PAIR.search(value) else mask_logins(value)


def mask_logins(text: str) -> str:
    """`text` without the logins of the URLs in it. A login ends at the last @, because
    a password may contain an @."""
    return _LOGIN.sub(f"{STARS}@", text) if "@" in text else text


def mask_address(value: str) -> str:
    """A URL, several URLs separated by commas, or a file name; without logins and without
    values of unknown parameters."""
    return ",".join(_masked_one(one) for one in _NEXT_URL.split(value))


def _masked_one(value: str) -> str:
    found = _URL.match(value)
    if found is None:
        if _FILE_NAME.match(value):
            return value
        if "=" in value:
            return STARS
        if ":" in value and "@" in value:
            return f"{STARS}{value[value.rindex('@') :]}"
        return _masked_ports(value, whole=False)
    scheme, rest = found[0], value[found.end() :]
    if ":" in scheme[:-3]:
        # The text before `://` may itself be a login, and `://` may be a part of its password.
        scheme = f"{STARS}://"
    path, mark, query = rest.partition("?")
    if _OF_FILES.match(value):
        return f"{scheme}{path}{mark}{_masked_query(query)}"
    if "@" in rest:
        # The password may contain every character that normally ends it: only
        # the last @ is certainly after it.
        rest = rest.rpartition("@")[2]
        scheme = f"{scheme}{STARS}@"
        path, mark, query = rest.partition("?")
    path, number_sign, fragment = path.partition("#")
    return f"{scheme}{_masked_ports(path, whole=True)}{number_sign}{fragment and STARS}{mark}{_masked_query(query)}"


def _masked_ports(path: str, *, whole: bool) -> str:
    """A path that begins with hosts and ports. A text at the place of a port that is not a port may be
    a password without its `@`."""
    hosts, slash, rest = path.partition("/")
    if all(_HOST_AND_PORT.fullmatch(one.strip()) for one in hosts.split(",")):
        return path
    shown = ",".join(
        one if _HOST_AND_PORT.fullmatch(one.strip()) else f"{one.partition(':')[0]}:{STARS}"
        for one in hosts.split(",")
    )
    return shown if whole else f"{shown}{slash}{rest}"


def _masked_query(query: str) -> str:
    def shown(pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not equals:
            return pair and STARS
        return pair if unquote(name).lower() in _PARAMETERS or not value else f"{name}={STARS}"

    return "&".join(map(shown, query.split("&")))


def malformed_login(url: str) -> bool:
    """Whether the user or password in the URL contain characters that must be percent-encoded there, so that
    a parser reads a part of them as something else."""
    login, at, _ = url.partition("://")[2].rpartition("@")
    return bool(at and _MALFORMED.search(login))


def secrets_of(name: str, value: str) -> Iterator[Secret]:
    """The secret parts of the value of the setting `name`; `name` need not be a known setting."""
    if not value or name.startswith(f"{_CONSUMERS}."):
        return
    named = bool(_NAMES_A_SECRET.search(name))
    if (not is_shown(name) or named) and (named or _may_be_secret(value)):
        user, colon, password = value.partition(":")
        if "user" in name and "info" in name and colon:
            yield Secret(password, user)
        yield Secret(value)
        yield from (Secret(line) for line in value.splitlines() if len(line) >= _LEAST_TOKEN)
    yield from _in_text(value)
    several = _NEXT_URL.split(value)
    for one in several:
        yield from _in_address(one, lax=bool(_ADDRESSES.fullmatch(name)))
    if len(several) > 1:
        # What looks like the next URL of several may be a part of the first URL's password.
        yield from (Secret(secret.text) for secret in _in_address(value, lax=False))


def secrets_of_environment(environ: Mapping[str, str]) -> Iterator[Secret]:
    """The secrets in environment variables that are not settings of Sluice, and that its libraries read:
    PGPASSWORD, the keys of an object store, the login of a proxy."""
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            yield from _in_address(value, lax=True)
        elif _NAMES_A_SECRET.search(name) and not _FILE_NAME.match(value):
            yield from secrets_of(f"environment.{name}", value)


def shown_words(name: str, value: str) -> Iterator[str]:
    """Users, hosts and names in a setting, which are shown. If a password equals one of them, it is masked
    only at the place of a password."""
    if not _NAMES.fullmatch(name):
        return
    yield from (word for word in re.findall(r"\w+", mask(name, value)) if word)
    yield value
    for one in _NEXT_URL.split(value):
        user = re.match(r"[\w+.-]+://([^:/@\s]+)[:@]", one)
        if user and len(user[1]) < _LEAST_TOKEN:
            yield unquote(user[1])


def _in_text(value: str) -> Iterator[Secret]:
    for pair in _PAIR.finditer(value):
        text = pair["value"]
        if text[0] in "'\"" and text[-1] == text[0] and len(text) > 1:
            text = text[1:-1]
        yield Secret(text)
        yield Secret(re.sub(r"\\(.)", r"\1", text))
    # In a list of `key=value`, a value with blanks must be quoted. If it is not, it ends only at the next
    # known key of such a list: any other word with an equals sign may be a part of it.
    for pair in _IN_A_LIST.finditer(value):
        yield Secret(pair[1].strip(" '\""), cut=True)


def _in_address(value: str, *, lax: bool) -> Iterator[Secret]:
    found = _URL.match(value)
    if _OF_FILES.match(value):
        return
    if found is None and (not lax or _FILE_NAME.match(value)):
        return
    if found is None or ":" in found[0][:-3]:
        # The text before `://` may itself be a login, and `://` may be a part of its password.
        yield from _in_rest(value, "", whole=True)
    if found:
        yield from _in_rest(value[found.end() :], found[0], whole=False)


def _in_rest(rest: str, scheme: str, *, whole: bool) -> Iterator[Secret]:
    """The secrets in an address after its scheme. `whole`: the text is taken without a scheme."""
    login, at, behind = rest.rpartition("@")
    if at:
        user, _, password = login.partition(":")
        # `host:8081/path@2`: an address with its port, without a login.
        port = re.match(r"\d+/", password)
        if port:
            yield Secret(password)
        elif password:
            yield Secret(password, user, cut=bool(_MALFORMED.search(login)) or whole)
        elif len(login) >= _LEAST_TOKEN and "/" not in login and not scheme.lower().startswith("postgres"):
            yield Secret(user)
    else:
        hosts = rest.partition("?")[0]
        for one in hosts.partition("/")[0].split(","):
            if not _HOST_AND_PORT.fullmatch(one.strip()) and ":" in one:
                yield Secret(hosts.partition(":")[2], cut=True)
    for text in {rest.partition("?")[2], behind.partition("?")[2] if at else ""}:
        for pair in re.split("[&;]", text):
            name, equals, secret = pair.partition("=")
            if equals and unquote(name).lower() in _PARAMETERS:
                continue
            if not equals and "@" in name:
                continue  # it is a part of a login
            secret = secret if equals else name
            if _NAMES_A_SECRET.search(unquote(name)) or (len(secret) >= 6 and _may_be_secret(secret)):
                yield Secret(secret)


def _may_be_secret(value: str) -> bool:
    """Whether the value of an unknown property may be secret. Numbers, switches and dates are
    not: many texts contain them."""
    return not re.fullmatch(r"[\d.,:TZ+\-]*|true|false|yes|no|on|off|none|null", value, re.IGNORECASE)
