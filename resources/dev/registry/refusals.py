"""The answers with which the registry refuses, with Confluent's HTTP and error codes.

Source: Confluent Schema Registry API reference, "Errors".
"""


class RefusedError(Exception):
    """The registry answers it as `{"error_code": …, "message": …}` with the HTTP status `http_status`."""

    def __init__(self, http_status: int, error_code: int, message: str) -> None:
        self.http_status = http_status
        self.error_code = error_code
        self.message = message
        super().__init__(message)


def no_subject(subject: str) -> RefusedError:
    return RefusedError(404, 40401, f"Subject '{subject}' not found.")


def no_version(version: object) -> RefusedError:
    return RefusedError(404, 40402, f"Version {version} not found.")


def no_schema(what: object) -> RefusedError:
    return RefusedError(404, 40403, f"Schema {what} not found")


def not_soft_deleted(subject: str) -> RefusedError:
    return RefusedError(
        404, 40405, f"Subject '{subject}' was not deleted first before being permanently deleted"
    )


def no_subject_config(subject: str) -> RefusedError:
    return RefusedError(
        404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured"
    )


def incompatible(subject: str, messages: list[str]) -> RefusedError:
    return RefusedError(
        409,
        409,
        f'Schema being registered is incompatible with an earlier schema for subject "{subject}", '
        f"details: {messages}",
    )


def invalid_schema(why: str) -> RefusedError:
    # The message may quote the schema, which may contain half of a surrogate pair; UTF-8 cannot encode that.
    shown = why.encode("utf-8", "backslashreplace").decode()
    return RefusedError(422, 42201, f"Invalid schema: {shown}")


def invalid_version(version: object) -> RefusedError:
    return RefusedError(
        422,
        42202,
        f"The specified version '{version}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def invalid_level(level: object, allowed: list[str]) -> RefusedError:
    return RefusedError(
        422, 42203, f"Invalid compatibility level {level!r}. Valid values are {', '.join(allowed)}"
    )
