"""`connection`, `verify` and `sales`: what they ask the services for, and what they make of it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner, Result

from local_stack import StackError
from salesync import agreement, trail
from salesync.__main__ import app

PLACE = TopicPartition("sales.events.v1", 3)

Answer = Callable[[httpx.Request], httpx.Response]


class Services:
    """The services as seen over HTTP: answers by method and path, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        host = request.url.host.split(".")[0]
        path = request.url.raw_path.decode().split("?")[0]
        answer = self.answers.get(f"{request.method} {host}{path}")
        if isinstance(answer, httpx.Response):
            return answer
        if callable(answer):
            made: httpx.Response = answer(request)
            return made
        if answer is None:
            return httpx.Response(404, json={"title": "Not found", "detail": "Nothing is there."})
        return httpx.Response(200, json=answer)


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """Three services that answer what a test says."""
    known = Services()
    monkeypatch.setattr("salesync.http.transport", lambda: httpx.MockTransport(known))
    for name in ("CHANNEL_CONNECTOR", "SALES_PROCESSOR", "INVENTORY"):
        monkeypatch.setenv(f"{name}_URL", f"http://{name.split('_')[0].lower()}.test/")
    return known


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


CONNECTION = {
    "business_id": "acme",
    "connection_id": "qbo-acme",
    "realm_id": "9130",
    "status": "connected",
    "company_name": "Acme Furniture",
}


def test_a_connection_is_added_and_its_id_printed(services: Services) -> None:
    services.answers["POST channel/businesses/acme%2Fco/connections"] = httpx.Response(
        201, json=CONNECTION
    )
    result = run(
        *("connection", "add", "--business", "acme/co", "--realm", "9130"),
        *("--refresh-token", "RT-secret"),
    )
    assert (result.exit_code, result.stdout) == (0, "qbo-acme\n")
    body = json.loads(services.requests[0].content)
    assert body == {"realm_id": "9130", "refresh_token": "RT-secret"}


def test_a_refused_connection_says_why(services: Services) -> None:
    services.answers["POST channel/businesses/acme/connections"] = httpx.Response(
        409,
        json={"title": "Connection refused", "detail": "The plan of acme allows 1 connection."},
    )
    result = run(
        *("connection", "add", "--business", "acme", "--realm", "9131", "--refresh-token", "x"),
        *("--connection-id", "second"),
    )
    assert isinstance(result.exception, StackError)
    assert str(result.exception).endswith("409, The plan of acme allows 1 connection.")
    assert json.loads(services.requests[0].content)["connection_id"] == "second"


def test_connections_of_all_businesses_are_listed(services: Services) -> None:
    second = {**CONNECTION, "business_id": "bolt", "connection_id": "qbo-bolt"}
    services.answers |= {
        "GET channel/businesses": page({"business_id": "acme"}, {"business_id": "bolt"}),
        "GET channel/businesses/acme/connections": page(CONNECTION),
        "GET channel/businesses/bolt/connections": page(second),
    }
    shown = run("connection", "list").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [["acme", "qbo-acme"], ["bolt", "qbo-bolt"]]
    assert json.loads(run("connection", "list", "--json").stdout) == [CONNECTION, second]
    assert json.loads(run("connection", "list", "--business", "bolt", "--json").stdout) == [second]


def test_a_list_is_read_page_by_page(services: Services) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("cursor") == "next":
            return httpx.Response(200, json=page({**CONNECTION, "connection_id": "b"}))
        return httpx.Response(200, json={"items": [CONNECTION], "next_cursor": "next"})

    services.answers["GET channel/businesses/acme/connections"] = answer
    found = json.loads(run("connection", "list", "--business", "acme", "--json").stdout)
    assert [one["connection_id"] for one in found] == ["qbo-acme", "b"]


def test_a_connection_is_removed_by_its_id_alone(services: Services) -> None:
    services.answers |= {
        "GET channel/businesses": page({"business_id": "bolt"}, {"business_id": "acme"}),
        "GET channel/businesses/acme/connections": page(CONNECTION),
        "GET channel/businesses/bolt/connections": page(),
        "DELETE channel/businesses/acme/connections/qbo-acme": CONNECTION,
    }
    assert run("connection", "remove", "--connection-id", "qbo-acme").stdout == (
        "Removed qbo-acme of acme.\n"
    )
    assert services.requests[-1].method == "DELETE"
    assert "There is no connection nowhere." in str(
        run("connection", "remove", "--connection-id", "nowhere").exception
    )


def test_an_id_that_two_businesses_use_is_not_removed_by_chance(services: Services) -> None:
    services.answers |= {
        "GET channel/businesses": page({"business_id": "bolt"}, {"business_id": "acme"}),
        "GET channel/businesses/acme/connections": page(CONNECTION),
        "GET channel/businesses/bolt/connections": page({**CONNECTION, "business_id": "bolt"}),
    }
    refused = run("connection", "remove", "--connection-id", "qbo-acme")
    assert "with --business" in str(refused.exception)
    assert [r.method for r in services.requests if r.method != "GET"] == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (httpx.Response(200, text="<html>"), "something that is not JSON. Check CHANNEL_CONN"),
        (httpx.Response(502, text="bad gateway"), "502, bad gateway"),
        (httpx.Response(500), "500, no reason given."),
        (
            httpx.Response(
                422,
                json={"title": "Wrong", "errors": [{"field": "realm_id", "message": "digits"}]},
            ),
            "422, realm_id: digits",
        ),
    ],
)
def test_a_strange_answer_is_one_sentence(
    services: Services, answer: httpx.Response, sentence: str
) -> None:
    services.answers["GET channel/businesses"] = answer
    result = run("connection", "list")
    assert isinstance(result.exception, StackError)
    assert sentence in str(result.exception)


def test_a_service_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_CONNECTOR_URL", "http://127.0.0.1:1")
    result = run("connection", "list")
    assert "GET http://127.0.0.1:1/businesses got no answer" in str(result.exception)
    assert "CHANNEL_CONNECTOR_URL says where it is" in str(result.exception)


ALLOCATIONS = [
    {"lot_id": "lot-1", "lot_number": "WD-1", "quantity": "20", "unit_cost": "145.00"},
    {"lot_id": "lot-2", "lot_number": "WD-2", "quantity": "30", "unit_cost": "148.00"},
]
SALE = {
    "sale_id": "sale-1",
    "sale_date": "2026-01-20",
    "kind": "invoice",
    "number": "1040",
    "customer_name": "Blue Door Studio",
    "status": "active",
    "revenue": "13000.00",
    "cost": "7340.00",
    "margin": "5660.00",
    "margin_percent": "43.54",
    "flags": [],
    "lines": [
        {
            "line_id": "1",
            "product_id": "walnut-desk",
            "product_name": "Walnut Desk",
            "allocations": ALLOCATIONS,
        },
        {"line_id": "2", "product_id": None, "product_name": None, "allocations": []},
    ],
}


def test_sales_are_shown_with_margin_and_lots(services: Services) -> None:
    services.answers["GET sales/businesses/acme/sales"] = page(SALE)
    head, *below = run("sales", "--business", "acme").stdout.splitlines()[1:]
    assert head.split() == [
        *("1040", "Blue", "Door", "Studio", "13,000.00", "7,340.00", "5,660.00", "43.54")
    ]
    assert [line.strip() for line in below] == [
        "invoice of 2026-01-20",
        "Walnut Desk: 20 of WD-1 at 145.00, 30 of WD-2 at 148.00",
    ]


def test_a_shortage_and_flags_are_shown(services: Services) -> None:
    shortage = {"quantity": "5", "open": "2", "unit_cost": "45.5"}
    line = {"line_id": "1", "product_name": "Oak Chair", "allocations": [], "shortage": shortage}
    short = {**SALE, "lines": [line], "flags": ["short"], "status": "voided"}
    services.answers["GET sales/businesses/acme/sales"] = page(short)
    shown = run("sales", "--business", "acme").stdout
    assert "invoice of 2026-01-20 (voided, short)" in shown
    assert "2 short at 45.50" in shown


def test_filters_go_to_the_service_and_the_limit_holds(services: Services) -> None:
    services.answers["GET sales/businesses/acme/sales"] = page(SALE, SALE, SALE)
    result = run(
        *("sales", "--business", "acme", "--from", "2026-01-01", "--to", "2026-01-31"),
        *("--status", "active", "--channel", "c", "--product", "p", "--limit", "2", "--json"),
    )
    assert len(json.loads(result.stdout)) == 2
    asked = services.requests[0].url.params
    assert {name: asked[name] for name in ("from", "to", "status", "channel_id", "product_id")} == {
        "from": "2026-01-01",
        "to": "2026-01-31",
        "status": "active",
        "channel_id": "c",
        "product_id": "p",
    }


@pytest.fixture
def books(services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Books that are right: one sale that took from two lots."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.test:1")

    async def bounds(brokers: str, places: object) -> dict[TopicPartition, tuple[int, int]]:
        assert (brokers, places) == ("kafka.test:1", {PLACE})
        return {PLACE: (0, 9)}

    monkeypatch.setattr(trail, "_bounds", bounds)
    for name, invariant in (("channel", "I6"), ("sales", "I1"), ("inventory", "I1")):
        check = {
            "name": f"{invariant.lower()}_holds",
            "invariant": invariant,
            "description": f"{name} holds",
            "violations": [],
            "more": False,
            "seconds": 0.1,
        }
        applied = {"topic": PLACE.topic, "partition": PLACE.partition, "next_offset": 7}
        services.answers[f"GET {name}/verify"] = {
            "service": name,
            "checks": [check],
            "offsets": [applied] if name == "sales" else [],
        }
    lots = "inventory/businesses/acme/products/walnut-desk/lots"
    total = {"business_id": "acme", "product_id": "walnut-desk", "quantity": "50", "digest": "77"}
    services.answers |= {
        "GET channel/businesses": page({"business_id": "acme"}),
        "GET sales/verify/goods": {"items": [total]},
        "GET inventory/verify/goods": {"items": [total]},
        "GET sales/businesses/acme/sales": page(SALE),
        f"GET {lots}": page({"lot_id": "lot-1"}, {"lot_id": "lot-2"}),
        "GET inventory/businesses/acme/lots/lot-1": {"sales": [_used("20.000000", "145")]},
        "GET inventory/businesses/acme/lots/lot-2": {"sales": [_used("30", "148.00")]},
    }
    return services


def _used(quantity: str, unit_cost: str, sale: str = "sale-1") -> dict[str, str]:
    return {"sale_id": sale, "line_id": "1", "quantity": quantity, "unit_cost": unit_cost}


def _differ(books: Services) -> None:
    """Let the digests of the two services differ."""
    other = {"business_id": "acme", "product_id": "walnut-desk", "quantity": "50", "digest": "78"}
    books.answers["GET inventory/verify/goods"] = {"items": [other]}


def test_right_books_are_verified(books: Services) -> None:
    result = run("verify", "--business", "acme")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["I1", "ok"]
    assert lines[0].endswith("sales, inventory")
    assert lines[1].endswith("not checked")
    assert lines[2].endswith("between services")
    assert lines[5].endswith("channel")
    assert "2 records were not applied yet when the services were asked." in lines
    assert "All 12 invariants and rules hold (5 checks)." in lines
    assert [request.url.params.get("business_id") for request in books.requests] == ["acme"] * 5


def test_a_service_that_finds_a_violation_is_named_with_it(books: Services) -> None:
    check = books.answers["GET inventory/verify"]["checks"][0]
    check["violations"] = [{"lot_id": f"lot-{n}", "sale_id": None, "sums": [1]} for n in range(9)]
    check["more"] = True
    result = run("verify")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:8] == [
        result.stdout.splitlines()[0],
        "     inventory: inventory holds",
        *(f"       lot_id=lot-{n} sums=[1]" for n in range(5)),
        "       and 4 more at least; --json shows the first 9",
    ]
    assert "I1   broken" in result.stdout
    assert "1 of 12 invariants and rules are broken." in result.stdout


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (10, "applied up to 10, and the topic ends at 9"),
        (-1, "applied up to -1, and the topic begins at 0"),
    ],
)
def test_an_offset_that_no_record_explains_is_found_out(
    books: Services, offset: int, said: str
) -> None:
    books.answers["GET sales/verify"]["offsets"][0]["next_offset"] = offset
    result = run("verify")
    assert result.exit_code == 1
    assert "I10  broken" in result.stdout
    assert f"sales: sales.events.v1, partition 3: {said}" in result.stdout


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (
            "inventory/businesses/acme/lots/lot-2",
            {"sales": [_used("29", "148")]},
            "the sale took 30 at 148.00, the lot gave 29 at 148",
        ),
        (
            "inventory/businesses/acme/lots/lot-1",
            {"sales": [_used("20", "144")]},
            "the sale took 20 at 145.00, the lot gave 20 at 144",
        ),
        (
            "inventory/businesses/acme/lots/lot-1",
            {"sales": []},
            "the sale took 20 at 145.00, the lot gave nothing",
        ),
        (
            "inventory/businesses/acme/lots/lot-1",
            {"sales": [_used("20", "145"), _used("1", "145", "sale-2")]},
            "sale sale-2, line 1, lot lot-1: the sale took nothing, the lot gave 1 at 145",
        ),
        (
            "sales/verify/goods",
            {"items": []},
            "business acme, product walnut-desk: sales hold 0, inventory gave 50, and the parts",
        ),
    ],
)
def test_services_that_do_not_agree_are_found_out(
    books: Services, monkeypatch: pytest.MonkeyPatch, path: str, answer: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(agreement, "SETTLE_SECONDS_MAX", 0.0)
    _differ(books)
    books.answers[f"GET {path}"] = answer
    result = run("verify", "--json")
    assert result.exit_code == 1
    broken = [check for check in json.loads(result.stdout) if check["violations"]]
    assert [check["service"] for check in broken] == ["between services"]
    assert said in broken[0]["violations"][0]


def test_a_difference_that_goes_away_does_not_count(
    books: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "SETTLE_SECONDS_STEP", 0.0)
    right = books.answers["GET inventory/verify/goods"]
    calls = iter([{"items": []}, right])
    books.answers["GET inventory/verify/goods"] = lambda _: httpx.Response(200, json=next(calls))
    assert run("verify").exit_code == 0


def test_only_the_lots_asked_for_are_looked_into(
    books: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "SETTLE_SECONDS_MAX", 0.0)
    _differ(books)
    books.answers["GET inventory/businesses/acme/lots/lot-2"] = {"sales": []}
    result = run("verify", "--lots", "1")
    assert result.exit_code == 1
    assert "beyond the first 1 lots" in result.stdout
    asked = [request.url.path for request in books.requests]
    assert "/businesses/acme/lots/lot-2" not in asked
