"""Whatever a client sends, the answer is one of QuickBooks' own, and the sandbox goes on."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quickbooks_sandbox import api
from quickbooks_sandbox.entities import ENTITIES, SALES, Entity
from quickbooks_sandbox.faults import QboError
from quickbooks_sandbox.sandbox import Sandbox, Settings
from quickbooks_sandbox.testing import REALM, SandboxClient

NAMES = (
    *("Id", "SyncToken", "sparse", "CustomerRef", "ItemRef", "value", "name", "Line", "DetailType"),
    *("Amount", "Qty", "UnitPrice", "SalesItemLineDetail", "GroupLineDetail", "GroupItemRef"),
    *("Quantity", "DiscountLineDetail", "PercentBased", "DiscountPercent", "TxnTaxDetail"),
    *("TxnTaxCodeRef", "TotalTax", "TaxCodeRef", "TxnDate", "DueDate", "DocNumber", "CurrencyRef"),
    *("ExchangeRate", "LinkedTxn", "TxnId", "TxnType", "TotalAmt", "Deposit", "PrivateNote"),
    *("BillAddr", "BillEmail", "Name", "DisplayName", "Type", "Active", "QtyOnHand", "ParentRef"),
    *("ItemGroupDetail", "ItemGroupLine", "GlobalTaxCalculation"),
)
TEXTS = (
    *("", "1", "2", "8", "101", "-1", "x", "²", "1e999", "1e-999", "2026-01-01", "TAX"),
    *("SalesItemLineDetail", "GroupLineDetail", "DiscountLineDetail", "DescriptionOnly"),
    *("SHIPPING_ITEM_ID", "Invoice", "Inventory", "Group"),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from(TEXTS),
    st.text(max_size=5),
)
GOOD_LINE = {
    "DetailType": "SalesItemLineDetail",
    "Amount": 95,
    "SalesItemLineDetail": {"ItemRef": {"value": "2"}, "Qty": 1, "UnitPrice": 95},
}
GOOD = {"CustomerRef": {"value": "1"}, "Line": [GOOD_LINE]}
BODIES = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), max_size=3),
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        ),
        max_leaves=12,
    ),
    max_size=8,
)
OPERATIONS = st.sampled_from(["", "void", "void-by-include", "delete", "nonsense"])


@settings(max_examples=200, deadline=None)
@given(
    entity=st.sampled_from(list(ENTITIES.values())),
    body=st.one_of(
        BODIES,
        BODIES.map(lambda body: GOOD | body),
        BODIES.map(lambda body: GOOD | {"Line": [GOOD_LINE | body]}),
        BODIES.map(lambda body: GOOD | {"Id": "101", "SyncToken": "0", "sparse": True} | body),
    ),
    operation=OPERATIONS,
)
def test_any_body_is_written_or_refused(
    entity: Entity, body: dict[str, Any], operation: str
) -> None:
    desk = Sandbox(Settings()).desk(REALM)
    if entity in SALES:
        api.write(desk, entity, "", GOOD)
    try:
        text = api.write(desk, entity, operation, body)
    except QboError as refused:
        text = refused.body(desk.clock.now()).decode()
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'{"Line": [{"Amount": NaN}]}',
        b'{"Line": ' + b"[" * 100_000,
        b'{"Line": [{"Amount": 1e400, "DetailType": "SalesItemLineDetail"}]}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_good_json_is_a_400(sandbox: SandboxClient, content: bytes) -> None:
    answer = sandbox.http.post(
        sandbox.address("invoice"), content=content, headers=sandbox.headers()
    )
    assert answer.status_code == 400
    assert answer.json()["Fault"]["Error"][0]["code"] in {"2010", "2020", "2090"}
    assert sandbox.get("item/1").status_code == 200
