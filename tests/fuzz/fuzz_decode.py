"""A coverage-guided fuzz target for the decoder, on atheris (libFuzzer for Python).

    python tests/fuzz/fuzz_decode.py CORPUS_FOLDER -max_total_time=1800 -timeout=10 -rss_limit_mb=1500

The first byte picks what was asked and the settings, the rest is the answer. Any exception, any
verdict that contradicts itself and anything slow is a finding.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["evalkit.decoding"]):
    from evalkit.decoding import FAILURES, REPAIRS, WIRE_FORMATS, decode_answer

from evalkit.decoding.settings import DecodeSettings
from evalkit.types import AskedFormat

HEIGHT, WIDTH = 48, 64
ASKED = (
    AskedFormat(),
    AskedFormat(wire_format="polygon_pairs", point_order="yx", frame="box", wrapper="boxes"),
    AskedFormat(wire_format="box_only", keys=("box_2d", "label"), task="box"),
    AskedFormat(wire_format="rle", keys=("mask",)),
    AskedFormat(
        wire_format="polygon_flat", box_order="xyxy", unit="pixel", keys=("bbox_2d",), max_side_px=40
    ),
    AskedFormat(wire_format=None, box_order="cxcywh", unit="norm1"),
    AskedFormat(
        wire_format="box_only", keys=("bbox_2d", "label"), task="box", box_order="xywh", unit="pixel"
    ),
    AskedFormat(wire_format="svg_path", unit="norm1", keys=("path",)),
)
SETTINGS = (DecodeSettings(), DecodeSettings(threshold=0, box_rounding="expand", instances="largest"))


def one_input(data: bytes) -> None:
    """Decode one input and hold the verdict to its own rules."""
    choice = data[0] if data else 0
    text = data[1:].decode("utf-8", "surrogateescape")
    asked = ASKED[choice % 8]
    got = decode_answer(
        text,
        height_px=HEIGHT,
        width_px=WIDTH,
        asked=asked,
        settings=SETTINGS[choice // 8 % 2],
        finish_reason="MAX_TOKENS" if choice & 64 else None,
    )
    assert got.outcome in ("decoded", "no_target", "format_failure"), got.outcome
    assert (got.failure is not None) == (got.outcome == "format_failure")
    assert got.failure is None or got.failure in FAILURES
    assert set(got.repairs) <= set(REPAIRS)
    assert got.mask is None or got.outcome == "decoded"
    for item in got.items:
        assert item.wire_format is None or item.wire_format in WIRE_FORMATS
        assert item.failure is None or item.failure in FAILURES
        assert set(item.repairs) <= set(REPAIRS)
        assert item.mask is None or item.failure is None
        if item.mask is not None:
            height, width = item.mask.crop_hw.shape
            assert item.mask.crop_hw.any()
            assert 0 <= item.mask.x0_px <= WIDTH - width
            assert 0 <= item.mask.y0_px <= HEIGHT - height
        if item.box_px_xyxy is not None:
            x0, y0, x1, y1 = item.box_px_xyxy
            assert 0 <= x0 < x1 <= WIDTH
            assert 0 <= y0 < y1 <= HEIGHT
        if item.label is not None:
            item.label.encode("utf-8")


def write_seeds(folder: Path) -> None:
    """Fill a corpus with the golden answers, so that the search begins at every format."""
    golden = Path(__file__).parents[1] / "decoding" / "test_verdict.py"
    spec = importlib.util.spec_from_file_location("golden_verdicts", golden)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(module.CASES.values()):
        text = case[0].encode("utf-8", "surrogatepass")
        if len(text) < 4096:
            (folder / f"seed-{number}").write_bytes(bytes([number % 128]) + text)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        write_seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
