# ruff: noqa: E501 - scripts for the browser are kept whole
"""The page in a real browser: it asks for nothing, runs nothing, fits, prints, and every link in it lands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.unit.report.payloads import MARKDOWN, TERMINAL, XSS, laced
from tests.unit.report.sample import write_bundle

from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.report import render_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.tar.gz"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
]


@dataclass
class Visit:
    """An opened page and everything that it did."""

    page: Page
    happened: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(autouse=True)
def _close_pages(browser: Browser) -> Iterator[None]:
    yield
    for context in browser.contexts:
        context.close()


def written(run: Path, bundle: Bundle) -> Path:
    """Write the page with the bundle's files beside it, as a run leaves them."""
    for file in bundle.manifest.files:
        target = run / "bundle" / file.path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bundle.store.read(file.path))
    (run / "bundle" / "manifest.json").touch()
    page = run / "report.html"
    page.write_text(render_html(bundle), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a made-up run that has every verdict."""
    run = tmp_path_factory.mktemp("run")
    return written(run, write_bundle(run / "bundle"))


@pytest.fixture(scope="module", params=["made up", *GOLDEN], ids=lambda name: str(getattr(name, "name", name)))
def any_report(request: pytest.FixtureRequest, report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That page, and the pages of real runs on the local cluster that were kept."""
    if request.param == "made up":
        return report
    return written(tmp_path_factory.mktemp("golden"), open_bundle(request.param))


def visit(browser: Browser, file: Path, **options: Any) -> Visit:
    """Open a file and note every request beside it, every console line, error and dialog."""
    context: BrowserContext = browser.new_context(**options)
    found = Visit(context.new_page())
    page, happened = found.page, found.happened
    page.on("console", lambda line: happened.append(f"console: {line.text}"))
    page.on("pageerror", lambda error: happened.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (happened.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: happened.append(f"request: {request.url}"))
    page.on("popup", lambda popup: happened.append(f"popup: {popup.url}"))
    page.goto(file.as_uri())
    happened.remove(f"request: {file.as_uri()}")
    return found


def test_it_asks_for_nothing_and_complains_about_nothing(browser: Browser, any_report: Path) -> None:
    opened = visit(browser, any_report)
    opened.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    opened.page.mouse.wheel(0, 20_000)
    assert [line for line in opened.happened if "data:," not in line] == []
    assert "v1.35.3" in opened.page.locator("h1").inner_text()


def test_its_style_is_the_one_that_its_policy_allows(browser: Browser, report: Path) -> None:
    colour = visit(browser, report).page.locator(".v-failed").first.evaluate("part => getComputedStyle(part).color")
    assert colour == "rgb(173, 31, 26)"


def test_every_anchor_lands_where_it_can_be_seen(browser: Browser, any_report: Path) -> None:
    page = visit(browser, any_report).page
    targets = page.eval_on_selector_all("a[href^='#']", "links => [...new Set(links.map(a => a.getAttribute('href')))]")
    assert len(targets) > 40
    lost = page.evaluate(
        """targets => targets.filter(target => {
            location.hash = target;
            const found = document.querySelector(':target');
            return !found || found.getBoundingClientRect().height === 0;
        })""",
        targets,
    )
    assert lost == []


def test_every_digest_link_leads_to_the_file_of_that_digest(browser: Browser, any_report: Path) -> None:
    page = visit(browser, any_report).page
    links = page.eval_on_selector_all("a:not([href^='#'])", "links => links.map(a => [a.href, a.textContent])")
    assert len(links) > 20
    for address, text in links:
        file = Path(address.removeprefix("file://"))
        assert file.is_file(), address
        assert file.name == text


@pytest.mark.parametrize("width", [320, 375, 768, 1280, 1920])
def test_it_never_scrolls_sideways(browser: Browser, report: Path, width: int) -> None:
    page = visit(browser, report, viewport={"width": width, "height": 800}).page
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        """width => [...document.querySelectorAll('main *, header *')].filter(part =>
            part.getBoundingClientRect().right > width + 1 && !part.closest('pre, .kube, .scroll, svg')
        ).map(part => part.outerHTML.slice(0, 120))""",
        width,
    )
    assert wide == []


@pytest.mark.parametrize("width", [375, 1280])
def test_no_real_page_scrolls_sideways(browser: Browser, any_report: Path, width: int) -> None:
    page = visit(browser, any_report, viewport={"width": width, "height": 800}).page
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (375, 812)])
def test_every_verdict_that_is_no_pass_is_on_the_first_screen(
    browser: Browser, report: Path, width: int, height: int
) -> None:
    page = visit(browser, report, viewport={"width": width, "height": height}).page
    for name in (
        "secure_accelerator_access",
        "driver_runtime_management",
        "virtualized_accelerator",
        "robust_controller",
    ):
        box = page.locator(f".ledger a[href='#{name}']").bounding_box()
        assert box
        assert box["y"] + box["height"] <= height, name


def contrast(page: Page, selector: str) -> list[float]:
    """The contrast ratio (WCAG 2.2) of each matching element's text with what is behind it."""
    ratios: list[float] = page.eval_on_selector_all(
        selector,
        """parts => parts.map(part => {
            const rgb = text => text.match(/[\\d.]+/g).map(Number);
            const light = colour => {
                const [r, g, b] = colour.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            let back = part, behind = [0, 0, 0, 0];
            for (; back; back = back.parentElement) {
                behind = rgb(getComputedStyle(back).backgroundColor);
                if (behind.length < 4 || behind[3] === 1) break;
            }
            const a = light(rgb(getComputedStyle(part).color)), b = light(behind);
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        })""",
    )
    return ratios


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(browser: Browser, report: Path, scheme: str) -> None:
    page = visit(browser, report, color_scheme=scheme).page
    ratios = contrast(
        page, ".v, .soft, .tag, a, p, dd, dt, th, td, h1, h2, h3, h4, .banner strong, .o-failed, .o-undecided"
    )
    assert len(ratios) > 200
    assert min(ratios) >= 4.5


def test_it_prints(browser: Browser, any_report: Path) -> None:
    page = visit(browser, any_report).page
    paper = page.pdf(format="A4", print_background=True)
    assert paper.startswith(b"%PDF-")
    assert 4 <= paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") <= 60


BATCH = 8
BATCHES = [batch[start : start + BATCH] for batch in (XSS, TERMINAL, MARKDOWN) for start in range(0, len(batch), BATCH)]


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: repr(batch[0])[:24])
def test_hostile_text_does_nothing(browser: Browser, tmp_path: Path, batch: list[str]) -> None:
    """Payloads in every sink of a page: nothing runs, nothing is asked for, nothing navigates."""
    file = tmp_path / "hostile.html"
    file.write_text(render_html(laced(" " + " ".join(batch))), encoding="utf-8")
    opened = visit(browser, file)
    opened.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert [line for line in opened.happened if "data:," not in line] == []
    assert opened.page.url == file.as_uri()
    assert (
        opened.page.evaluate("document.querySelectorAll('script, iframe, object, embed, form, base, img').length") == 0
    )
