"""One event module, from its file to an `Event`, or to every mistake that prevents one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.authoring.agreements.names import read_consumers, read_tags
from pipelines.authoring.arguments import ArgumentMistake
from pipelines.authoring.code_version import code_version
from pipelines.authoring.declaration import EventDeclaration
from pipelines.authoring.event import Event
from pipelines.authoring.loading.alarm import alarm
from pipelines.authoring.loading.contract_checks import column_mistakes, field_mistakes, undocumented
from pipelines.authoring.loading.module_import import (
    PACKAGE,
    LoadTookTooLong,
    beyond_reading,
    failed_import,
    raised_in_words,
    run_module,
    unreadable,
)
from pipelines.authoring.loading.module_source import (
    CodeText,
    ModuleSource,
    argument_node,
    is_identity,
    line_of_sql,
    returns_nothing,
    unrepeatable_calls,
)
from pipelines.authoring.problems import (
    Collector,
    DeclarationError,
    DeclarationProblem,
    collecting,
    listing,
)
from pipelines.authoring.sql.analysis import analyse
from pipelines.authoring.sql.mistakes import SqlMistakes
from pipelines.authoring.sql.source_sql import SourceQuery
from pipelines.authoring.texts import WITHOUT_CONTROL, control_character
from pipelines.authoring.topics import TopicClaim
from pipelines.contract import Contract, ContractError, load_contract
from resources.wording import counted

_AUTHORING_NAMES = ["event", "limits", "hourly", "daily", "weekly", "monthly", "promise", "topic"]
# How many seconds the load of a module may take: enough for the import of a large library. After a module
# that used them up, the others have less: Dagster waits three minutes for a code location with all its
# modules.
_SECONDS, _SECONDS_THEN = 60.0, 10.0
_SHAPE = "one function under @event, named as its file"


@dataclass
class Resolution:
    """The result for one module: an event, or problems."""

    event: Event | None = None
    problems: list[DeclarationProblem] = field(default_factory=list)
    warnings: list[DeclarationProblem] = field(default_factory=list)


class Resolver:
    """Resolves the modules of one tree. `topics` has every topic that was claimed."""

    def __init__(self, root: Path, dialects: Mapping[str, str]) -> None:
        self._root = root
        self._dialects = dialects
        self._code = CodeText(root)
        self._seconds = _SECONDS
        self.topics: list[TopicClaim] = []

    def resolve(self, path: Path) -> Resolution:
        """Import and check the module at `path`, which is `<root>/<domain>/<event>.py`."""
        module = Module(path, self._root, self._dialects, self._code, self.topics)
        with alarm(self._seconds, LoadTookTooLong) as rang:
            try:
                found = module.resolve()
            except (Exception, LoadTookTooLong) as error:  # whatever it is, the other modules must be loaded
                file = f"{self._root.name}/{path.parent.name}/{path.name}"
                found = Resolution(problems=[beyond_reading(file, error)])
        if rang:
            self._seconds = _SECONDS_THEN
        return found


class Module:
    """One module and its contract; it can be resolved once."""

    def __init__(
        self,
        path: Path,
        root: Path,
        dialects: Mapping[str, str],
        code: CodeText,
        topics: list[TopicClaim],
    ) -> None:
        self._path, self._root, self._dialects, self._code, self._topics = path, root, dialects, code, topics
        self._domain, self._name = path.parent.name, path.stem
        self._file = f"{root.name}/{self._domain}/{path.name}"
        self._out = Resolution()

    def resolve(self) -> Resolution:
        """An event, or every mistake that prevents one."""
        contract = self._contract()
        try:
            source = self._source()
        except (SyntaxError, ValueError, OSError) as error:
            self._out.problems.append(unreadable(self._file, error))
            return self._out
        declaration = self._declaration(source)
        if declaration is None:
            return self._out
        function = source.function(declaration.function.__name__, declaration.line)
        arguments = declaration.arguments

        def line_of(argument: str) -> int:
            node = argument_node(function, declaration.line, argument) if function else None
            return node.lineno if node else declaration.line

        def report(mistakes: list[ArgumentMistake]) -> None:
            for argument, problem, allowed, next_step in mistakes:
                line = line_of(argument) if argument else (function.lineno if function else declaration.line)
                self._problem(line, problem, allowed, next_step)

        if declaration.sound("topic"):
            name = f"{self._domain}/{self._name}"
            self._topics.append(TopicClaim(name, arguments.topic_name, self._file, line_of("topic")))
        report(list(declaration.mistakes))
        identity = function is not None and is_identity(function)
        if function is not None:
            self._check_function(function.lineno, declaration, nothing=returns_nothing(function))
        query = None
        if declaration.sound("source"):
            node = argument_node(function, declaration.line, "source") if function else None
            query = self._query(
                declaration, lambda offset: line_of_sql(node, arguments.source, offset) or declaration.line
            )
        if contract is not None:
            misfits = list(field_mistakes(declaration, contract))
            report(misfits)
            if query is not None and "event_id" not in {mistake.argument for mistake in misfits}:
                report(list(column_mistakes(declaration, contract, query, identity=identity)))
        description = arguments.description or source.docstring
        if not description:
            self._problem(
                1,
                "the module says nowhere what happened",
                "a docstring as its first line",
                'write """A flight left its gate."""',
            )
        elif found := control_character(source.docstring or ""):
            self._problem(
                1, f"the docstring of the module has {found}, which no page can show", WITHOUT_CONTROL
            )
        for line, call in () if identity else unrepeatable_calls(source.tree):
            self._warn(
                line,
                f"the module calls {call}, which gives another value in every run: where it reaches a column, each "
                "re-run of a window publishes its events again, as corrections",
                "take the value from a column of the SQL: :window_start AS ..., or a time of the row itself",
            )
        if identity and arguments.whole_window and declaration.sound("whole_window"):
            self._warn(
                line_of("whole_window"),
                "whole_window=True costs memory, and the transform changes nothing",
                "leave it out",
            )
        if contract is not None and query is not None and description and not self._out.problems:
            code = "" if identity else self._code.of(self._path, source.tree)
            line = function.lineno if function else declaration.line
            self._out.event = self._event(
                declaration, contract, query, inspect.cleandoc(description), code, line, identity=identity
            )
        return self._out

    def _event(
        self,
        declaration: EventDeclaration,
        contract: Contract,
        query: SourceQuery,
        description: str,
        code: str,
        line: int,
        *,
        identity: bool,
    ) -> Event:
        arguments = declaration.arguments
        fields = (
            arguments.key,
            arguments.event_time,
            arguments.event_id,
            arguments.whole_window,
            # Daily and weekly windows share keys: 2013-01-07 is the rows of a day or of a week.
            arguments.windows.cadence,
        )
        return Event(
            domain=self._domain,
            name=self._name,
            topic=arguments.topic_name,
            key=arguments.key,
            event_time=arguments.event_time,
            windows=arguments.windows,
            owner=arguments.owner,
            description=description,
            source=query,
            transform=None if identity else declaration.function,
            contract=contract,
            module_path=self._path,
            function_line=line,
            code_version=code_version(
                normalised_sql=query.normalised,
                code=code,
                contract_fingerprint=contract.fingerprint,
                fields=fields,
            ),
            event_id=arguments.event_id,
            headers=arguments.headers,
            record_timestamp=arguments.record_timestamp,
            dead_letters=arguments.dead_letters,
            tombstones=arguments.tombstones,
            whole_window=arguments.whole_window,
            stale_writes=arguments.stale_writes,
            limits=arguments.limits,
            warehouse=arguments.warehouse,
            topic_settings=arguments.topic_settings,
            consumers=read_consumers(arguments.consumers)[0],
            promise=arguments.promise,
            tags=read_tags(arguments.tags)[0],
        )

    def _problem(
        self, line: int | None, problem: str, allowed: str | None = None, next_step: str | None = None
    ) -> None:
        self._out.problems.append(DeclarationProblem(self._file, line, problem, allowed, next_step))

    def _warn(self, line: int | None, problem: str, next_step: str | None) -> None:
        self._out.warnings.append(DeclarationProblem(self._file, line, problem, next_step=next_step))

    def _source(self) -> ModuleSource:
        return ModuleSource(self._path, self._file)

    def _loaded_contract(self, path: Path) -> Contract | None:
        """The contract; None if there is none. Raises ContractError."""
        return load_contract(path) if path.is_file() else None

    def _contract(self) -> Contract | None:
        path = self._path.with_suffix(".avsc")
        file = f"{self._root.name}/{self._domain}/{path.name}"
        try:
            contract = self._loaded_contract(path)
        except ContractError as error:
            for found in error.problems:
                where = f"field {found.field!r}: " if found.field else ""
                self._out.problems.append(
                    DeclarationProblem(file, None, f"{where}{found.problem}", found.allowed, found.next_step)
                )
            return None
        if contract is None:
            self._problem(
                None,
                f"the module has no contract {path.name} beside it",
                "an Avro record schema, every field with a doc",
                f"write {file}, or draft both by: sluice new",
            )
            return None
        for column in contract.fields:
            if character := control_character(column.doc or ""):
                self._out.problems.append(
                    DeclarationProblem(
                        file,
                        None,
                        f"the doc of field {column.name!r} has {character}, which no page can show",
                        WITHOUT_CONTROL,
                    )
                )
        if bare := undocumented(contract):
            many = "fields have" if len(bare) > 1 else "field has"
            self._out.problems.append(
                DeclarationProblem(
                    file,
                    None,
                    f"{len(bare)} {many} no doc: {listing(bare)}",
                    "a doc for every field, with its unit",
                    f'add "doc": "..." to {bare[0]!r}',
                )
            )
        return contract

    def _declaration(self, source: ModuleSource) -> EventDeclaration | None:
        name = f"{PACKAGE}.{self._domain}.{self._name}"
        with collecting() as collector:
            try:
                run_module(name, source)
            except DeclarationError as error:
                collector.problems.extend(error.problems)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and not raised_in_words(error):
                    raise
                self._out.problems.append(failed_import(self._file, error, self._root, _AUTHORING_NAMES))
                self._add_collected(collector)
                return None
        self._add_collected(collector)
        own = [found for found in collector.declarations if found.function.__module__ == name]
        if not own:
            if not collector.problems:
                self._problem(
                    None,
                    "the module declares no event",
                    _SHAPE,
                    f"put @event(...) over a function {self._name}(rows), or rename a module of helpers to _{self._path.name}",
                )
            return None
        if len(own) > 1:
            names = [found.function.__name__ for found in own]
            self._problem(
                own[1].line,
                f"the module declares {counted(len(own), 'event')}: {listing(names)}",
                _SHAPE,
                f"move all but {self._name} to modules of their own",
            )
        named: EventDeclaration = next((one for one in own if one.function.__name__ == self._name), own[0])
        return named

    def _add_collected(self, collector: Collector) -> None:
        for problem in collector.problems:
            path = Path(problem.file)
            inside = path.is_relative_to(self._root)
            file = f"{self._root.name}/{path.relative_to(self._root).as_posix()}" if inside else problem.file
            self._out.problems.append(
                DeclarationProblem(file, problem.line, problem.problem, problem.allowed, problem.next_step)
            )

    def _check_function(self, line: int, declaration: EventDeclaration, *, nothing: bool) -> None:
        name = declaration.function.__name__
        if name != self._name:
            self._problem(
                line,
                f"the function {name} is not named as its file",
                f"{self._name} in {self._path.name}",
                f"did you mean def {self._name}(rows)? Or rename module and contract to {name}",
            )
        if nothing and declaration.sound(""):
            self._problem(
                line,
                f"{name}() returns nothing",
                "a frame with the contract's fields as its columns",
                "write `return rows` where the rows need no change",
            )

    def _query(self, declaration: EventDeclaration, line_of: Callable[[int], int]) -> SourceQuery | None:
        arguments = declaration.arguments
        dialect = (
            self._dialects.get(arguments.warehouse, "duckdb") if declaration.sound("warehouse") else "duckdb"
        )
        try:
            query, remarks = analyse(arguments.source, dialect)
        except SqlMistakes as error:
            for offset, problem, allowed, next_step in error.mistakes:
                self._problem(line_of(offset), problem, allowed, next_step)
            return None
        for remark in remarks:
            self._warn(line_of(remark.offset), remark.problem, remark.next_step)
        return query
