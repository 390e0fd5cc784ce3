"""The query language of QuickBooks Online.

Law: `SELECT * | COUNT(*) FROM Entity [WHERE a op v AND …] [ORDERBY a [ASC|DESC], …]
[STARTPOSITION n] [MAXRESULTS n]`, looser where live clients are: `ORDER BY` in two words, the
clauses after FROM in any order, words in any case, `SELECT *, Sku`. No OR, no `!=`, no projection.
Source: Intuit's "data queries" page and recorded traffic of live clients.
"""

import operator
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from quickbooks_sandbox import faults, oddities, wire
from quickbooks_sandbox.books import Books, Row
from quickbooks_sandbox.clock import Clock, parse_instant
from quickbooks_sandbox.entities import CUSTOMER, INVOICE, ITEM, Entity, Kind, entity_named
from quickbooks_sandbox.fields import NOT_IMITATED
from quickbooks_sandbox.switches import Switches

ROWS_DEFAULT = 100
ROWS_MAX = 1000
UPDATED = "MetaData.LastUpdatedTime"

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    |(?P<word>[A-Za-z_][\w.]*)
    |(?P<sign><=|>=|=|<|>|\(|\)|,|\*))""",
    re.VERBOSE | re.DOTALL,
)
_CLAUSES = {"WHERE", "ORDER", "ORDERBY", "STARTPOSITION", "MAXRESULTS"}
_OPERATORS = {"=", "<", ">", "<=", ">=", "IN", "LIKE"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}

Value = Decimal | int | str | bool


@dataclass(frozen=True)
class Token:
    """A word, number, string or sign, and the column where it stands."""

    kind: str
    text: str
    column: int

    def says(self, word: str) -> bool:
        """Whether it is that keyword or sign, in any case."""
        return self.kind in {"word", "sign"} and self.text.upper() == word


@dataclass(frozen=True)
class Condition:
    """One comparison; `values` has one member but for IN."""

    name: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """A parsed statement; names are still as the client wrote them."""

    entity: str
    count: bool = False
    columns: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    """Attribute and whether it descends."""
    start: int = 1
    rows: int = ROWS_DEFAULT


def parse(text: str) -> Statement:
    """Read a statement.

    Raises: QboError 4000 at the first token that does not fit.
    """
    return _Parser(text).statement()


@dataclass(frozen=True)
class Answer:
    """The content of a QueryResponse: a count, or the rows of one page."""

    entity: Entity
    rows: list[Row]
    start: int
    total: int
    count: bool = False
    with_sku: bool = True
    bare: bool = False
    switches: Switches | None = None

    def text(self, *, empty_with_zero: bool = False) -> str:
        """The QueryResponse object as JSON text."""
        if self.count:
            return wire.encode({"totalCount": self.total})
        if not self.rows:
            empty = {"startPosition": self.start, "totalCount": 0, "maxResults": 0}
            return wire.encode(empty if empty_with_zero else {})
        bodies = ",".join(self._body(row) for row in self.rows)
        page = f'"startPosition":{self.start},"maxResults":{len(self.rows)}'
        if self.entity.total_count:
            page += f',"totalCount":{self.total}'
        return f'{{"{self.entity.name}":[{bodies}],{page}}}'

    def _body(self, row: Row) -> str:
        if self.bare:
            return row.bare_body()
        if self.with_sku or "Sku" not in row.document:
            return row.body() if self.switches is None else oddities.shown(row, self.switches)
        return wire.encode({k: v for k, v in row.document.items() if k != "Sku"})


def run(statement: Statement, books: Books, clock: Clock, switches: Switches) -> Answer:
    """Answer a statement from the books.

    Raises: QboError 4001 for names, operators or values that make no sense.
    """
    entity = _entity(statement.entity)
    today = clock.today(books.profile.zone).isoformat()
    tests = [_test(entity, condition, today) for condition in statement.where]
    order = [(*_attribute(entity, name), descends) for name, descends in statement.order]
    _check_page(statement, switches)
    first, last = _window(statement.where)
    rows: Iterable[Row] = books.table(entity).between(first, last)
    if switches.lag_seconds:
        rows = books.as_of(entity, clock.second() - switches.lag_seconds)
    if entity in (ITEM, CUSTOMER) and not _asks_for_active(statement):
        rows = (row for row in rows if row.document.get("Active") is not False)
    matched = [row for row in rows if all(test(row) for test in tests)]
    if statement.count:
        return Answer(entity, [], 1, len(matched), count=True)
    _sort(matched, entity, order, shuffled=switches.shuffle_ties)
    start = max(statement.start, 1)
    end = start - 1 + min(statement.rows, ROWS_MAX)
    if switches.extra_row and len(matched) > end:
        end += 1
    sku = not switches.sku_only_when_asked or "sku" in (c.lower() for c in statement.columns)
    bare = entity is INVOICE and switches.subtotal_only != "no"
    return Answer(
        entity,
        matched[start - 1 : end],
        start,
        len(matched),
        with_sku=sku,
        bare=bare,
        switches=switches,
    )


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = 0
        self.where: tuple[Condition, ...] = ()
        self.order: tuple[tuple[str, bool], ...] = ()
        self.start, self.rows = 1, ROWS_DEFAULT

    def statement(self) -> Statement:
        self._expect("SELECT")
        count, columns = self._selection()
        self._expect("FROM")
        entity = self._word()
        seen = set()
        while (token := self._peek()) is not None:
            clause = token.text.upper()
            if token.kind != "word" or clause not in _CLAUSES:
                raise _encountered(token, "one of WHERE, ORDERBY, STARTPOSITION, MAXRESULTS")
            self.at += 1
            if clause == "ORDER":
                self._expect("BY")
                clause = "ORDERBY"
            if clause in seen:
                raise _encountered(token, "each clause once")
            seen.add(clause)
            self._clause(clause)
        return Statement(
            entity, count, columns, self.where, order=self.order, start=self.start, rows=self.rows
        )

    def _clause(self, name: str) -> None:
        match name:
            case "WHERE":
                self.where = self._conditions()
            case "ORDERBY":
                self.order = self._order()
            case "STARTPOSITION":
                self.start = self._number()
            case _:
                self.rows = self._number()

    def _selection(self) -> tuple[bool, tuple[str, ...]]:
        token = self._next("'*' or COUNT(*)")
        if token.says("COUNT"):
            for sign in ("(", "*", ")"):
                self._expect(sign)
            return True, ()
        if not token.says("*"):
            raise _encountered(token, "'*' or COUNT(*)")
        columns = []
        while self._accept(","):
            columns.append(self._word())
        return False, tuple(columns)

    def _conditions(self) -> tuple[Condition, ...]:
        conditions = [self._condition()]
        while self._accept("AND"):
            conditions.append(self._condition())
        return tuple(conditions)

    def _condition(self) -> Condition:
        name, token = self._word(), self._next("an operator")
        sign = token.text.upper()
        if sign not in _OPERATORS or token.kind == "string":
            raise _encountered(token, "one of = < > <= >= IN LIKE")
        if sign != "IN":
            return Condition(name, sign, (self._value(),))
        self._expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        return Condition(name, sign, tuple(values))

    def _order(self) -> tuple[tuple[str, bool], ...]:
        order = []
        while True:
            name = self._word()
            descends = self._accept("DESC")
            if not descends:
                self._accept("ASC")
            order.append((name, descends))
            if not self._accept(","):
                return tuple(order)

    def _value(self) -> str:
        token = self._next("a value")
        if token.kind == "string":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if token.kind == "number" or token.text.lower() in {"true", "false", "current_date"}:
            return token.text
        raise _encountered(token, "a value in single quotes")

    def _number(self) -> int:
        token = self._next("a number")
        if token.kind != "number" or not re.fullmatch(r"-?\d{1,9}", token.text):
            raise _encountered(token, "a whole number")
        return int(token.text)

    def _word(self) -> str:
        token = self._next("<IDENTIFIER>")
        if token.kind != "word":
            raise _encountered(token, "<IDENTIFIER>")
        return token.text

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _next(self, wanted: str) -> Token:
        token = self._peek()
        if token is None:
            raise faults.query_parser(f"Encountered <EOF>.\nWas expecting:\n    {wanted} ...\n    ")
        self.at += 1
        return token

    def _accept(self, word: str) -> bool:
        token = self._peek()
        if token is None or not token.says(word):
            return False
        self.at += 1
        return True

    def _expect(self, word: str) -> None:
        token = self._next(word)
        if not token.says(word):
            raise _encountered(token, f'"{word}"')


def _tokens(text: str) -> Iterable[Token]:
    at, text = 0, text.rstrip().removesuffix(";").rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].lstrip()
            column = len(text) - len(rest) + 1
            raise _encountered(Token("", rest[:20], column), "a word, number, string or operator")
        yield Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup) + 1)
        at = found.end()


def _encountered(token: Token, wanted: str) -> faults.QboError:
    return faults.query_parser(
        f'Encountered " "{token.text}" "" at line 1, column {token.column}.\n'
        f"Was expecting:\n    {wanted} ...\n    "
    )


def _entity(name: str) -> Entity:
    entity = entity_named(name)
    if entity is None:
        hint = " (not imitated by this sandbox)" if name.lower() in NOT_IMITATED else ""
        raise faults.query_validation(f"invalid context declaration: {name}{hint}")
    return entity


def _check_page(statement: Statement, switches: Switches) -> None:
    least = 0 if switches.zero_position == "accept" else 1
    for value in (statement.start, statement.rows):
        if value < least:
            detail = f"value {value} is too small. Min allowed value is 1"
            raise faults.query_validation(detail)


def _asks_for_active(statement: Statement) -> bool:
    return any(condition.name.lower() == "active" for condition in statement.where)


def _window(where: Iterable[Condition]) -> tuple[int | None, int | None]:
    first = last = None
    for condition in where:
        if condition.name.lower() != UPDATED.lower() or condition.operator in {"IN", "LIKE"}:
            continue
        second = int(Decimal(_typed("instant", condition.values[0])))
        if condition.operator in {"=", ">", ">="}:
            first = second if first is None else max(first, second)
        if condition.operator in {"=", "<", "<="}:
            last = second if last is None else min(last, second)
    return first, last


def _attribute(entity: Entity, name: str) -> tuple[str, Kind]:
    found = entity.filter_named(name)
    if found is None:
        detail = f"property '{name}' is not queryable for entity {entity.name}"
        raise faults.query_validation(detail)
    return found


def _test(entity: Entity, condition: Condition, today: str) -> Callable[[Row], bool]:
    name, kind = _attribute(entity, condition.name)
    sign = condition.operator
    if kind == "id" and sign not in {"=", "IN"}:
        raise faults.query_validation(f"operator {sign} is not supported for Id")
    if sign == "LIKE":
        return _like(name, kind, condition.values[0])
    values = [_wanted(kind, value, today) for value in condition.values]
    if sign in {"=", "IN"}:
        return lambda row: _value_of(row, name, kind) in values
    compare, wanted = _COMPARE[sign], values[0]

    def fits(row: Row) -> bool:
        value = _value_of(row, name, kind)
        return value is not None and wanted is not None and compare(value, wanted)

    return fits


def _wanted(kind: Kind, text: str, today: str) -> Value | None:
    if text == " ":
        return None
    return _typed(kind, today if text.lower() == "current_date" else text)


def _like(name: str, kind: Kind, pattern: str) -> Callable[[Row], bool]:
    if kind not in {"text", "date", "id"}:
        raise faults.query_validation(f"operator LIKE is not supported for {name}")
    parts = (re.escape(part) for part in pattern.lower().split("%"))
    expression = re.compile(".*".join(parts), re.DOTALL)
    return lambda row: (
        expression.fullmatch(str(_value_of(row, name, kind) or "").lower()) is not None
    )


def _typed(kind: Kind, text: str) -> Value:
    """A filter's value in the form that `_value_of` gives.

    Raises: QboError 4001.
    """
    try:
        match kind:
            case "instant":
                return Decimal(str(parse_instant(text).timestamp()))
            case "number":
                return Decimal(text)
            case "date":
                return parse_instant(text).date().isoformat()
            case "flag":
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text.casefold()
    except (ValueError, InvalidOperation, KeyError):
        raise faults.query_validation(f"'{text}' is not a valid {kind}") from None


def _value_of(row: Row, name: str, kind: Kind) -> Value | None:
    if kind == "instant":
        return row.updated if name == UPDATED else row.created
    value = row.document.get(name)
    if value is None:
        return None
    match kind:
        case "ref":
            return str(value.get("value", "")).casefold()
        case "number":
            return Decimal(value)
        case "flag":
            return bool(value)
        case _:
            return str(value).casefold()


def _sort(
    rows: list[Row], entity: Entity, order: list[tuple[str, Kind, bool]], *, shuffled: bool
) -> None:
    """Sort in place; ties stand in order of id, or, shuffled, in a new order each time."""
    if not order:
        kind = entity.filters[entity.order]
        order = [(entity.order, kind, kind == "instant")]
    if shuffled:
        random.shuffle(rows)
    elif order == [(UPDATED, "instant", False)]:
        return  # the index that the rows come from is in this order
    elif order == [(UPDATED, "instant", True)]:
        rows.reverse()
        return
    else:
        rows.sort(key=lambda row: int(row.id))
    for name, kind, descends in reversed(order):
        rows.sort(key=partial(_sortable, name=name, kind=kind), reverse=descends)


def _sortable(row: Row, name: str, kind: Kind) -> tuple[bool, Value]:
    if kind == "id":
        return True, int(row.id)
    value = _value_of(row, name, kind)
    return (value is not None), value if value is not None else 0
