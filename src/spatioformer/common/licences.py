"""Licences of data: their SPDX names, and the uses that they restrict."""

import re

_CREATIVE = re.compile(
    r"creative\s*commons|\bcc[\s_-]*(?:by|0|zero)|licenses/(?:by|zero)|publicdomain/zero", re.I
)
_VERSION = re.compile(r"[\s_/-]v?([1-4])[._]([0-5])\b")
_PUBLIC = re.compile(r"\bcc[\s_-]*(?:0|zero)\b|publicdomain/zero|\bcc0", re.I)

NON_COMMERCIAL = "no commercial use"
SHARE_ALIKE = "share-alike: what is made from it must have the same licence"
NO_DERIVATIVES = "no derivatives: a map made from it must not be shared"


def spdx(text: str) -> str:
    """The SPDX name of a licence of Creative Commons; another text on one line; '' for none.

    Reads addresses (http://creativecommons.org/licenses/by-nc/4.0/legalcode), the codes of GBIF
    (CC_BY_NC_4_0) and names in words (Creative Commons Attribution 4.0).
    """
    plain = " ".join(text.split())
    if plain.lower() in ("", "na", "none", "unspecified", "unsupported", "not supplied"):
        return ""
    if not _CREATIVE.search(plain):
        return plain
    version = _VERSION.search(plain)
    number = f"{version[1]}.{version[2]}" if version else ""
    if _PUBLIC.search(plain):
        return f"CC0-{number or '1.0'}"
    words = re.sub(r"[\s_/-]+", "-", plain.lower())
    parts = ["by"]
    if "noncommercial" in words or "non-commercial" in words or re.search(r"by-nc\b", words):
        parts.append("nc")
    if "noderiv" in words or "no-deriv" in words or re.search(r"by(-nc)?-nd\b", words):
        parts.append("nd")
    if "sharealike" in words or "share-alike" in words or re.search(r"by(-nc)?-sa\b", words):
        parts.append("sa")
    return "-".join(["CC", *map(str.upper, parts), *([number] if number else [])])


def restrictions(licence: str) -> list[str]:
    """Uses that a licence forbids or ties to a condition; [] for none that is known."""
    words = licence.upper().replace("_", "-")
    uses = []
    if re.search(r"\bNC\b|NON-?\s?COMMERCIAL|\bNOT? (?:FOR )?(?:ANY )?COMMERCIAL", words):
        uses.append(NON_COMMERCIAL)
    if re.search(r"\bND\b|NO-?\s?DERIV", words):
        uses.append(NO_DERIVATIVES)
    if re.search(r"\bSA\b|SHARE-?\s?ALIKE|\bGPL|ODBL", words):
        uses.append(SHARE_ALIKE)
    return uses
