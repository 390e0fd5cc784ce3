"""What QuickBooks Online makes of an invoice, receipt, memo or refund that is sent to it.

Law: TotalAmt = item lines (shipping and gratuity too) + bundle components - discount + tax, to the
cent; the client's totals are never trusted.
Source: recorded sales; the identity holds on all of them that were not edited by hand.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from quickbooks_sandbox import faults, fields
from quickbooks_sandbox.books import Books, TaxCode
from quickbooks_sandbox.entities import (
    CREDIT_MEMO,
    CUSTOMER,
    INVOICE,
    ITEM,
    REFUND_RECEIPT,
    SALES_RECEIPT,
    Entity,
)
from quickbooks_sandbox.wire import Document

CENT = Decimal("0.01")
WIDE = Context(prec=60)
PLACES_MAX = 10
AMOUNT_END = Decimal(10) ** 11
"""Amounts and quantities are below it, as in QuickBooks Online."""
PRICE_STEP = Decimal("0.0000001")
SPECIAL_ITEMS = {"SHIPPING_ITEM_ID", "GRATUITY_ITEM_ID"}
DOC_NUMBER_MAX = 21
CURRENCIES = {
    "USD": "United States Dollar",
    "CAD": "Canadian Dollar",
    "EUR": "Euro",
    "GBP": "British Pound Sterling",
    "AUD": "Australian Dollar",
    "JPY": "Japanese Yen",
}


def cents(value: Decimal) -> Decimal:
    """Round half up to the cent."""
    return value.quantize(CENT, ROUND_HALF_UP, WIDE)


def decimal_of(value: object, element: str) -> Decimal:
    """Read a number that a client sent as number or text.

    Raises: QboError 2090 for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise faults.invalid_number(element, value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise faults.invalid_number(element, value) from None
    if not number.is_finite() or abs(number) >= AMOUNT_END:
        raise faults.invalid_number(element, value)
    rounded = round(number, PLACES_MAX)
    return number if number == rounded else rounded


def given(body: Document) -> Document:
    """The body without nulls, empty texts and empty references: they are the same as absent."""
    kept: Document = {}
    for key, value in body.items():
        if value is None or value == "":
            continue
        if key.endswith("Ref") and isinstance(value, dict) and value.get("value") in (None, ""):
            continue
        kept[key] = given(value) if key.endswith(("Addr", "Email")) else value
    return kept


def reference(books: Books, entity: Entity, value: object, element: str) -> Document:
    """A reference to a live, active record with its present name.

    Raises: QboError 2500 for an unknown id, 610 for an inactive record.
    """
    if not isinstance(value, dict):
        raise faults.missing(f"{element}.value")
    wanted = str(value.get("value", ""))
    row = books.find(entity, wanted)
    if row is None or row.verbatim:
        raise faults.invalid_reference(element, wanted)
    if row.document.get("Active") is False:
        raise faults.not_found()
    return {"value": row.id, "name": row.document.get(entity.order, "")}


@dataclass
class Composed:
    """The lines of one sale while they are put together."""

    lines: list[Document] = field(default_factory=list)
    after_subtotal: list[Document] = field(default_factory=list)
    subtotal: Decimal = Decimal(0)
    extras: Decimal = Decimal(0)
    """Shipping and gratuity."""
    discount: Decimal = Decimal(0)
    taxable: dict[str, Decimal] = field(default_factory=dict)
    """Net amount under the discount, by tax code."""
    taxable_extras: dict[str, Decimal] = field(default_factory=dict)


class Composer:
    """Turns the lines of a request into the lines of a document."""

    def __init__(self, books: Books, current: Document | None, *, inclusive: bool) -> None:
        """Compose for these books; line ids of the current version are kept when sent again."""
        self.books = books
        self.inclusive = inclusive
        self.result = Composed()
        self.line_number = 0
        lines = (current or {}).get("Line", [])
        self.known_ids = {line["Id"] for line in _flat(lines) if "Id" in line}
        self.next_line_id = max((int(i) for i in self.known_ids if i.isdigit()), default=0) + 1
        self.used_ids: set[str] = set()

    def compose(self, lines: list[Document]) -> Composed:
        """Put all lines together: items, SubTotal, discount, shipping, in that order.

        Raises: QboError for a line that QuickBooks Online would refuse.
        """
        for line in lines:
            self._line(given(line))
        result = self.result
        result.lines.append(
            {
                "Amount": result.subtotal,
                "DetailType": "SubTotalLineDetail",
                "SubTotalLineDetail": {},
            }
        )
        self._set_discount()
        result.lines.extend(result.after_subtotal)
        return result

    def _line(self, line: Document) -> None:
        match line.get("DetailType"):
            case "SalesItemLineDetail":
                self._sales_item(line)
            case "GroupLineDetail":
                self.result.lines.append(self._group(line))
            case "DescriptionOnly" | "DescriptionLineDetail":
                self.result.lines.append(self._numbered(line, Decimal(0), "DescriptionOnly", {}))
            case "DiscountLineDetail":
                self.result.after_subtotal.insert(0, line)
            case "SubTotalLineDetail":
                pass
            case None:
                raise faults.missing("Line.DetailType")
            case other:
                raise faults.unknown_property("Line", str(other))

    def _sales_item(self, line: Document) -> None:
        detail = given(line.get("SalesItemLineDetail") or {})
        item = str((detail.get("ItemRef") or {}).get("value", ""))
        if item in SPECIAL_ITEMS:
            amount = self._amount(line)
            kept = {"ItemRef": {"value": item}}
            if "TaxCodeRef" in detail:
                kept["TaxCodeRef"] = detail["TaxCodeRef"]
                self._tax(self.result.taxable_extras, detail, amount)
            self.result.extras += amount
            special = {"Amount": amount, "DetailType": "SalesItemLineDetail"}
            self.result.after_subtotal.append(special | {"SalesItemLineDetail": kept})
            return
        self.result.lines.append(self._item_line(line, detail))

    def _item_line(self, line: Document, detail: Document) -> Document:
        amount = self._amount(line)
        gross = None
        code = self._line_tax(detail)
        if self.inclusive and code is not None:
            sent = detail.get("TaxInclusiveAmt")
            gross = decimal_of(sent, "TaxInclusiveAmt") if sent else None
            if gross:
                amount = cents(gross / (1 + code.percent / 100))
            else:
                gross = cents(amount * (1 + code.percent / 100))
        kept: Document = {}
        if "ServiceDate" in detail:
            kept["ServiceDate"] = detail["ServiceDate"]
        if gross is not None:
            kept["TaxInclusiveAmt"] = gross
        account = detail.get("ItemAccountRef")
        if "ItemRef" in detail:
            kept["ItemRef"], account = self._item(detail["ItemRef"])
        for name in ("ClassRef", "PriceLevelRef", "MarkupInfo"):
            if name in detail:
                kept[name] = detail[name]
        kept |= self._quantity(detail, amount, checked=gross is None)
        if account:
            kept["ItemAccountRef"] = account
        default = "NON" if not self.books.profile.sales_tax_by_line else ""
        tax_code = str((detail.get("TaxCodeRef") or {}).get("value") or default)
        if tax_code:
            kept["TaxCodeRef"] = {"value": tax_code}
        self._tax(self.result.taxable, kept, amount)
        self.result.subtotal += amount
        return self._numbered(line, amount, "SalesItemLineDetail", kept)

    def _item(self, ref: object) -> tuple[Document, Document | None]:
        named = reference(self.books, ITEM, ref, "Line.SalesItemLineDetail.ItemRef")
        item = self.books.table(ITEM).rows[named["value"]].document
        if item["Type"] in {"Category", "Group"}:
            raise faults.business(f"an item of type {item['Type']} cannot stand on a sales line")
        return named, item.get("IncomeAccountRef")

    def _quantity(self, detail: Document, amount: Decimal, *, checked: bool) -> Document:
        quantity, price = detail.get("Qty"), detail.get("UnitPrice")
        qty = None if quantity is None else decimal_of(quantity, "Qty")
        unit = None if price is None else decimal_of(price, "UnitPrice")
        if not qty and not unit and amount:
            return {}
        if qty is not None and unit is None:
            unit = (amount / qty).quantize(PRICE_STEP, ROUND_HALF_UP) if qty else None
        elif unit is not None and qty is None:
            qty = (amount / unit).quantize(PRICE_STEP, ROUND_HALF_UP) if unit else None
        elif qty is not None and unit is not None and cents(qty * unit) != cents(amount):
            if checked:
                detail_text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{amount}"
                raise faults.QboError(
                    "6070", "Amount calculation incorrect in the request", detail_text, ""
                )
            unit = (amount / qty).quantize(PRICE_STEP, ROUND_HALF_UP) if qty else unit
        both = {"UnitPrice": unit, "Qty": qty}
        return {name: value for name, value in both.items() if value is not None}

    def _group(self, line: Document) -> Document:
        detail = given(line.get("GroupLineDetail") or {})
        named = reference(self.books, ITEM, detail.get("GroupItemRef"), "Line.GroupItemRef")
        group = self.books.table(ITEM).rows[named["value"]].document
        if group["Type"] != "Group":
            raise faults.business(f"item {named['value']} is not a bundle")
        quantity = decimal_of(detail.get("Quantity", 1), "Line.GroupLineDetail.Quantity")
        children = detail.get("Line") or self._components(group, quantity)
        if "Description" in group:
            line.setdefault("Description", group["Description"])
        whole = self._numbered(line, Decimal(0), "GroupLineDetail", {})
        whole["GroupLineDetail"] = {
            "GroupItemRef": named,
            "Quantity": quantity,
            "Line": [
                self._item_line(given(child), given(child.get("SalesItemLineDetail") or {}))
                for child in children
            ],
        }
        return whole

    def _components(self, group: Document, quantity: Decimal) -> list[Document]:
        lines = []
        for part in group["ItemGroupDetail"]["ItemGroupLine"]:
            item = self.books.table(ITEM).rows[part["ItemRef"]["value"]].document
            qty = quantity * decimal_of(part["Qty"], "Qty")
            price = decimal_of(item.get("UnitPrice", 0), "UnitPrice")
            detail = {"ItemRef": part["ItemRef"], "Qty": qty, "UnitPrice": price}
            line = {"Amount": cents(qty * price), "SalesItemLineDetail": detail}
            lines.append(line | {"Description": item.get("Description", "")})
        return lines

    def _set_discount(self) -> None:
        rest = self.result.after_subtotal
        discounts = [line for line in rest if line["DetailType"] == "DiscountLineDetail"]
        if not discounts:
            return
        if len(discounts) > 1:
            raise faults.business("a transaction can have only one discount")
        line, detail = discounts[0], given(discounts[0].get("DiscountLineDetail") or {})
        kept: Document = {"PercentBased": bool(detail.get("PercentBased"))}
        if kept["PercentBased"]:
            kept["DiscountPercent"] = decimal_of(
                detail.get("DiscountPercent", 0), "DiscountPercent"
            )
            amount = cents(self.result.subtotal * kept["DiscountPercent"] / 100)
        else:
            amount = self._amount(line)
        account = {"value": "86", "name": "Discounts given"}
        kept["DiscountAccountRef"] = detail.get("DiscountAccountRef", account)
        self.result.discount = amount
        made = {"Amount": amount, "DetailType": "DiscountLineDetail", "DiscountLineDetail": kept}
        self.result.after_subtotal = [made, *(each for each in rest if each is not line)]

    def _amount(self, line: Document) -> Decimal:
        if "Amount" not in line:
            raise faults.missing("Line.Amount")
        return cents(decimal_of(line["Amount"], "Line.Amount"))

    def _numbered(self, line: Document, amount: Decimal, kind: str, detail: Document) -> Document:
        self.line_number += 1
        line_id = str(line.get("Id", ""))
        if line_id not in self.known_ids or line_id in self.used_ids:
            line_id, self.next_line_id = str(self.next_line_id), self.next_line_id + 1
        self.used_ids.add(line_id)
        made: Document = {"Id": line_id, "LineNum": self.line_number}
        if line.get("Description"):
            made["Description"] = line["Description"]
        if kind != "DescriptionOnly":
            made["Amount"] = amount
        if line.get("LinkedTxn"):
            made["LinkedTxn"] = line["LinkedTxn"]
        made["DetailType"] = kind
        made["DescriptionLineDetail" if kind == "DescriptionOnly" else kind] = detail
        made["CustomExtensions"] = []
        return made

    def _line_tax(self, detail: Document) -> TaxCode | None:
        if not self.books.profile.sales_tax_by_line:
            return None
        code = str((detail.get("TaxCodeRef") or {}).get("value", ""))
        return self.books.profile.tax_code(code)

    def _tax(self, base: dict[str, Decimal], detail: Document, amount: Decimal) -> None:
        code = str((detail.get("TaxCodeRef") or {}).get("value", ""))
        base[code] = base.get(code, Decimal(0)) + amount


def compose(books: Books, entity: Entity, body: Document, current: Document | None) -> Document:
    """The document that a complete request body becomes, without id, version and balance.

    Raises: QboError for whatever QuickBooks Online refuses.
    """
    unknown = next((name for name in body if name not in fields.SALE_KNOWN), None)
    if unknown is not None:
        raise faults.unknown_property(entity.name, unknown)
    body = given(body)
    if not body.get("Line"):
        raise faults.missing("Line")
    made: Document = {name: body[name] for name in fields.SALE_KEPT if name in body}
    made |= _header(books, entity, body, current)
    by_line = books.profile.sales_tax_by_line
    calculation = body.get("GlobalTaxCalculation", "TaxExcluded")
    composer = Composer(books, current, inclusive=by_line and calculation == "TaxInclusive")
    lines = composer.compose(body["Line"])
    made["Line"] = lines.lines
    made.setdefault("ApplyTaxAfterDiscount", False)
    if by_line:
        del made["ApplyTaxAfterDiscount"]
        made["GlobalTaxCalculation"] = calculation
        made["TxnTaxDetail"] = _tax_by_line(books, lines, taxed=calculation != "NotApplicable")
    else:
        made["TxnTaxDetail"] = _sales_tax(books, body, lines)
    tax = decimal_of(made["TxnTaxDetail"]["TotalTax"], "TotalTax")
    made["TotalAmt"] = lines.subtotal + lines.extras - lines.discount + tax
    if made["TotalAmt"] < 0:
        raise faults.business("the transaction amount must be 0 or greater")
    if books.profile.multi_currency:
        made["HomeTotalAmt"] = cents(made["TotalAmt"] * decimal_of(made["ExchangeRate"], "rate"))
    return made


def ordered(document: Document) -> Document:
    """The document with its fields in the order that QuickBooks Online writes them."""
    return dict(
        sorted(
            document.items(),
            key=lambda pair: fields.SALE_ORDER.get(pair[0], len(fields.SALE_ORDER)),
        )
    )


def calendar_date(value: object, element: str) -> date:
    """Read a date; a date-time's first ten characters count.

    Raises: QboError 2040.
    """
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise faults.malformed_date(element, value) from None


def _header(books: Books, entity: Entity, body: Document, current: Document | None) -> Document:
    made: Document = {"domain": "QBO", "sparse": False}
    made["TxnDate"] = calendar_date(body["TxnDate"], "TxnDate").isoformat()
    if "CustomerRef" in body:
        made |= _customer(books, body)
    elif entity in (INVOICE, CREDIT_MEMO):
        raise faults.missing("CustomerRef")
    if "DocNumber" in body:
        number = str(body["DocNumber"])
        if len(number) > DOC_NUMBER_MAX:
            detail = f"Min:0 Max:{DOC_NUMBER_MAX} supported. Supplied length:{len(number)}"
            message = "String length is either shorter or longer than supported by specification"
            raise faults.QboError("2050", message, detail, "DocNumber")
        made["DocNumber"] = number
    made |= _currency(books, body)
    links = [link for link in body.get("LinkedTxn", []) if link.get("TxnType") != "Payment"]
    paid = [link for link in (current or {}).get("LinkedTxn", []) if link["TxnType"] == "Payment"]
    if entity is INVOICE or links:
        made["LinkedTxn"] = links + paid
    absent = {"CustomField": [], "FreeFormAddress": True}
    absent |= {"PrintStatus": "NeedToPrint"}
    if entity is not REFUND_RECEIPT:
        absent["EmailStatus"] = "NotSet"
    made |= {name: value for name, value in absent.items() if name not in body}
    return made | (_due(body, made["TxnDate"]) if entity is INVOICE else _drawer(entity, body))


def _customer(books: Books, body: Document) -> Document:
    made: Document = {"CustomerRef": reference(books, CUSTOMER, body["CustomerRef"], "CustomerRef")}
    customer = books.table(CUSTOMER).rows[made["CustomerRef"]["value"]].document
    copied = {"BillAddr": "BillAddr", "ShipAddr": "ShipAddr", "BillEmail": "PrimaryEmailAddr"}
    for name, source in copied.items():
        if name not in body and source in customer:
            made[name] = customer[source]
    return made


def _currency(books: Books, body: Document) -> Document:
    home, multi = books.profile.currency, books.profile.multi_currency
    currency = str((body.get("CurrencyRef") or {}).get("value", home))
    if currency != home and not multi:
        raise faults.business(f"multi-currency is off, and {currency} is not the home currency")
    made: Document = {
        "CurrencyRef": {"value": currency, "name": CURRENCIES.get(currency, currency)}
    }
    if multi:
        made["ExchangeRate"] = decimal_of(body.get("ExchangeRate", 1), "ExchangeRate")
    return made


def _due(body: Document, txn_date: str) -> Document:
    made: Document = {name: bool(body.get(name, False)) for name in fields.ONLINE}
    if "DueDate" not in body:
        due = calendar_date(txn_date, "TxnDate") + timedelta(days=30)
        made["DueDate"] = due.isoformat()
    if body.get("Deposit"):
        made["Deposit"] = cents(decimal_of(body["Deposit"], "Deposit"))
    return made


def _drawer(entity: Entity, body: Document) -> Document:
    if entity is CREDIT_MEMO or "DepositToAccountRef" in body:
        return {}
    undeposited, checking = ("4", "Undeposited Funds"), ("35", "Checking")
    account, name = undeposited if entity is SALES_RECEIPT else checking
    return {"DepositToAccountRef": {"value": account, "name": name}}


def _sales_tax(books: Books, body: Document, lines: Composed) -> Document:
    sent = given(body.get("TxnTaxDetail") or {})
    code_id = str((sent.get("TxnTaxCodeRef") or {}).get("value", ""))
    code = books.profile.tax_code(code_id) if code_id else None
    if code is None:
        if code_id:
            raise faults.invalid_reference("TxnTaxDetail.TxnTaxCodeRef", code_id)
        return {"TotalTax": cents(decimal_of(sent.get("TotalTax", 0), "TxnTaxDetail.TotalTax"))}
    base = lines.taxable.get("TAX", Decimal(0))
    if body.get("ApplyTaxAfterDiscount") and lines.subtotal:
        base -= cents(lines.discount * base / lines.subtotal)
    base += lines.taxable_extras.get("TAX", Decimal(0))
    line = _tax_line(code, base)
    detail: Document = {"TxnTaxCodeRef": {"value": code.id}, "TotalTax": line["Amount"]}
    return detail | {"TaxLine": [line]}


def _tax_by_line(books: Books, lines: Composed, *, taxed: bool) -> Document:
    if not taxed:
        return {"TotalTax": Decimal(0)}
    tax_lines = []
    for code in books.profile.tax_codes:
        base = lines.taxable.get(code.id, Decimal(0))
        if lines.subtotal:
            base -= cents(lines.discount * base / lines.subtotal)
        base += lines.taxable_extras.get(code.id, Decimal(0))
        if code.id in lines.taxable or code.id in lines.taxable_extras:
            tax_lines.append(_tax_line(code, base))
    total = sum((line["Amount"] for line in tax_lines), Decimal(0))
    return {"TotalTax": total} | ({"TaxLine": tax_lines} if tax_lines else {})


def _tax_line(code: TaxCode, base: Decimal) -> Document:
    return {
        "Amount": cents(base * code.percent / 100),
        "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": {"value": code.rate_id},
            "PercentBased": True,
            "TaxPercent": code.percent,
            "NetAmountTaxable": base,
        },
    }


def _flat(lines: list[Document]) -> list[Document]:
    flat = []
    for line in lines:
        flat.append(line)
        flat.extend((line.get("GroupLineDetail") or {}).get("Line", []))
    return flat
