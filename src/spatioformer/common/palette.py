"""Colours, type and spacing, defined once: for figures, report.html and the pages of `view`.

`python -m spatioformer.common.palette` prints the CSS variables of the pages; `make page` writes
them to page/src/shared/variables.css.
"""

INK, MUTED, NOTHING, PALE, ACCENT = "#22282b", "#5f696d", "#dcdfdf", "#f6f6f3", "#1f6f5c"
SEA, MASKED, BAD = "#e2e9ec", "#b9bdbd", "#a33b3b"
SERIES = (ACCENT, "#c8702a", "#4a6fa5", "#8a5a83", "#7a7a52", "#a33b3b", "#3b8ea3")

REPORT = {
    "ink": INK,
    "muted": MUTED,
    "line": "#dfe3e2",
    "pale": "#f5f6f4",
    "accent": ACCENT,
    "bad": BAD,
}
"""Colours of report.html, by the name of their CSS variable; the pages of `view` share them."""

LIGHT = REPORT | {
    "care": "#8f6309",
    "paper": "#ffffff",
    "on-accent": "#ffffff",
    "series": SERIES[1],
    "sea": SEA,
    "land": "#f3f2ed",
    "coast": "#59666b",
    "border": "#7d878a",
    "masked": MASKED,
    "halo": "#ffffff",
    "shadow": "#1b2a3026",
}
DARK = {
    "ink": "#e8edeb",
    "muted": "#a3afb1",
    "line": "#323b3f",
    "pale": "#222a2d",
    "accent": "#6cc2a8",
    "bad": "#ee9a9a",
    "care": "#e0b558",
    "paper": "#171d20",
    "on-accent": "#0f1a17",
    "series": "#e59a5f",
    "sea": "#0e1315",
    "land": "#232b2e",
    "coast": "#a7b3b5",
    "border": "#78858a",
    "masked": "#4a5356",
    "halo": "#101618",
    "shadow": "#00000080",
}
"""Colours of a page in light and dark; texts on paper and pale have a contrast of at least 4.5."""

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
SPACE = 4
"""Unit of spacing, CSS pixels."""


def declarations(colours: dict[str, str]) -> str:
    """CSS declarations of some colours, on one line."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def css() -> str:
    """CSS variables of the pages: light, dark where the system or `data-theme` says so.

    `--s1` to `--s8` are 1 to 8 units of spacing.
    """
    spaces = " ".join(f"--s{n}: {n * SPACE}px;" for n in range(1, 9))
    dark = declarations(DARK)
    return (
        "/* Written by `python -m spatioformer.common.palette`. */\n"
        f":root {{ color-scheme: light; --system: {FONT}; {spaces} {declarations(LIGHT)} }}\n"
        f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) '
        f"{{ color-scheme: dark; {dark} }} }}\n"
        f':root[data-theme="dark"] {{ color-scheme: dark; {dark} }}\n'
    )


if __name__ == "__main__":
    print(css(), end="")
