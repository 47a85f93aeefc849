"""Collects every message that the code logs, from its source: text, levels and place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

METHODS = ("debug", "info", "warning", "error", "exception", "critical", "log")
LOGGERS = ("logger", "logging")
LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
ANY = "…"  # in place of a value in a message
PERCENT = re.compile(r"%%|%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]")
VALUE = re.compile(rf"{PERCENT.pattern}|\{{[^{{}}]*\}}")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Texts = set[str] | None  # all that an expression may be; None where only the running code knows
Bound = Mapping[str, Texts]  # by parameter


class UnreadableError(Exception):
    """Raised when a message or its level can't be read from the source."""


@dataclass(frozen=True)
class Message:
    """One message of the log."""

    room: str  # the first two words of its logger: "quotes.feed"
    text: str  # with … for each value: "… is back"
    levels: frozenset[str]
    where: str  # "quotes/feed/sources.py:181"


def shortened(text: str) -> str:
    """Write … for each value of a message, however the value is written."""
    return VALUE.sub(lambda found: "%" if found[0] == "%%" else ANY, text)


def collect(sources: Mapping[str, str]) -> set[Message]:
    """Return the messages of modules, given as source by path; raise UnreadableError."""
    modules = [Module(path, source) for path, source in sources.items()]
    return {each for module in modules for each in module.messages(modules)}


class Module:
    """The source of one module."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.tree = path, ast.parse(source)
        self.parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    @property
    def room(self) -> str:
        """Return the first two words of the module's name: "quotes.feed", "quoteboard.asgi"."""
        parts = self.path.removesuffix(".py").removeprefix("site/").split("/")
        return ".".join(parts[:2])

    def messages(self, modules: Sequence[Module]) -> Iterator[Message]:
        """Yield every message that is logged here."""
        made = {
            ast.unparse(node.targets[0])
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign) and "getLogger(" in ast.unparse(node.value)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                of = ast.unparse(node.value)
                if of in made or "getLogger(" in of or of.rpartition(".")[2] in LOGGERS:
                    yield from self.read(node, modules)

    def read(self, method: ast.Attribute, modules: Sequence[Module]) -> Iterator[Message]:
        """Yield the messages of one call, as many as it has wordings."""
        where = f"{self.path}:{method.lineno}"
        call = self.parents[method]
        if not isinstance(call, ast.Call) or call.func is not method or not call.args:
            raise UnreadableError(f"{where}: {ast.unparse(method)} is not called with a message")
        level, words, *values = (
            call.args if method.attr == "log" else [ast.Constant(method.attr.upper()), *call.args]
        )
        function = self.function(call)
        given_words = isinstance(words, ast.Name) and words.id in parameters(function)
        for bound in self.bindings(function, modules if given_words else [self]):
            texts = self.texts(words, function, bound)
            levels = self.texts(level, function, bound)
            if texts is None or levels is None:
                raise UnreadableError(f"{where}: {ast.unparse(call)} can't be read")
            named = frozenset("ERROR" if each == "EXCEPTION" else each for each in levels)
            for text in texts:
                for filled in fill(text, [self.passed(value, bound) for value in values]):
                    yield Message(self.room, filled, named, where)

    def function(self, node: ast.AST) -> Function | None:
        """Return the function around a node."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, Function):
                return node
        return None

    def bindings(
        self, function: Function | None, modules: Iterable[Module], seen: tuple[str, ...] = ()
    ) -> Iterator[Bound]:
        """Yield the arguments that each caller passes to a function."""
        found = False
        if function is not None and function.name not in seen and parameters(function):
            for module in modules:
                for call in module.calls(function.name):
                    found, caller = True, module.function(call)
                    for outer in module.bindings(caller, [module], (*seen, function.name)):
                        yield {
                            name: module.texts(node, caller, outer)
                            for name, node in arguments(function, call)
                        }
        if not found:
            yield {}

    def calls(self, name: str) -> Iterator[ast.Call]:
        """Yield the calls of a function or method by its name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
                yield node

    @staticmethod
    def passed(value: ast.expr, bound: Bound) -> Texts:
        """Return the texts of a value, if the callers pass it as a text."""
        return bound.get(value.id) if isinstance(value, ast.Name) else None

    def texts(self, node: ast.expr, function: Function | None, bound: Bound) -> Texts:
        """Return all texts that an expression may be; a level counts as its name."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.Attribute(value=ast.Name(id="logging"), attr=attr):
                return {attr}
            case ast.JoinedStr(values=parts):
                pieces = [
                    {part.value} if isinstance(part, ast.Constant) else {ANY} for part in parts
                ]
                return {"".join(each) for each in product(*pieces)}
            case ast.IfExp(body=body, orelse=other):
                return joined([self.texts(each, function, bound) for each in (body, other)])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                sides = [self.texts(each, function, bound) for each in (left, right)]
                return None if None in sides else {a + b for a, b in product(*filter(None, sides))}
            case ast.Name(id=name):
                if name in parameters(function):
                    return bound.get(name)
                inside = assigned(name, ast.walk(function)) if function else []
                found = inside or assigned(name, self.tree.body)
                return joined([self.texts(each, function, bound) for each in found])
        return None


def joined(found: Sequence[Texts]) -> Texts:
    """Join alternatives; one that is not known makes all of them unknown."""
    if not found or None in found:
        return None
    return {text for texts in found if texts for text in texts}


def assigned(name: str, nodes: Iterable[ast.AST]) -> list[ast.expr]:
    """Return the values that a name is set to; none if they depend on an earlier value."""
    values = [
        node.value
        for node in nodes
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [name]
    ]
    named = {node.id for value in values for node in ast.walk(value) if isinstance(node, ast.Name)}
    return [] if name in named else values


def parameters(function: Function | None) -> list[str]:
    """Return the names of a function's parameters, without self."""
    if function is None:
        return []
    taken = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [each.arg for each in taken if each.arg not in ("self", "cls")]


def arguments(function: Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """Yield the arguments of a call, by parameter."""
    yield from zip(parameters(function), call.args, strict=False)
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg, keyword.value


def fill(text: str, values: Sequence[Texts]) -> Iterator[str]:
    """Yield a format with its values: those that are texts as they are, … for all others."""
    pieces, holes = PERCENT.split(text), PERCENT.findall(text)
    waiting = iter(values)
    filled = [{"%"} if hole == "%%" else (next(waiting, None) or {ANY}) for hole in holes]
    for each in product(*filled):
        yield "".join(a + b for a, b in zip(pieces, [*each, ""], strict=True))
