"""The report in a real Chromium: filters, links, keys, themes, widths, and nothing leaves the page."""

import json
import os
import shutil

import pytest

from .conftest import disc

pytestmark = pytest.mark.browser

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def find_chromium():
    """Return the browser's path; skip without one, fail where CI must have one."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a Chromium: apt-get install -y chromium")
        pytest.skip("no Chromium, which the tests of the report drive")
    return path


@pytest.fixture(scope="module")
def chromium():
    """Return a running browser."""
    path = find_chromium()
    playwright = pytest.importorskip("playwright.sync_api", exc_type=ImportError)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def failure_of(request):
    """Return what failed; a picture that was still loading when the page was left did not."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed {request.url}: {request.failure}"]


@pytest.fixture
def tab(chromium):
    """Return a page on which every request outside the folder, every error and failed file is a failure."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    faults = []
    opened.on("pageerror", lambda error: faults.append(f"error {error}"))
    opened.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("requestfailed", lambda request: faults.extend(failure_of(request)))
    opened.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else faults.append(request.url),
    )
    yield opened
    assert faults == []
    assert opened.evaluate("window.stolen") is None
    context.close()


def address_of(page, sample_id):
    """Return the address of a sample's page."""
    return (page.parent / "sample.html").as_uri() + f"#dataset=shapes&id={sample_id}"


def cards(tab):
    """Return (model, IoU, expression) of every card shown."""
    return tab.eval_on_selector_all(
        "#wall .card",
        "cards => cards.map(c => ['.card-name', '.card-iou', '.expression'].map(s => c.querySelector(s).textContent))",
    )


def count(tab):
    """Return how many answers the gallery says it found."""
    return int(tab.text_content("#count").split(" of ")[0].replace(",", ""))


def test_first_view_needs_no_scripts(chromium, page):
    """Verdict, table and the first cards stand in the page itself."""
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(page.as_uri())
    assert opened.locator("h1").inner_text() == "good segments best."
    assert opened.locator("#wall .card").count() == 24
    context.close()


def test_filters_narrow_the_wall(tab, page):
    """Each filter shows exactly the answers that it names."""
    tab.goto(page.as_uri())
    assert count(tab) == 32
    tab.select_option("[name=model]", "poor")
    assert count(tab) == 16
    assert {model for model, _, _ in cards(tab)} == {"poor"}
    tab.select_option("[name=failure]", "mask_tokens")
    assert count(tab) == 2
    tab.click("button[type=reset]")
    tab.wait_for_function("document.getElementById('count').textContent.startsWith('32')")
    tab.select_option("[name=tag]", "kind=plain")
    tab.select_option("[name=format]", "png_data_url")
    tab.fill("[name=min]", "0.8")
    assert count(tab) == 8
    assert all(float(iou) >= 0.8 for _, iou, _ in cards(tab))
    tab.fill("[name=q]", "number 3")
    assert [expression for _, _, expression in cards(tab)] == ["disc number 3"]


def test_sorting(tab, page):
    """Lowest first, highest first, and by disagreement."""
    tab.goto(page.as_uri())
    tab.select_option("[name=sort]", "iou")
    rising = [float(iou) for _, iou, _ in cards(tab) if iou != "\u2013"]
    assert rising == sorted(rising)
    tab.select_option("[name=sort]", "-iou")
    falling = [float(iou) for _, iou, _ in cards(tab) if iou != "\u2013"]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.8
    tab.select_option("[name=sort]", "spread")
    first, second, *_ = cards(tab)
    assert first[2] == second[2]
    assert abs(float(first[1]) - float(second[1])) > 0.8


def test_the_address_keeps_the_view(tab, page):
    """A view can be shared: its address opens the same filters, the back link keeps them."""
    tab.goto(page.as_uri())
    tab.select_option("[name=model]", "poor")
    tab.select_option("[name=outcome]", "format_failure")
    address, shown = tab.url, cards(tab)
    assert "#gallery?" in address
    tab.goto("about:blank")
    tab.goto(address)
    assert cards(tab) == shown
    assert tab.input_value("[name=outcome]") == "format_failure"
    tab.click("#wall .card-link >> nth=0")
    tab.wait_for_load_state()
    assert "/sample.html#" in tab.url
    tab.keyboard.press("g")
    tab.wait_for_url("**/index.html#gallery?*")
    assert cards(tab) == shown


def test_a_spoilt_address_shows_everything(tab, page):
    """Unknown names, numbers that are none and pages that are not there are left out, without an error."""
    tab.goto(page.as_uri() + "#gallery?model=nobody&min=low&page=-4&sort=none")
    assert count(tab) == 32
    assert tab.text_content("#page") == "page 1 of 2"


def test_a_part_of_a_bar_opens_its_answers(tab, page):
    """Following a failure in the stacked bars filters the gallery to it."""
    tab.goto(page.as_uri())
    tab.click("a.segment[title^='poor: leaked']")
    tab.wait_for_function("document.getElementById('count').textContent.startsWith('2 of')")
    assert tab.input_value("[name=model]") == "poor"


def test_keys_walk_the_gallery(tab, page):
    """The slash finds the search field, arrows go from card to card, Enter opens, brackets turn pages."""
    tab.goto(page.as_uri())
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.name") == "q"
    tab.locator("#wall .card-link").nth(0).focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("[...document.querySelectorAll('.card-link')].indexOf(document.activeElement)") == 1
    tab.keyboard.press("]")
    assert tab.text_content("#page") == "page 2 of 2"
    assert len(cards(tab)) == 8
    tab.keyboard.press("[")
    tab.locator("#wall .card-link").nth(0).focus()
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/sample.html*")


SHOWN = "[...document.querySelectorAll('.picture .layer')].filter(n => getComputedStyle(n).display !== 'none' && n.getAttribute('d') !== '').map(n => n.classList[1])"


def test_layers_are_turned_on_and_off(tab, page):
    """The wall and a sample's page switch between prediction, hit, missed and false; the address keeps it."""
    tab.goto(page.as_uri())
    tab.wait_for_selector("#wall .layer-prediction[d]", state="attached")
    assert {"layer-photograph", "layer-truth", "layer-prediction"} <= set(tab.evaluate(SHOWN))
    tab.keyboard.press("d")
    assert {"layer-hit", "layer-missed", "layer-false"} <= set(tab.evaluate(SHOWN))
    assert "layers=photograph%2Chit%2Cmissed%2Cfalse" in tab.url
    tab.goto(address_of(page, "2:0"))
    tab.wait_for_selector(".panel .picture")
    assert "layer-prediction" not in tab.evaluate(SHOWN)
    tab.click("button[data-layer=hit]")
    assert "layer-hit" not in tab.evaluate(SHOWN)
    tab.keyboard.press("p")
    assert set(tab.evaluate(SHOWN)) <= {"layer-photograph", "layer-ignored"}


def test_pixels_are_those_of_the_masks(tab, page):
    """Hit, missed and false of the poor answer, filled by the browser's own paths, have the areas that numpy counts."""
    tab.goto(address_of(page, "2:0"))
    tab.wait_for_selector(".panel[data-model=poor] .picture")
    tab.keyboard.press("d")
    found = tab.evaluate(
        """() => ['hit', 'missed', 'false'].map(name => {
             const path = document.querySelector(`.panel[data-model=poor] .layer-${name}`);
             let count = 0;
             for (let y = 0; y < 120; y += 1) for (let x = 0; x < 160; x += 1)
               count += path.isPointInFill(new DOMPoint(x + 0.5, y + 0.5));
             return count;
           })"""
    )
    truth, answer = disc(58, 60, 22), disc(102, 60, 20)
    assert found == [(truth & answer).sum(), (truth & ~answer).sum(), (answer & ~truth).sum()]


def test_zoom_and_pan_in_step(tab, page):
    """Wheel and keys enlarge every picture alike, arrows pan the one with the focus, zero shows all again."""
    boxes = "[...document.querySelectorAll('.stage svg')].map(n => n.getAttribute('viewBox'))"
    tab.goto(address_of(page, "2:0"))
    tab.wait_for_selector(".panel[data-model=poor] .picture")
    tab.locator(".panel[data-model=good] .stage").hover()
    tab.mouse.wheel(0, -400)
    tab.wait_for_function("document.querySelector('.stage.enlarged') !== null")
    enlarged = tab.evaluate(boxes)
    assert len(set(enlarged)) == 1
    assert float(enlarged[0].split()[2]) < 80
    tab.locator(".panel[data-model=good] .stage").focus()
    tab.keyboard.press("ArrowRight")
    assert float(tab.evaluate(boxes)[0].split()[0]) > float(enlarged[0].split()[0])
    assert "id=2:0" in tab.url
    tab.keyboard.press("0")
    assert set(tab.evaluate(boxes)) == {"0 0 160 120"}


def test_blinking_shows_one_model_at_a_time(tab, page):
    """Models change places by themselves and by hand; the key ends it."""
    shown = "[...document.querySelectorAll('.panel')].filter(n => n.offsetParent).map(n => n.dataset.model)"
    tab.emulate_media(reduced_motion="reduce")
    tab.goto(address_of(page, "2:0"))
    tab.wait_for_selector(".panel[data-model=poor] .picture")
    tab.keyboard.press("b")
    assert tab.evaluate(shown) == ["good"]
    tab.keyboard.press("n")
    assert tab.evaluate(shown) == ["poor"]
    tab.keyboard.press("b")
    assert len(tab.evaluate(shown)) == 3


def test_samples_follow_each_other(tab, page):
    """The arrow keys go to the next sample and back."""
    tab.goto(address_of(page, "0:0"))
    tab.wait_for_selector(".panel[data-model=poor]")
    assert not tab.locator("a[rel=prev]").is_visible()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.getElementById('place').textContent.endsWith('0:1')")
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function("document.getElementById('place').textContent.endsWith('0:0')")


def test_arrows_go_over_the_end_of_a_page(tab, page):
    """After the last card comes the first of the next page, and the way back."""
    tab.goto(page.as_uri())
    tab.locator("#wall .card-link").nth(23).focus()
    tab.keyboard.press("ArrowRight")
    assert tab.text_content("#page") == "page 2 of 2"
    assert tab.evaluate("[...document.querySelectorAll('.card-link')].indexOf(document.activeElement)") == 0
    tab.keyboard.press("ArrowLeft")
    assert tab.text_content("#page") == "page 1 of 2"
    assert tab.evaluate("[...document.querySelectorAll('.card-link')].indexOf(document.activeElement)") == 23


def test_copy_as_json(tab, page):
    """The copy holds the sample and each model's raw answer."""
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto(address_of(page, "0:0"))
    tab.wait_for_selector(".panel[data-model=poor]")
    tab.click("#copy")
    tab.wait_for_function("document.getElementById('copied').textContent === 'Copied.'")
    copied = json.loads(tab.evaluate("navigator.clipboard.readText()"))
    assert copied["sample_id"] == "0:0"
    assert copied["answers"][1]["raw"].startswith("</script>")


def test_hostile_texts_stay_texts(tab, page):
    """Answers that hold markup are shown letter by letter, on the wall and on the sample's page."""
    tab.goto(page.as_uri() + "#gallery?failure=no_json")
    assert "</script><script>window.stolen = 1" in tab.text_content("#wall .excerpt >> nth=0")
    tab.goto(address_of(page, "0:1"))
    assert tab.locator("#main script:not([type])").count() == 0
    assert tab.locator("h1").text_content() == 'the "red" <b>disc</b> & its edge'


@pytest.mark.parametrize("width", [360, 820, 1600])
def test_no_width_scrolls_sideways(tab, page, width):
    """From a phone to a wide screen only tables scroll, inside themselves."""
    tab.set_viewport_size({"width": width, "height": 800})
    for address in (page.as_uri(), address_of(page, "0:1")):
        tab.goto(address)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_comparison_fits_a_laptop(tab, page):
    """At 1280 pixels every column of the comparison is seen, the cost too, with nothing to scroll."""
    tab.goto(page.as_uri())
    assert tab.locator("#comparison table").first.locator("thead th:visible").last.inner_text() == "Cost"
    width, content = tab.eval_on_selector("#comparison .scroll", "e => [e.clientWidth, e.scrollWidth]")
    assert content <= width


def luminance(tab, expression):
    """Return the relative luminance (WCAG 2) of a computed colour."""
    red, green, blue = tab.evaluate(
        "e => { const c = document.createElement('canvas').getContext('2d'); c.fillStyle = eval(e); "
        "c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3) }",
        expression,
    )
    linear = [v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_themes(tab, page, scheme):
    """Text and muted text have at least the contrast of WCAG AA; the switch turns the theme and keeps it."""
    tab.emulate_media(color_scheme=scheme)
    tab.goto(page.as_uri())
    ground = luminance(tab, "getComputedStyle(document.body).backgroundColor")
    assert (ground > 0.5) == (scheme == "light")
    for selector in ("h1", ".over", ".range", ".excerpt", ".chip", ".bar-label"):
        ink = luminance(tab, f"getComputedStyle(document.querySelector('{selector}')).color")
        brighter, darker = max(ink, ground), min(ink, ground)
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5, selector
    tab.click("#theme")
    assert (luminance(tab, "getComputedStyle(document.body).backgroundColor") > 0.5) == (scheme == "dark")
    tab.reload()
    assert (luminance(tab, "getComputedStyle(document.body).backgroundColor") > 0.5) == (scheme == "dark")


def test_screen_reader_names(tab, page):
    """Every control has a name, every picture an alternative, headings and landmarks are in order."""
    tab.goto(page.as_uri())
    unnamed = tab.evaluate(
        "[...document.querySelectorAll('button, input, select, a[href]')].filter(e => !(e.textContent.trim() || "
        "e.getAttribute('aria-label') || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert unnamed == []
    assert tab.evaluate("[...document.images].every(image => image.hasAttribute('alt'))")
    assert tab.locator("main").count() == 1
    assert tab.locator("h1").count() == 1
    assert tab.locator("[role=status]").count() == 1
    assert tab.evaluate("[...document.querySelectorAll('th')].every(th => th.hasAttribute('scope'))")
    assert tab.evaluate("[...document.querySelectorAll('table')].every(table => table.caption?.textContent)")


def test_print_shows_everything_but_controls(tab, page):
    """On a sheet of A4 the filters are gone and the comparison has all its columns."""
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": 718, "height": 1000})
    tab.goto(page.as_uri())
    assert not tab.locator("#filters").is_visible()
    assert tab.locator("table.numbers").first.is_visible()
    right = tab.eval_on_selector(
        "#comparison table >> nth=0 >> thead th:last-child", "e => e.getBoundingClientRect().right"
    )
    assert right <= 718


def test_change_against_the_first_run(tab, both_page):
    """With two runs answers are sorted by how far they fell."""
    tab.goto(both_page.as_uri() + "#gallery?sort=change")
    first = cards(tab)[0]
    assert first[0] == "good @ later"
    fallen = tab.locator("#wall .change >> nth=0").text_content()
    assert fallen.startswith("\u2212")
