"""The home currency of a company by its country, where its preferences do not tell.

The law of this module: it is only a fallback. A rate on a document always counts before it, so a
wrong guess shows as a missing rate and never as a wrong amount.
"""

_CURRENCIES = {
    "AED": "AE ARE",
    "AUD": "AU AUS",
    "BRL": "BR BRA",
    "CAD": "CA CAN",
    "CHF": "CH CHE",
    "DKK": "DK DNK",
    "EUR": "AT AUT BE BEL DE DEU ES ESP FI FIN FR FRA IE IRL IT ITA NL NLD PT PRT",
    "GBP": "GB GBR UK",
    "HKD": "HK HKG",
    "INR": "IN IND",
    "JPY": "JP JPN",
    "MXN": "MX MEX",
    "NOK": "NO NOR",
    "NZD": "NZ NZL",
    "SEK": "SE SWE",
    "SGD": "SG SGP",
    "USD": "US USA",
    "ZAR": "ZA ZAF",
}
_BY_COUNTRY = {
    country: currency
    for currency, countries in _CURRENCIES.items()
    for country in countries.split()
}


def usual_currency(country: str | None) -> str | None:
    """The currency that books in a country are usually kept in; codes of two or three letters."""
    return _BY_COUNTRY.get((country or "").upper())
