"""What the UI shows of an event before anything has run."""

import dagster as dg

from pipelines.authoring.event import Event


def contract_columns(event: Event) -> dg.TableSchema:
    """The contract's fields as a Dagster column schema."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.arrow_type),
                description=field.doc,
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in event.contract.fields
        ]
    )


def agreements(event: Event) -> dict[str, object]:
    """The event's declared topic settings, consumers and promise, as metadata of its asset."""
    found: dict[str, object] = {}
    if event.topic_settings:
        found["topic_settings"] = str(event.topic_settings)
    if event.consumers:
        found["consumers"] = ", ".join(event.consumers)
    if event.promise:
        found["promise"] = str(event.promise)
    return found


def code_references(event: Event) -> dg.CodeReferencesMetadataValue:
    """The event's module and contract, which the UI can open."""
    return dg.CodeReferencesMetadataValue(
        code_references=[
            dg.LocalFileCodeReference(
                file_path=str(event.module_path), line_number=event.function_line, label="event module"
            ),
            dg.LocalFileCodeReference(file_path=str(event.contract.path), line_number=1, label="contract"),
        ]
    )
