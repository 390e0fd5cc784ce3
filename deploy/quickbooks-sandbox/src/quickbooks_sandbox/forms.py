"""Short forms of sales, items, customers and payments, for the control API.

Law: a short form is only turned into a request body that any client could have sent; what becomes
of it is decided where clients' requests are.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from quickbooks_sandbox import lists
from quickbooks_sandbox.books import Row
from quickbooks_sandbox.entities import CREDIT_MEMO, CUSTOMER, INVOICE, ITEM, Entity
from quickbooks_sandbox.sales import cents, decimal_of
from quickbooks_sandbox.versions import Desk
from quickbooks_sandbox.wire import Document, plain

Number = Annotated[Decimal, Field(allow_inf_nan=False)]


class FormError(Exception):
    """A short form that names something unknown; the message says what and what there is."""


class Form(BaseModel):
    """Base of all forms: a misspelt field is refused."""

    model_config = ConfigDict(extra="forbid")


QboFields = Annotated[Document, AfterValidator(plain)]


class LineForm(Form):
    """One line: an item or a bundle with quantity and price, or an amount, or only a text."""

    item: str | None = Field(None, description="Item by name or id.")
    bundle: str | None = Field(None, description="Bundle (Type Group) by name or id.")
    qty: Number | None = None
    price: Number | None = Field(None, description="Unit price; the item's own if left out.")
    amount: Number | None = Field(None, description="Without qty and price: a line without both.")
    gross: Number | None = Field(None, description="TaxInclusiveAmt, for tax-inclusive sales.")
    description: str | None = None
    tax_code: str | None = Field(None, description="TAX or NON in the US, a tax code id elsewhere.")
    service_date: date | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "LineForm":
        if not any((self.item, self.bundle, self.description)) and self.amount is None:
            raise ValueError("a line needs an item, a bundle, an amount or a description")
        return self


class SaleForm(Form):
    """An invoice, sales receipt, credit memo or refund receipt."""

    lines: list[LineForm] = Field(min_length=1)
    customer: str | None = Field(
        None,
        description="Name or id; an unknown name becomes a customer. Invoices and memos "
        "without one go to the first customer.",
    )
    txn_date: date | None = Field(None, description="Today in the company's calendar if left out.")
    doc_number: str | None = Field(None, description="The next number if left out.")
    discount_percent: Number | None = None
    discount_amount: Number | None = None
    shipping: Number | None = None
    gratuity: Number | None = None
    tax_code: str | None = Field(None, description="Sales tax of a US sale; '2' is 8 %.")
    tax_total: Number | None = Field(None, description="A US sale's tax as a sum, without code.")
    tax_mode: Literal["TaxExcluded", "TaxInclusive", "NotApplicable"] | None = None
    tax_after_discount: bool | None = None
    deposit: Number | None = None
    private_note: str | None = None
    currency: str | None = None
    exchange_rate: Number | None = None
    at: datetime | None = Field(
        None, description="CreateTime and LastUpdatedTime; now if left out."
    )
    qbo: QboFields = Field(
        default_factory=dict, description="Further fields in QuickBooks' own form."
    )


class SaleChange(Form):
    """A change of a sale: of one line, of all lines, or of its header."""

    line: int = Field(1, ge=1, description="Which line (LineNum) qty, price, item and amount mean.")
    qty: Number | None = None
    price: Number | None = None
    item: str | None = None
    amount: Number | None = None
    lines: list[LineForm] | None = Field(None, description="All lines anew.")
    customer: str | None = None
    txn_date: date | None = None
    doc_number: str | None = None
    private_note: str | None = None
    discount_percent: Number | None = Field(None, description="Needs `lines` too.")
    qbo: QboFields = Field(default_factory=dict)


class ItemForm(Form):
    """An item."""

    name: str = Field(min_length=1)
    type: Literal["Inventory", "NonInventory", "Service", "Group", "Category"] = "Inventory"
    sku: str | None = None
    price: Number = Decimal(0)
    cost: Number = Decimal(0)
    description: str | None = None
    qty_on_hand: Number = Decimal(0)
    parent: str | None = Field(None, description="Parent item or category by name or id.")
    components: dict[str, Number] = Field(
        default_factory=dict, description="Of a Group: items by name or id to quantities."
    )
    at: datetime | None = None


class CustomerForm(Form):
    """A customer."""

    name: str = Field(min_length=1)
    email: str | None = None
    at: datetime | None = None


class PaymentForm(Form):
    """A payment of an invoice, or a credit memo applied to one."""

    invoice: str | None = Field(None, description="Invoice by id or DocNumber.")
    credit_memo: str | None = Field(None, description="Memo by id or DocNumber, applied to it.")
    amount: Number | None = Field(None, description="The open balance if left out.")
    customer: str | None = None
    txn_date: date | None = None
    at: datetime | None = None


def sale_body(desk: Desk, entity: Entity, form: SaleForm) -> Document:
    """The request body of a sale.

    Raises: FormError for an item that does not exist.
    """
    body = _lines_body(desk, form.lines)
    extra = body["Line"]
    if form.discount_percent is not None or form.discount_amount is not None:
        extra.append(discount_line(form.discount_percent, form.discount_amount))
    for special, amount in (("SHIPPING", form.shipping), ("GRATUITY", form.gratuity)):
        if amount is not None:
            detail = {"ItemRef": {"value": f"{special}_ITEM_ID"}}
            line = {"Amount": amount, "DetailType": "SalesItemLineDetail"}
            extra.append(line | {"SalesItemLineDetail": detail})
    if form.tax_code is not None:
        body["TxnTaxDetail"] = {"TxnTaxCodeRef": {"value": form.tax_code}}
        for line in extra:
            detail = line.get("SalesItemLineDetail", {})
            if "ItemRef" in detail and not detail["ItemRef"]["value"].endswith("_ITEM_ID"):
                detail.setdefault("TaxCodeRef", {"value": "TAX"})
    elif form.tax_total is not None:
        body["TxnTaxDetail"] = {"TotalTax": form.tax_total}
    body |= header_body(desk, form.customer, form.txn_date, form.doc_number, form.private_note)
    if "CustomerRef" not in body and entity in (INVOICE, CREDIT_MEMO):
        body["CustomerRef"] = {"value": customer_id(desk, None)}
    sent = {
        "GlobalTaxCalculation": form.tax_mode,
        "ApplyTaxAfterDiscount": form.tax_after_discount,
        "Deposit": form.deposit,
        "CurrencyRef": {"value": form.currency} if form.currency else None,
        "ExchangeRate": form.exchange_rate,
    }
    return body | {name: value for name, value in sent.items() if value is not None} | form.qbo


def header_body(
    desk: Desk, customer: str | None, txn_date: date | None, number: str | None, note: str | None
) -> Document:
    """The header fields that a sale and its change have in common."""
    body: Document = {}
    if customer is not None:
        body["CustomerRef"] = {"value": customer_id(desk, customer)}
    if txn_date is not None:
        body["TxnDate"] = txn_date.isoformat()
    if number is not None:
        body["DocNumber"] = number
    if note is not None:
        body["PrivateNote"] = note
    return body


def change_body(desk: Desk, row: Row, change: SaleChange) -> Document:
    """The sparse update that a change means.

    Raises: FormError for a line or item that does not exist.
    """
    body: Document = {"SyncToken": str(row.sync_token), "sparse": True}
    body |= header_body(
        desk, change.customer, change.txn_date, change.doc_number, change.private_note
    )
    if change.lines is not None:
        body |= _lines_body(desk, change.lines)
        if change.discount_percent is not None:
            body["Line"].append(discount_line(change.discount_percent, None))
    elif any(value is not None for value in (change.qty, change.price, change.item, change.amount)):
        body["Line"] = [_changed(desk, row, line, change) for line in row.document["Line"]]
        if not any(line.get("LineNum") == change.line for line in row.document["Line"]):
            count = sum("LineNum" in line for line in row.document["Line"])
            raise FormError(f"there is no line {change.line}; the sale has {count}")
    return body | change.qbo


def discount_line(percent: Decimal | None, amount: Decimal | None) -> Document:
    """A discount of so many percent, or of an amount."""
    detail: Document = {"PercentBased": percent is not None}
    if percent is not None:
        detail["DiscountPercent"] = percent
    line = {"Amount": amount or Decimal(0), "DetailType": "DiscountLineDetail"}
    return line | {"DiscountLineDetail": detail}


def item_body(desk: Desk, form: ItemForm) -> Document:
    """The request body of an item."""
    body: Document = {"Name": form.name, "Type": form.type, "UnitPrice": form.price}
    body |= {"PurchaseCost": form.cost}
    optional = {"Sku": form.sku, "Description": form.description}
    body |= {name: value for name, value in optional.items() if value is not None}
    if form.type == "Inventory":
        body["QtyOnHand"] = form.qty_on_hand
    if form.parent is not None:
        body["ParentRef"] = {"value": item_row(desk, form.parent).id}
    if form.components:
        parts = [(item_row(desk, name).id, qty) for name, qty in form.components.items()]
        lines = [{"Qty": qty, "ItemRef": {"value": item}} for item, qty in parts]
        body["ItemGroupDetail"] = {"ItemGroupLine": lines}
    return body


def payment_body(desk: Desk, form: PaymentForm) -> Document:
    """The request body of a payment; a memo applied to an invoice is a payment of 0.

    Raises: FormError for a document that does not exist.
    """
    lines: list[Document] = []
    customer = form.customer and customer_id(desk, form.customer)
    total = form.amount or Decimal(0)
    if form.invoice is not None:
        invoice = sale_row(desk, INVOICE, form.invoice)
        memo = sale_row(desk, CREDIT_MEMO, form.credit_memo) if form.credit_memo else None
        open_balance = decimal_of(invoice.document["Balance"], "Balance")
        if memo is not None:
            open_balance = min(open_balance, decimal_of(memo.document["Balance"], "Balance"))
        amount = form.amount if form.amount is not None else open_balance
        total = amount if memo is None else Decimal(0)
        lines = [_link(amount, invoice)] + ([_link(amount, memo)] if memo else [])
        customer = customer or invoice.document["CustomerRef"]["value"]
    body = {"CustomerRef": {"value": customer or customer_id(desk, None)}, "TotalAmt": total}
    if form.txn_date is not None:
        body["TxnDate"] = form.txn_date.isoformat()
    return body | {"Line": lines}


def item_row(desk: Desk, name: str) -> Row:
    """The item with that name or id.

    Raises: FormError with the names there are.
    """
    row = lists.named(desk.books, ITEM, name)
    if row is None:
        rows = list(desk.books.table(ITEM).rows.values())[:20]
        known = ", ".join(f"{row.document['FullyQualifiedName']} ({row.id})" for row in rows)
        raise FormError(f"there is no item {name!r}; there are: {known}")
    return row


def customer_id(desk: Desk, name: str | None) -> str:
    """The id of the customer with that name or id, made if unknown; without a name, the first."""
    if name is None:
        first = next(iter(desk.books.table(CUSTOMER).rows), None)
        return first or lists.create(desk, CUSTOMER, {"DisplayName": "First Customer"}).id
    row = lists.named(desk.books, CUSTOMER, name)
    return row.id if row else lists.create(desk, CUSTOMER, {"DisplayName": name}).id


def sale_row(desk: Desk, entity: Entity, wanted: str) -> Row:
    """The sale with that id or, if there is none, that DocNumber.

    Raises: FormError.
    """
    row = desk.books.find(entity, wanted)
    if row is not None:
        return row
    for other in desk.books.table(entity).rows.values():
        if other.document.get("DocNumber") == wanted:
            return other
    raise FormError(f"there is no {entity.name} with id or DocNumber {wanted!r}")


def _lines_body(desk: Desk, lines: list[LineForm]) -> Document:
    return {"Line": [_line_body(desk, line) for line in lines]}


def _line_body(desk: Desk, form: LineForm) -> Document:
    line: Document = {"Description": form.description} if form.description else {}
    if form.bundle is not None:
        detail: Document = {"GroupItemRef": {"value": item_row(desk, form.bundle).id}}
        detail["Quantity"] = form.qty if form.qty is not None else Decimal(1)
        return line | {"DetailType": "GroupLineDetail", "GroupLineDetail": detail}
    if form.item is None and form.amount is None:
        return line | {"DetailType": "DescriptionOnly", "DescriptionLineDetail": {}}
    detail = {}
    price, qty = form.price, form.qty
    if form.item is not None:
        row = item_row(desk, form.item)
        detail["ItemRef"] = {"value": row.id}
        if "Description" in row.document:
            line.setdefault("Description", row.document["Description"])
        if form.amount is None:
            qty = Decimal(1) if qty is None else qty
            own = decimal_of(row.document.get("UnitPrice", 0), "UnitPrice")
            price = own if price is None else price
    else:
        detail["ItemAccountRef"] = {"value": "85", "name": "Markup on expenses"}
    quantities = {"Qty": qty, "UnitPrice": price, "TaxInclusiveAmt": form.gross}
    detail |= {name: value for name, value in quantities.items() if value is not None}
    if form.tax_code is not None:
        detail["TaxCodeRef"] = {"value": form.tax_code}
    if form.service_date is not None:
        detail["ServiceDate"] = form.service_date.isoformat()
    amount = form.amount
    if amount is None:
        amount = cents((qty or Decimal(0)) * (price or Decimal(0)))
    line |= {"Amount": amount, "DetailType": "SalesItemLineDetail"}
    return line | {"SalesItemLineDetail": detail}


def _changed(desk: Desk, row: Row, line: Document, change: SaleChange) -> Document:
    if line.get("LineNum") != change.line:
        return line
    kind = line["DetailType"]
    if kind == "GroupLineDetail":
        if change.qty is None:
            raise FormError(f"line {change.line} is a bundle: only its qty can change")
        detail = {"GroupItemRef": line[kind]["GroupItemRef"], "Quantity": change.qty}
        return {**line, kind: detail}
    if kind != "SalesItemLineDetail":
        raise FormError(f"line {change.line} of {row.entity.name} {row.id} has no quantity")
    detail = dict(line[kind])
    if change.item is not None:
        detail["ItemRef"] = {"value": item_row(desk, change.item).id}
    for name, value in (("Qty", change.qty), ("UnitPrice", change.price)):
        if value is not None:
            detail[name] = value
    amount = change.amount
    if amount is None and "Qty" in detail and "UnitPrice" in detail:
        amount = cents(
            decimal_of(detail["Qty"], "Qty") * decimal_of(detail["UnitPrice"], "UnitPrice")
        )
    elif amount is None:
        amount = line["Amount"]
    detail.pop("TaxInclusiveAmt", None)
    return {**line, "Amount": amount, kind: detail}


def _link(amount: Decimal, row: Row) -> Document:
    return {"Amount": amount, "LinkedTxn": [{"TxnId": row.id, "TxnType": row.entity.name}]}
