"""Text of the author and of the warehouse,
written into a Python file so that Python reads exactly this text again.

Whoever may create a table chooses the names of tables and columns. No name may end a literal and continue as
code.
"""

import ast
import json
import unicodedata
from collections.abc import Iterable

from resources.errors import SluiceError

# Control characters; marks that change the order in which text is shown;
# line and paragraph separators; surrogates.
_REFUSED = {"Cc", "Cf", "Zl", "Zp", "Cs"}


_IN_A_VIEW = "give it another name in a view, and draft the event from that"


def require_plain(what: str, names: Iterable[str], next_step: str = _IN_A_VIEW) -> None:
    """Raises SluiceError for the first name with a character that is not shown,
    or that changes how others are shown."""
    for name in names:
        for character in name:
            if unicodedata.category(character) in _REFUSED:
                raise SluiceError(
                    f"{what} {name!a}",
                    f"has the control character U+{ord(character):04X} in its name",
                    allowed="characters that can be seen",
                    next_step=next_step,
                )


def literal(text: str) -> str:
    """`text` as a Python literal on one line."""
    written = json.dumps(text, ensure_ascii=False)
    return written if _read(written) == text else ascii(text)


def block(text: str) -> str:
    """`text`, which may have several lines, between triple quotes.
    It must not end with a quote or a backslash."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    written = f'"""{escaped}"""'
    if _read(written) != text:
        raise ValueError(f"cannot be written as a block: {text!a}")
    return written


def _read(written: str) -> object:
    try:
        return ast.literal_eval(written)
    except (SyntaxError, ValueError):
        return None


def require_declaration(
    module: str, *, name: str, cadence: str, arguments: dict[str, str], start: str
) -> None:
    """Require that `module` is nothing but the intended declaration: a docstring, two imports, and one
    function under `@event` whose arguments are these texts. Nothing of it is run. Raises ValueError."""
    docstring, pandas, pipelines, function = ast.parse(module).body
    meant = ast.parse(
        f'"""x"""\nimport pandas as pd\nfrom pipelines import {cadence}, event\n\n'
        f'@event()\ndef {name}(rows: pd.DataFrame) -> pd.DataFrame:\n    """The rows as the warehouse gives them."""\n'
        "    return rows\n"
    ).body
    assert isinstance(function, ast.FunctionDef)
    (decorator,) = function.decorator_list
    assert isinstance(decorator, ast.Call) and isinstance(meant[3], ast.FunctionDef)
    given = {keyword.arg: keyword.value for keyword in decorator.keywords}
    windows = ast.parse(f"{cadence}({literal(start)})", mode="eval").body
    texts = {argument: value.value for argument, value in given.items() if isinstance(value, ast.Constant)}
    decorator.keywords = []
    same = [
        isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant),
        ast.dump(pandas) == ast.dump(meant[1]),
        ast.dump(pipelines) == ast.dump(meant[2]),
        ast.dump(function) == ast.dump(meant[3]),
        ast.dump(given.pop("windows")) == ast.dump(windows),
        texts == arguments and set(given) == set(arguments),
    ]
    if not all(same):
        raise ValueError(f"the draft of {name} is not the declaration that was meant")
