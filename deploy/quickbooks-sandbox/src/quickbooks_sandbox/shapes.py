"""Refuses request bodies whose parts are not of the kind that their names promise.

Law: behind this check, a `…Ref`, `…Detail` or `…Addr` is an object and a `Line` a list of objects,
so that nobody else has to ask; nesting is bounded.
"""

from quickbooks_sandbox import faults
from quickbooks_sandbox.wire import Document

DEPTH_MAX = 20
LISTS = frozenset(
    ("Line", "LinkedTxn", "TaxLine", "ItemGroupLine", "CustomField", "BatchItemRequest")
)
OBJECTS = ("Ref", "Detail", "Addr", "BillEmail", "MetaData")
TEXTS = frozenset(("DetailType", "TxnType", "Type", "GlobalTaxCalculation", "PrivateNote"))


def check(body: Document, depth: int = 0) -> None:
    """Check an object and all that is in it.

    Raises: QboError 2010 with the name of the part that is wrong.
    """
    for name, value in body.items():
        if value is None:
            continue
        wrong = (
            depth > DEPTH_MAX
            or (name in LISTS and not isinstance(value, list))
            or (name.endswith(OBJECTS) and not isinstance(value, dict))
            or (name in TEXTS and not isinstance(value, str))
        )
        if wrong:
            raise _invalid(name)
        if isinstance(value, dict):
            check(value, depth + 1)
        elif isinstance(value, list):
            _check_list(name, value, depth + 1)


def _check_list(name: str, values: list[object], depth: int) -> None:
    for value in values:
        if isinstance(value, dict):
            check(value, depth)
        elif isinstance(value, list) or name in LISTS:
            raise _invalid(name)


def _invalid(name: str) -> faults.QboError:
    return faults.QboError(
        "2010",
        "Request has invalid or unsupported property",
        f"Property Name:{name} specified is unsupported or invalid",
    )
