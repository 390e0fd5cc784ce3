"""Which entities the sandbox keeps, and what each may be asked.

Law: everything that differs between entities by a table, not by behaviour, stands here.
Source: "filterable, sortable" traits of the API reference; `totalCount` as recorded.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "instant", "date", "number", "text", "ref", "flag"]

_EVERY: dict[str, Kind] = {
    "Id": "id",
    "MetaData.CreateTime": "instant",
    "MetaData.LastUpdatedTime": "instant",
}
_SALE: dict[str, Kind] = {
    **_EVERY,
    "CustomerRef": "ref",
    "DocNumber": "text",
    "TxnDate": "date",
    "DueDate": "date",
    "Balance": "number",
    "TotalAmt": "number",
    "SalesTermRef": "ref",
    "ProjectRef": "ref",
    "DepartmentRef": "ref",
    "CurrencyRef": "ref",
}


@dataclass(frozen=True)
class Entity:
    """One kind of record."""

    name: str
    filters: dict[str, Kind]
    transaction: bool = True
    total_count: bool = False
    order: str = "MetaData.LastUpdatedTime"
    void: Literal["none", "operation", "include"] = "none"
    restocks: bool = False
    """Whether a quantity on it comes back to stock (credit memo, refund receipt)."""

    def filter_named(self, name: str) -> tuple[str, Kind] | None:
        """The attribute of that name in any case, with its kind, if it may be filtered."""
        for known, kind in self.filters.items():
            if known.lower() == name.lower():
                return known, kind
        return None


INVOICE = Entity("Invoice", _SALE, total_count=True, void="operation")
SALES_RECEIPT = Entity("SalesReceipt", _SALE, void="include")
CREDIT_MEMO = Entity("CreditMemo", _SALE, restocks=True)
REFUND_RECEIPT = Entity("RefundReceipt", _SALE, restocks=True)
PAYMENT = Entity("Payment", {**_SALE, "PaymentRefNum": "text"}, void="include")
ITEM = Entity(
    "Item",
    {
        **_EVERY,
        "Name": "text",
        "FullyQualifiedName": "text",
        "Type": "text",
        "Sku": "text",
        "Active": "flag",
        "UnitPrice": "number",
        "QtyOnHand": "number",
        "ParentRef": "ref",
    },
    transaction=False,
    order="FullyQualifiedName",
)
CUSTOMER = Entity(
    "Customer",
    {
        **_EVERY,
        "DisplayName": "text",
        "FullyQualifiedName": "text",
        "CompanyName": "text",
        "GivenName": "text",
        "FamilyName": "text",
        "Active": "flag",
        "Balance": "number",
    },
    transaction=False,
    order="DisplayName",
)
COMPANY_INFO = Entity("CompanyInfo", _EVERY, transaction=False)

SALES = (INVOICE, SALES_RECEIPT, CREDIT_MEMO, REFUND_RECEIPT)
ENTITIES = {
    entity.name.lower(): entity for entity in (*SALES, PAYMENT, ITEM, CUSTOMER, COMPANY_INFO)
}


def entity_named(name: str) -> Entity | None:
    """The entity of that name in any case."""
    return ENTITIES.get(name.lower())
