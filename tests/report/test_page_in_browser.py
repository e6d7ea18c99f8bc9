"""The page in a real browser, headless: no error, no sideways scroll, every picture there, contrast."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from kwsctl.report import page
from kwsctl.report.gathering import gather
from tests.report.lives import lived

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")

CONTRAST = """() => {
  const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
      .map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
  const poor = [];
  for (const e of document.querySelectorAll('h1, h2, h3, p, th, td, a, summary, caption, svg text')) {
    const style = getComputedStyle(e);
    const [a, b] = [light(e.closest('svg') ? style.fill : style.color), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (e.textContent.trim() && ratio < 4.5) poor.push([e.tagName, e.textContent.slice(0, 30), ratio]);
  }
  return poor; }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> page.Page:
    folder = lived(tmp_path_factory.mktemp("home"))
    return page.write(gather(None, folder), folder / "page.html")


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_reads_well(browser: Any, made: page.Page, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    opened, told, asked = context.new_page(), [], []
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(made.page.as_uri())
    assert told == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    boxes = [picture.bounding_box() for picture in opened.locator("figure > svg").all()]
    assert len(boxes) == made.pictures
    assert all(
        box["width"] > 250 and box["height"] > 80 and box["x"] + box["width"] <= width for box in boxes
    )
    assert opened.evaluate(CONTRAST) == []
    context.close()


def test_text_in_pictures_is_readable_on_a_phone(browser: Any, made: page.Page) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 800})
    opened = context.new_page()
    opened.goto(made.page.as_uri())
    heights = opened.evaluate(
        "[...document.querySelectorAll('svg text')]"
        ".filter(e => !/rotate\\(-[1-9]/.test(e.getAttribute('transform')))"
        ".map(e => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 8
    context.close()
