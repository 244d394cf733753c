"""Expressions of rules: CEL, checked when they are read, bounded when they are evaluated.

Lives here: the one module that knows the CEL library (ADR 0025). Must not live here: which names
there are (see `fields`, `rule`).

An expression is compiled twice. Strictly, once: every name has its type, a field that does not
exist, of an item of a list too, and an operator between wrong types are errors. And loosely, to be
evaluated: what may be null is dynamic there, because the library takes no null where a type is
declared. A time that may be null has a program for each case, for the same reason.

What could make an evaluation long is not part of the language here: no `matches` (a pattern of 20
characters on 8 MiB was measured at 413 s), no `map` (doubles a text with each nesting), 1,000
characters; the library allows 10,000 steps of loops and 32 levels of nesting.

Invariant: `evaluate` gives a value or raises ExpressionError, whatever the values hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, wrappers_pb2

from streams.processors.rules.fields import Field, Part, Scalar

TEXT_CHARS_MAX: Final = 1_000

_LANGUAGE: Final = (
    "stdlib:\n  exclude_macros: [has, map]\n  exclude_functions:\n    - name: matches\n"
)
_PLAIN: Final[Mapping[Scalar, cel.Type]] = {
    Scalar.TEXT: cel.Type.STRING,
    Scalar.WHOLE: cel.Type.INT,
    Scalar.NUMBER: cel.Type.DOUBLE,
    Scalar.FLAG: cel.Type.BOOL,
    Scalar.TIME: cel.Type.TIMESTAMP,  # null is comparable with it as it is
}
_WRAPPERS: Final[Mapping[Scalar, str]] = {
    Scalar.TEXT: "google.protobuf.StringValue",
    Scalar.WHOLE: "google.protobuf.Int64Value",
    Scalar.NUMBER: "google.protobuf.DoubleValue",
    Scalar.FLAG: "google.protobuf.BoolValue",
}
_PACKAGE: Final = "cimstream"
_Proto: Final = descriptor_pb2.FieldDescriptorProto
_PROTO: Final[Mapping[Scalar, int]] = {
    Scalar.TEXT: _Proto.TYPE_STRING,
    Scalar.WHOLE: _Proto.TYPE_INT64,
    Scalar.NUMBER: _Proto.TYPE_DOUBLE,
    Scalar.FLAG: _Proto.TYPE_BOOL,
}


class ExpressionError(Exception):
    """An expression that cannot be compiled, with the library's words; or that fails.

    Of a failure the text is the library's status alone: its words may hold values.
    """


class Expression:
    """One expression over a set of names."""

    def __init__(self, text: str, names: Mapping[str, Field], strict: cel.Env) -> None:
        self.text = text
        # Those that occur in it: a few of hundreds, and only they are handed over.
        self._names = {name: field for name, field in names.items() if name in text}
        if len(text) > TEXT_CHARS_MAX:
            raise ExpressionError(f"it has {len(text)} characters, the limit is {TEXT_CHARS_MAX}")
        try:
            self.returns = strict.compile(text).return_type().name()
        except RuntimeError as error:
            raise ExpressionError(_said(error)) from error
        self._times = tuple(
            name
            for name, field in self._names.items()
            if field.type is Scalar.TIME and field.optional
        )
        self._programs: dict[frozenset[str], cel.Expression] = {}
        self._program(frozenset())

    def evaluate(self, values: Mapping[str, object]) -> object:
        """The value for these values of the names.

        Raises:
            ExpressionError: it has none: a null where a value is needed, an overflow …
        """
        absent = frozenset(name for name in self._times if values[name] is None)
        try:
            result = self._program(absent).eval(data={n: values[n] for n in self._names})
        except RuntimeError as error:
            raise ExpressionError(_status(str(error))) from error
        if result.type() == cel.Type.ERROR:
            raise ExpressionError(_status(str(result.value())))
        return result.plain_value()

    def _program(self, absent: frozenset[str]) -> cel.Expression:
        program = self._programs.get(absent)
        if program is None:
            variables = {n: _loose(f, absent=n in absent) for n, f in self._names.items()}
            try:
                program = _environment(variables).compile(self.text)
            except RuntimeError as error:
                raise ExpressionError(_said(error)) from error
            self._programs[absent] = program
        return program


class Language:
    """The expressions over a set of names."""

    def __init__(self, names: Mapping[str, Field]) -> None:
        self.names = names
        pool = _pool(names)
        self._strict = cel.NewEnv(
            descriptor_pool=pool,
            config=cel.NewEnvConfigFromYaml(_LANGUAGE),
            variables={name: _strict(field) for name, field in names.items()},
        )

    def with_names(self, more: Mapping[str, Field]) -> Language:
        """The language that has these names too."""
        return Language({**self.names, **more})

    def compile(self, text: str) -> Expression:
        """The expression.

        Raises:
            ExpressionError: it is none, or names what there is not, or mixes types.
        """
        return Expression(text, self.names, self._strict)


def _environment(variables: Mapping[str, cel.Type]) -> cel.Env:
    return cel.NewEnv(config=cel.NewEnvConfigFromYaml(_LANGUAGE), variables=variables)


def _strict(field: Field) -> cel.Type:
    if isinstance(field.type, Part):
        single = cel.Type(f"{_PACKAGE}.{field.type.name}")
    elif field.optional and field.type in _WRAPPERS:
        single = cel.Type(_WRAPPERS[field.type])
    else:
        single = _PLAIN[field.type]
    return cel.Type.List(single) if field.many else single


def _loose(field: Field, *, absent: bool) -> cel.Type:
    if isinstance(field.type, Part):
        single = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    elif absent or (field.optional and field.type is not Scalar.TIME):
        single = cel.Type.DYN
    else:
        single = _PLAIN[field.type]
    return cel.Type.List(single) if field.many else single


def _pool(names: Mapping[str, Field]) -> descriptor_pool.DescriptorPool:
    """The parts of lists as messages: what the strict check knows records by."""
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="parts.proto", package=_PACKAGE, syntax="proto3", dependency=[wrappers.name]
    )
    for part in {part.name: part for field in names.values() for part in _parts(field)}.values():
        message = file.message_type.add(name=part.name)
        for number, (name, field) in enumerate(part.fields.items(), 1):
            label = _Proto.LABEL_REPEATED if field.many else _Proto.LABEL_OPTIONAL
            entry = message.field.add(name=name, number=number, label=label)
            if isinstance(field.type, Part):
                entry.type, entry.type_name = _Proto.TYPE_MESSAGE, f".{_PACKAGE}.{field.type.name}"
            elif field.optional and not field.many:
                entry.type, entry.type_name = _Proto.TYPE_MESSAGE, f".{_WRAPPERS[field.type]}"
            else:
                entry.type = _PROTO[field.type]
    pool.Add(file)
    return pool


def _parts(field: Field) -> Iterator[Part]:
    if isinstance(field.type, Part):
        yield field.type
        for inner in field.type.fields.values():
            yield from _parts(inner)


def _said(error: RuntimeError) -> str:
    """The first thing that is wrong, on one line: "1:6: undeclared reference to 'event.x'"."""
    first = str(error).splitlines()[0]
    return first.partition("<input>:")[2].partition(" (in container")[0] or first


def _status(text: str) -> str:
    """The status alone; `Iteration budget exceeded` is the library's own word and no value."""
    if "Iteration budget" in text:
        return "it takes more than 10,000 steps"
    status = text.partition(":")[0].strip()
    return status if status.isupper() and status.replace("_", "").isalpha() else "INTERNAL"
