"""Mask tokens: a codebook decodes nothing until it reproduces known masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli.app import main
from evalkit.config.schema import load_config
from evalkit.decoding import decode_answer
from evalkit.decoding.settings import DecodeSettings
from evalkit.decoding.token_codebook import proven_codebook, self_check, token_map
from evalkit.errors import ConfigError
from evalkit.runner.prepare import prepare


@pytest.fixture
def parameters():
    """Return a small random network of the published shape (not PaliGemma's weights)."""
    rng = np.random.default_rng(5)

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    sizes = {"decoder.0": (8, 6, 1), "decoder.12": (1, 8, 1)}
    for block in ("decoder.2.net", "decoder.3.net"):
        sizes |= {f"{block}.0": (8, 8, 3), f"{block}.2": (8, 8, 3), f"{block}.4": (8, 8, 1)}
    sizes |= {f"decoder.{layer}": (8, 8, 4) for layer in (4, 6, 8, 10)}
    made = {f"{name}.weight": draw(out, inner, side, side) for name, (out, inner, side) in sizes.items()}
    made |= {f"{name}.bias": np.zeros(out, dtype=np.float32) for name, (out, _, _) in sizes.items()}
    return made | {"_vq_vae._embedding": rng.standard_normal((128, 6)).astype(np.float32)}


def test_the_network_has_the_published_shape(parameters):
    """Sixteen codes become 64 x 64 values; other codes give another map."""
    one, other = token_map(parameters, list(range(16))), token_map(parameters, list(range(16, 32)))
    assert one.shape == (64, 64)
    assert np.abs(one - other).max() > 0


def test_a_codebook_that_is_not_there_is_told(tmp_path):
    """In a config, in a re-scoring and on the command line, with the way out; a relative path is the config's."""
    config = tmp_path / "c.yaml"
    config.write_text(
        "name: c\ndatasets: [{name: everyday}]\nmodels: [{name: f, provider: python, function: whole-image}]\n"
        "decode: {token_codebook: not-there.npz}\n"
    )
    loaded = load_config(config)
    assert loaded.decode.token_codebook == str(tmp_path / "not-there.npz")
    with pytest.raises(ConfigError, match=r"there is no file .*not-there\.npz"):
        prepare(loaded, out=tmp_path / "run")
    (tmp_path / "a.txt").write_text("[]")
    told = CliRunner().invoke(
        main, ["decode", str(tmp_path / "a.txt"), "--size", "9x9", "--decode.token_codebook", "not-there.npz"]
    )
    assert (told.exit_code, "there is no file not-there.npz" in told.stderr) == (2, True)


def answer(tokens) -> str:
    """Return an answer of leaked tokens."""
    text = "<start_of_mask>" + "".join(f"<seg_{n}>" for n in tokens)
    return json.dumps([{"box_2d": [100, 100, 900, 900], "mask": text}])


def decode(tokens, path):
    """Decode with a codebook named in the settings."""
    return decode_answer(
        answer(tokens), height_px=80, width_px=80, settings=DecodeSettings(token_codebook=str(path))
    )


@pytest.mark.parametrize(
    "kind", ["proven", "wrong masks", "too few", "no known masks", "no file", "other names"]
)
def test_only_a_codebook_that_reproduces_known_masks_decodes(tmp_path, parameters, kind):
    """Each missing or failing proof leaves the tokens what they are: mask_tokens."""
    path = tmp_path / "vae-oid.npz"
    tokens = np.random.default_rng(1).integers(0, 128, (12, 16))
    masks = np.stack([token_map(parameters, row) > 0 for row in tokens])
    if kind == "wrong masks":
        masks = ~masks
    if kind == "too few":
        tokens, masks = tokens[:3], masks[:3]
    if kind == "other names":
        parameters = {f"x.{name}": value for name, value in parameters.items()}
    if kind != "no file":
        np.savez(path, **parameters)
    if kind != "no known masks":
        np.savez(tmp_path / "vae-oid.known.npz", known_tokens=tokens, known_masks=masks)
    got = decode(tokens[0], path)
    if kind == "proven":
        assert self_check(parameters, tokens, masks) == 1.0
        assert (got.outcome, got.items[0].wire_format) == ("decoded", "seg_tokens")
        assert decode(tokens[0][:7], path).failure == "mask_tokens"
    else:
        assert proven_codebook(str(path)) is None
        assert got.failure == "mask_tokens"
