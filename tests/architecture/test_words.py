"""Each thing is known in one place: business words, QuickBooks's words, SQL."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BUSINESS = re.compile(
    r"(?<![a-z])(sales?|lots?|invoices?|receipts?|memos?|quickbooks|intuit|qbo|channels?|products?"
    r"|inventory|stock|margins?|customers?|accounting|business(es)?|sync(s|ed)?|refunds?|fifo)"
    r"(?![a-z])",
    re.IGNORECASE,
)
ASYNCAPI_WORDS = {"channels", "channel"}
"""AsyncAPI's own name for a topic."""

QUICKBOOKS = re.compile(
    r"SyncToken|TxnDate|MetaData|LastUpdatedTime|DocNumber|LinkedTxn|SalesItemLineDetail|ItemRef"
    r"|CustomerRef|CDCResponse|QueryResponse|minorversion|MinorVersion|STARTPOSITION|MAXRESULTS"
    r"|intuit_tid|invalid_grant|/v3/company"
)

VENDOR = re.compile(r"quickbooks|intuit(?!i)|(?<![a-z])qbo", re.IGNORECASE)
COMPOSITION = {"channel_connector/app.py", "channel_connector/settings.py"}
"""What builds the connector names its accounting system, and so does what the operator sets."""

SQL = re.compile(
    r"\s*(select\s|insert\s+into\s|update\s+\w+\s|delete\s+from\s|with\s+\w+\s+as\s|copy\s+\w+\s+from)",
    re.IGNORECASE,
)
SQL_PLACES = {"store", "verify", "clients", "testing"}
"""The store; checks of invariants, which are SQL by nature; other systems' queries; fixtures."""


def business_words(name: str, text: str) -> Iterator[str]:
    """Words of the business in a file of the chassis."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in BUSINESS.finditer(line):
            if not (name == "asyncapi.py" and match[0] in ASYNCAPI_WORDS):
                yield f"{name}:{number}: {match[0]}"


def quickbooks_words(text: str) -> Iterator[str]:
    """Words of QuickBooks's interface, in code and strings; prose may explain by them."""
    tree = ast.parse(text)
    prose = {id(node) for node in _docstrings(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(value)) if id(node) not in prose:
                words = QUICKBOOKS.findall(value)
            case ast.Name(id=value) | ast.Attribute(attr=value) | ast.keyword(arg=str(value)):
                words = QUICKBOOKS.findall(value)
            case _:
                words = []
        yield from (f"line {getattr(node, 'lineno', 0)}: {word}" for word in words)


def sql_texts(text: str) -> Iterator[str]:
    """Strings that are SQL statements."""
    tree = ast.parse(text)
    prose = {id(node) for node in _docstrings(tree)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose
            and SQL.match(node.value)
        ):
            yield f"line {node.lineno}: {node.value.strip()[:40]}"


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Strings that stand as statements: documentation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _modules(pattern: str) -> list[Path]:
    files = sorted(ROOT.glob(pattern))
    assert files, f"no file is at {pattern}"
    return files


def _service_modules(*, outside: Iterable[str]) -> list[Path]:
    """The modules of the services, those below certain folders or of that name left out."""
    left_out = set(outside)
    return [
        file
        for file in _modules("services/*/src/**/*.py")
        if not left_out & {*file.relative_to(ROOT).with_suffix("").parts}
    ]


def test_the_chassis_knows_no_word_of_the_business() -> None:
    found = [
        word
        for pattern in ("chassis/src/**/*.py", "chassis/src/**/*.sql")
        for file in _modules(pattern)
        for word in business_words(file.name, file.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "def record_sale(): ...",
        "LOTS_MAX = 5",
        "# one invoice each",
        "topic = 'channels.events.v1'",
        "class Inventory: ...",
        'url = "https://quickbooks.example"',
        "create table sync_runs ();",
        "product_id: str",
    ],
)
def test_a_planted_business_word_is_caught(planted: str) -> None:
    assert list(business_words("outbox.py", planted))


@pytest.mark.parametrize("innocent", ["slots = 3", "a whole lottery", "wholesale", "asyncio.sleep"])
def test_a_word_that_only_contains_one_passes(innocent: str) -> None:
    assert list(business_words("outbox.py", innocent)) == []


def test_only_the_quickbooks_client_knows_quickbooks() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {word}"
        for file in _service_modules(outside={"quickbooks"})
        for word in quickbooks_words(file.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'version = document["SyncToken"]',
        "line.SalesItemLineDetail",
        'where = f"MetaData.LastUpdatedTime > {since}"',
        "call(minorversion=75)",
        'if fault == "invalid_grant": ...',
    ],
)
def test_a_planted_word_of_quickbooks_is_caught(planted: str) -> None:
    assert list(quickbooks_words(planted))


def test_only_the_client_and_what_builds_it_name_the_accounting_system() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {match[0]}"
        for pattern in (
            "contracts/src/**/*.py",
            "services/*/src/**/*.py",
            "services/*/src/**/*.sql",
        )
        for file in _modules(pattern)
        if "quickbooks" not in file.parts and f"{file.parent.name}/{file.name}" not in COMPOSITION
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        for match in VENDOR.finditer(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    ['provider = "quickbooks-online"', "# as Intuit does it", "class QBOClient: ...", "intuit_tid"],
)
def test_a_planted_name_of_the_accounting_system_is_caught(planted: str) -> None:
    assert VENDOR.search(planted)


@pytest.mark.parametrize("innocent", ["intuition", "the books", "unqboxed"])
def test_a_word_that_only_looks_like_a_vendor_passes(innocent: str) -> None:
    assert not VENDOR.search(innocent)


def test_prose_may_name_quickbooks() -> None:
    assert list(quickbooks_words('"""The version is the SyncToken."""\nx = 1  # TxnDate')) == []


def test_sql_stands_in_files_and_stores() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {text}"
        for file in _service_modules(outside=SQL_PLACES)
        for text in sql_texts(file.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'connection.fetch("select 1")',
        'x = """\n    INSERT INTO sales (sale_id)\n    values ($1)"""',
        'x = f"update lots set quantity = {n}"',
        'x = "with open_lots as (select 1) select 2"',
        'x = "delete from outbox"',
    ],
)
def test_planted_sql_is_caught(planted: str) -> None:
    assert list(sql_texts(planted))


@pytest.mark.parametrize("innocent", ['"""Select the lots."""', 'x = "update"', 'x = "selected"'])
def test_what_only_looks_like_sql_passes(innocent: str) -> None:
    assert list(sql_texts(innocent)) == []
