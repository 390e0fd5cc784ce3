"""The company that every sandbox starts with: Cedar & Sons Workshop.

Law: ids, names and prices here are documented and stable; tests and demos rely on them.
"""

from quickbooks_sandbox import lists
from quickbooks_sandbox.entities import CUSTOMER, ITEM
from quickbooks_sandbox.versions import Desk
from quickbooks_sandbox.wire import Document

COMPANY_NAME = "Cedar & Sons Workshop"

ITEMS: tuple[Document, ...] = (
    {
        "Name": "Walnut Desk",
        "Sku": "DSK-WAL",
        "Description": "Writing desk, solid walnut",
        "Type": "Inventory",
        "UnitPrice": 260,
        "PurchaseCost": 145,
        "PurchaseDesc": "Writing desk, solid walnut",
        "QtyOnHand": 75,
        "InvStartDate": "2024-01-01",
    },
    {
        "Name": "Oak Chair",
        "Sku": "CHR-OAK",
        "Description": "Dining chair, oiled oak",
        "Type": "Inventory",
        "UnitPrice": 95,
        "PurchaseCost": 35,
        "PurchaseDesc": "Dining chair, oiled oak",
        "QtyOnHand": 170,
        "InvStartDate": "2024-01-01",
    },
    {"Name": "Assembly", "Description": "Assembly on site", "Type": "Service", "UnitPrice": 45},
    {
        "Name": "Table Leg",
        "Sku": "LEG-BEE",
        "Description": "Turned beech leg",
        "Type": "NonInventory",
        "UnitPrice": 12,
        "PurchaseCost": 4,
    },
    {
        "Name": "Brass Lamp",
        "Sku": "LMP-BRA",
        "Description": "Reading lamp, brass",
        "Type": "Inventory",
        "UnitPrice": 64,
        "PurchaseCost": 27,
        "PurchaseDesc": "Reading lamp, brass",
        "QtyOnHand": 40,
        "InvStartDate": "2024-01-01",
    },
    {
        "Name": "Pine Bookcase",
        "Sku": "BKC-PIN",
        "Description": "Bookcase, five shelves",
        "Type": "Inventory",
        "UnitPrice": 180,
        "PurchaseCost": 88,
        "PurchaseDesc": "Bookcase, five shelves",
        "QtyOnHand": 60,
        "InvStartDate": "2024-01-01",
    },
    {"Name": "Design Hours", "Type": "Service", "UnitPrice": 75},
    {
        "Name": "Study Corner",
        "Description": "A desk with two chairs",
        "Type": "Group",
        "ItemGroupDetail": {
            "ItemGroupLine": [
                {"Qty": 1, "ItemRef": {"value": "1", "name": "Walnut Desk", "type": "Inventory"}},
                {"Qty": 2, "ItemRef": {"value": "2", "name": "Oak Chair", "type": "Inventory"}},
            ]
        },
        "PrintGroupedItems": True,
    },
)

CUSTOMERS: tuple[Document, ...] = (
    {
        "DisplayName": "Harbour View Hotel",
        "CompanyName": "Harbour View Hotel",
        "PrimaryEmailAddr": {"Address": "office@harbourview.example"},
        "BillAddr": {
            "Id": "2",
            "Line1": "12 Quay Street",
            "City": "Astoria",
            "CountrySubDivisionCode": "OR",
            "PostalCode": "97103",
        },
        "ShipAddr": {
            "Id": "3",
            "Line1": "12 Quay Street",
            "City": "Astoria",
            "CountrySubDivisionCode": "OR",
            "PostalCode": "97103",
        },
    },
    {
        "DisplayName": "Northside Library",
        "CompanyName": "Northside Library",
        "BillAddr": {"Id": "4", "Line1": "90 Alder Avenue", "City": "Portland"},
    },
    {"DisplayName": "Café Zoë", "CompanyName": "Café Zoë"},
    {"DisplayName": "Maura O'Neill", "GivenName": "Maura", "FamilyName": "O'Neill"},
)


def stock_shelves(desk: Desk) -> None:
    """Put the items (ids 1 to 8) and customers (ids 1 to 4) into empty books."""
    for item in ITEMS:
        lists.create(desk, ITEM, item)
    for customer in CUSTOMERS:
        lists.create(desk, CUSTOMER, customer)
