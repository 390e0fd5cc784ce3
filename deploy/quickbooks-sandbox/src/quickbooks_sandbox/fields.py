"""Names of the fields that records have, and their order.

Law: a field that stands in none of these lists is refused with 2010, as the real service does.
Source: the entities' reference pages and recorded payloads.
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ONLINE = _names(
    "AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment"
)

SALE_KEPT = ONLINE + _names(
    """CustomField PrivateNote CustomerMemo BillAddr ShipAddr ShipFromAddr FreeFormAddress
    SalesTermRef ClassRef DepartmentRef ProjectRef ShipMethodRef ShipDate TrackingNum BillEmail
    BillEmailCc BillEmailBcc PaymentMethodRef PaymentRefNum DepositToAccountRef PrintStatus
    EmailStatus DueDate ApplyTaxAfterDiscount TransactionLocationType TaxExemptionRef RecurDataRef
    PONumber FOB SalesRepRef RemitToRef Tag DeliveryInfo InvoiceRef CheckPayment CreditCardPayment
    TxnSource PaymentType"""
)
"""Fields of a sale that are stored as they are sent."""

SALE_KNOWN = frozenset(SALE_KEPT) | frozenset(
    _names(
        """Id SyncToken MetaData domain sparse status TotalAmt HomeTotalAmt Balance HomeBalance
        RemainingCredit InvoiceLink LinkedTxn Line TxnTaxDetail CustomerRef CurrencyRef ExchangeRate
        DocNumber TxnDate GlobalTaxCalculation Deposit EInvoiceStatus ECloudStatusTimeStamp
        AutoDocNumber ARAccountRef invoiceStatusLog callToAction CustomExtensions
        PaymentDetailsMessage TxnStatus InvoiceEx TaxFormType TaxFormNum LessCIS DiscountRate
        ConvenienceFeeDetail TxnApprovalInfo RecurringInfo"""
    )
)
"""Every field of a sale that a client may send; the rest is computed, checked or ignored."""

SALE_ORDER = {
    name: place
    for place, name in enumerate(
        _names(
            """RemainingCredit AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment
            AllowOnlineACHPayment domain sparse Id SyncToken MetaData CustomField DocNumber TxnDate
            DepartmentRef ClassRef CurrencyRef ExchangeRate PrivateNote LinkedTxn Line TxnTaxDetail
            CustomerRef CustomerMemo BillAddr ShipAddr FreeFormAddress ShipFromAddr SalesTermRef
            DueDate ShipMethodRef ShipDate TrackingNum GlobalTaxCalculation TotalAmt HomeTotalAmt
            ApplyTaxAfterDiscount PrintStatus EmailStatus BillEmail Balance HomeBalance Deposit
            PaymentMethodRef PaymentRefNum DepositToAccountRef DeliveryInfo"""
        )
    )
}
"""Where each field stands in what QuickBooks Online writes."""

ITEM_KNOWN = frozenset(
    _names(
        """Name Sku Description Active SubItem ParentRef Level FullyQualifiedName Taxable
        SalesTaxIncluded UnitPrice RatePercent Type PaymentMethodRef IncomeAccountRef PurchaseDesc
        PurchaseTaxIncluded PurchaseCost ExpenseAccountRef COGSAccountRef AssetAccountRef
        PrefVendorRef TrackQtyOnHand QtyOnHand InvStartDate ItemCategoryType ItemGroupDetail
        PrintGroupedItems SalesTaxCodeRef PurchaseTaxCodeRef AbatementRate ReverseChargeRate
        ServiceType ClassRef TaxClassificationRef ReorderPoint Source UQCDisplayText UQCId AvgCost
        QtyOnPurchaseOrder QtyOnSalesOrder ManPartNum DeferredRevenue CustomField domain sparse Id
        SyncToken MetaData status"""
    )
)

CUSTOMER_KNOWN = frozenset(
    _names(
        """Title GivenName MiddleName FamilyName Suffix FullyQualifiedName CompanyName DisplayName
        PrintOnCheckName Active PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr
        DefaultTaxCodeRef Taxable TaxExemptionReasonId BillAddr ShipAddr Notes Job BillWithParent
        ParentRef Level SalesTermRef PaymentMethodRef Balance OpenBalanceDate BalanceWithJobs
        CurrencyRef PreferredDeliveryMethod ResaleNum ARAccountRef CustomerTypeRef IsProject
        ClientEntityId PrimaryTaxIdentifier SecondaryTaxIdentifier Source CustomField GSTIN
        GSTRegistrationType V4IDPseudonym domain sparse Id SyncToken MetaData status"""
    )
)

NOT_IMITATED = frozenset(
    _names(
        """account attachable bill billpayment budget class companycurrency department deposit
        employee estimate inventoryadjustment journalentry paymentmethod preferences purchase
        purchaseorder term transfer vendor vendorcredit"""
    )
)
"""Entities of QuickBooks Online that the sandbox does not keep; CDC answers `{}` for them."""
