"""The domain is a function of its arguments: no clock, chance, await, float or printing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOMAIN_FILES = sorted(ROOT.glob("services/*/src/*/domain/**/*.py"))

CLOCK_AND_CHANCE = {"now", "utcnow", "today", "uuid1", "uuid4", "time", "monotonic", "getrandbits"}
SIDE_EFFECTS = {"print", "open", "input", "exec", "eval", "breakpoint"}


def impurities(source: str) -> Iterator[str]:
    """What in a module depends on more than arguments, or is inexact, by line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"line {node.lineno}: the domain does not wait"
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCK_AND_CHANCE:
                yield f"line {node.lineno}: `{name}()` is a clock or chance"
            case ast.Call(func=ast.Name(id=name)) if name in CLOCK_AND_CHANCE | SIDE_EFFECTS:
                yield f"line {node.lineno}: `{name}()` reaches outside"
            case ast.Name(id="float") | ast.Constant(value=float()):
                yield f"line {node.lineno}: a float is inexact"
            case ast.Global() | ast.Nonlocal():
                yield f"line {node.lineno}: state outside of the function"
            case _:
                pass


def test_each_service_has_a_domain() -> None:
    assert {file.parts[-5] for file in DOMAIN_FILES if file.name == "__init__.py"} == {
        "channel-connector",
        "sales-processor",
        "inventory",
    }


@pytest.mark.parametrize("file", DOMAIN_FILES, ids=lambda f: f"{f.parts[-3]}.{f.stem}")
def test_the_domain_is_pure(file: Path) -> None:
    assert list(impurities(file.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("async def cost(): ...", "line 1: the domain does not wait"),
        ("from datetime import datetime\nx = datetime.now()", "line 2: `now()` is a clock"),
        ("import datetime\nx = datetime.date.today()", "line 2: `today()` is a clock"),
        ("import datetime as d\nx = d.datetime.now(d.UTC)", "line 2: `now()` is a clock"),
        ("import uuid\nx = uuid.uuid4()", "line 2: `uuid4()` is a clock or chance"),
        ("from uuid import uuid4\nx = uuid4()", "line 2: `uuid4()` reaches outside"),
        ("print('cost')", "line 1: `print()` reaches outside"),
        ("rows = open('lots.csv')", "line 1: `open()` reaches outside"),
        ("cost = float('1.1')", "line 1: a float is inexact"),
        ("def cost() -> float: ...", "line 1: a float is inexact"),
        ("cost = 1.1", "line 1: a float is inexact"),
        ("x = 0\ndef f():\n    global x\n", "line 3: state outside"),
    ],
)
def test_a_planted_impurity_is_caught(planted: str, found: str) -> None:
    assert [line for line in impurities(planted) if line.startswith(found)]
