"""From source rows to contract rows: the author's transform, exact conforming, dead letters."""

from pipelines.transform.dead_letters import DEAD_LETTER_SCHEMA, LETTERS_SCHEMA, Reason
from pipelines.transform.errors import ConformError, ConformProblem, TransformFailed
from pipelines.transform.sameness import same_buffers
from pipelines.transform.transformer import MOST_RAISED_ROWS, TransformedBatch, Transformer

__all__ = [
    "DEAD_LETTER_SCHEMA",
    "LETTERS_SCHEMA",
    "MOST_RAISED_ROWS",
    "ConformError",
    "ConformProblem",
    "Reason",
    "TransformFailed",
    "TransformedBatch",
    "Transformer",
    "same_buffers",
]
