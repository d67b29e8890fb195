"""Pages printed to PDF by a Chromium without a window, where one is installed."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from spatioformer.common.errors import OutputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 120  # for a page, also on a machine at work


def find_chromium() -> str | None:
    """Path of the browser that SPATIOFORMER_CHROMIUM names, or of one that is installed."""
    named = os.environ.get("SPATIOFORMER_CHROMIUM")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_pdf(browser: str, page: Path, pdf: Path) -> None:
    """Print a page of this machine to a PDF file.

    Raises:
        OutputError: the browser fails or does not end.
    """
    with TemporaryDirectory() as profile:
        command = [
            *(browser, "--headless", "--disable-gpu", "--no-pdf-header-footer", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={profile}", f"--print-to-pdf={pdf}", page.resolve().as_uri()),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses to run as root with it
        try:
            ended = subprocess.run(command, capture_output=True, timeout=SECONDS, text=True)
            problem = "" if pdf.is_file() else ended.stderr.strip().splitlines()[-1:]
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = [str(error)]
    if problem != "":
        reason = "".join(problem) or "it wrote no file"
        raise OutputError(
            f"{browser} cannot print {page.name} ({reason}); print the page from a browser, or "
            "name a Chromium that works: SPATIOFORMER_CHROMIUM=/path"
        )
