"""How finely the money of a currency is counted."""

MINOR_DIGITS_DEFAULT = 2
_MINOR_DIGITS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}


def minor_digits(currency: str | None) -> int:
    """Decimal places of a currency's minor unit. Source: ISO 4217."""
    return _MINOR_DIGITS.get(currency or "", MINOR_DIGITS_DEFAULT)
