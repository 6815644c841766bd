"""Text of a pod as a ClassAd string. Pure. The one place where such text meets HTCondor's languages.

A string passes three readers on its way into an ad: the submit language (macros), the item list of a queue statement (separators, line
ends), and the ClassAd parser, whose rules for backslashes are not the same everywhere. So what any of them might take for its own is
written as %XX, as in a URL: what is left means the same to all three. Labels and names stay readable, and no text is lost.
"""

from __future__ import annotations

import string
from urllib.parse import quote, unquote_to_bytes

PLAIN = " !&'()*+,-./:;<=>?@[]^_`{|}~#"
"""Besides letters and digits; not the double quote, backslash, dollar and percent."""
ATTRIBUTE_CHARACTERS = frozenset(string.ascii_letters + string.digits)


def quoted(text: str) -> str:
    """A ClassAd string literal that evaluates to `encoded(text)`."""
    return f'"{encoded(text)}"'


def encoded(text: str) -> str:
    """What stands in the ad. Blanks at either end are encoded too: item lists are trimmed."""
    middle = text.strip(" ")
    left = len(text) - len(text.lstrip(" "))
    body = quote(middle, safe=PLAIN, errors="surrogatepass")
    if not middle:
        return "%20" * len(text)
    return "%20" * left + body + "%20" * (len(text) - left - len(middle))


def decoded(value: str) -> str:
    """The text again."""
    return unquote_to_bytes(value).decode("utf-8", "surrogatepass")


def attribute_part(text: str) -> str:
    """A text as a part of an attribute's name: letters and digits stay, all else is _XX_ of its UTF-8 bytes, so no two are alike."""
    kept = (c if c in ATTRIBUTE_CHARACTERS else "".join(f"_{byte:02X}_" for byte in c.encode("utf-8", "surrogatepass")) for c in text)
    return "".join(kept)
