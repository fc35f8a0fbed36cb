"""The command line: argument parsing only; each command calls one function of one module."""

from __future__ import annotations

import errno
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from evalkit.cli.decode_options import DecodingCommand
from evalkit.comparison import NOT_WORSE_MARGIN
from evalkit.errors import EvalkitError
from evalkit.version import __version__

EXIT_DEFECT = 70
"""EX_SOFTWARE of sysexits.h: evalkit itself went wrong, which is no verdict on anything."""


WAYS_OUT = dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ". Check that it may be written") | (
    dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO), ". Check that the disk has room and is whole"
    )
)
"""What is to be done about an error of the system; a file that is not there speaks for itself."""


class CommandGroup(click.Group):
    """Turns every ``EvalkitError`` into one paragraph and its exit code; suggests near names."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with ``--debug`` the traceback is shown as well."""
        try:
            return super().invoke(ctx)
        except EvalkitError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            raise
        except OSError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"error: {error}{WAYS_OUT.get(error.errno or 0, '')}", err=True)
            ctx.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("stopped before it was done", err=True)
            ctx.exit(3)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: an exit code that no scheduler takes for a verdict
            if ctx.params.get("debug"):
                click.echo(traceback.format_exc(), err=True)
            click.echo(f"error: {_defect(error)}", err=True)
            ctx.exit(EXIT_DEFECT)


def _defect(error: Exception) -> str:
    said = (
        "".join(traceback.format_exception_only(error)).strip().encode("utf-8", "backslashreplace").decode()
    )
    return (
        f"a defect of evalkit, not of your data or of a model: {said}. What was answered so far is stored. "
        "`evalkit --debug COMMAND` shows the traceback; please report it with that (SECURITY.md says how, where it "
        "concerns safety)"
    )


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evalkit")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def main(debug: bool) -> None:
    """Which model segments your images? From a YAML file to a comparison you can decide from.

    \b
    First steps:
      evalkit demo                        the main job, offline, on real photographs
      evalkit init                        a config for your own images
      evalkit datasets list               the datasets that can be named
      evalkit decode answer.txt --size 640x480
    """  # noqa: D301  \b is the backspace that tells click to keep the lines
    del debug


ENGINES = click.Choice(["local", "dask"])


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; reports/demo where not given.")
def demo(out: Path | None) -> None:
    """Run the whole job offline: real photographs, and a local simulated Gemini asked over HTTP.

    Needs no key, no config and no network; half a minute. The same command again resumes.
    """
    from evalkit.cli.demo import demo_command

    demo_command(out)


@main.command()
@click.option(
    "--data", help="Your samples: a .jsonl, .csv, COCO .json or .parquet file, or a folder of images."
)
@click.option("--images", help="Folder of the photographs, where they do not lie beside the file.")
@click.option(
    "--expression", help="What to ask about every image of a folder; else the words of the file names."
)
@click.option(
    "--models",
    help="Model ids, such as gemini-3-flash-preview, separated by commas; `none` for the floors alone.",
)
@click.option("--name", help="Name of the run; the data's where not given.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Config file to write; NAME.yaml where not given."
)
@click.option("--template", help="Copy a shipped config instead; `list` shows them.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the options and the defaults.")
def init(**options: Any) -> None:
    """Write a commented config for your own data, checked, with a contact sheet to look at.

    \b
    Asks for what is not given. Examples:
      evalkit init
      evalkit init --data mine.csv --yes
      evalkit init --data photos/ --expression "the cup" --models gemini-3-flash-preview --yes
      evalkit init --template nightly
    A folder holds images and masks of the same stem: photos/desk.jpg with masks/desk.png, desk_mask.png or desk.png.
    """  # noqa: D301  \b is the backspace that tells click to keep the lines
    from evalkit.cli.init import init_command

    init_command(**options)


@main.command()
@click.argument("config")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; reports/<name> where not given.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples of each dataset.")
@click.option("--models", help="Only these models of the config, separated by commas.")
@click.option("--dry-run", is_flag=True, help="Check everything and print the plan; call and write nothing.")
@click.option(
    "--yes", is_flag=True, help="Do not ask before a run that costs more than limits.confirm_above_usd."
)
@click.option("--engine", type=ENGINES, default="local", show_default=True, help="Where scoring runs.")
def run(
    config: str,
    out: Path | None,
    limit: int | None,
    models: str | None,
    dry_run: bool,
    yes: bool,
    engine: Any,
) -> None:
    """Plan, call, store, score and report the run that CONFIG (a YAML file) describes.

    The same command on the same folder resumes: nothing that was answered is asked again. Exit code 3
    means that samples were not run (quota, budget, network); run it again later.
    """
    from evalkit.cli.run import run_command

    chosen = None if models is None else [name.strip() for name in models.split(",")]
    run_command(config, out=out, limit=limit, models=chosen, dry_run=dry_run, yes=yes, engine=engine)


@main.command()
@click.argument("config")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def plan(config: str, as_json: bool) -> None:
    """Say what the run of CONFIG would send, take and cost, and the smallest difference it could show."""
    from evalkit.cli.run import plan_command

    plan_command(config, as_json=as_json)


@main.command(cls=DecodingCommand)
@click.argument("run_path", metavar="RUN")
@click.option("--protocol", help="Score every dataset by this protocol.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write here instead, referring to the same answers."
)
@click.option("--engine", type=ENGINES, default="local", show_default=True, help="Where scoring runs.")
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Only show gIoU under each decoding convention, and whether the boxes fit the one they were read by; "
    "writes nothing.",
)
@click.option(
    "--sweep",
    type=click.Choice(["threshold"]),
    help="Only measure every threshold 0..255 in one pass; writes sweep-threshold.json and its figure into RUN.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def score(
    run_path: str,
    protocol: str | None,
    out: Path | None,
    engine: Any,
    sensitivity: bool,
    sweep: str | None,
    as_json: bool,
    **decode: Any,
) -> None:
    """Re-score the stored answers of RUN, with other settings where given; calls nothing.

    Updates RUN, or writes a new folder with --out that refers to the same answers.
    """
    from evalkit.cli.score import refuse_settings, score_command, sensitivity_command, sweep_command

    if sensitivity or sweep:
        refuse_settings(
            {**decode, "protocol": protocol, "out": out}, "--sensitivity" if sensitivity else "--sweep"
        )
        measure = sensitivity_command if sensitivity else sweep_command
        measure(run_path, engine=engine, as_json=as_json)
    else:
        score_command(run_path, decode=decode, protocol=protocol, out=out, engine=engine, as_json=as_json)


@main.command(cls=DecodingCommand)
@click.argument("file")
@click.option("--size", help="WIDTHxHEIGHT of the image in pixels; taken from --image where not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--image", type=click.Path(path_type=Path), help="The photograph, to draw on.")
@click.option(
    "--overlay", type=click.Path(path_type=Path), help="Write the photograph with masks and boxes here."
)
@click.option(
    "--prompt", help="The prompt that was asked: what `strict` means and what the answer is read by."
)
@click.option("--box-order", help="How boxes were asked: yxyx, xyxy, xywh or cxcywh.")
@click.option(
    "--unit", help="What coordinates were asked in: norm1000, norm1, or pixel (of the image as sent)."
)
@click.option("--point-order", help="Which coordinate of a point was asked first: xy or yx.")
@click.option("--frame", help="What points were asked to span: image or box.")
@click.option(
    "--max-side",
    "max_side_px",
    type=click.IntRange(min=1),
    help="The run's image.max_side, for --unit pixel.",
)
@click.option("--finish-reason", help="The API's finish reason, such as MAX_TOKENS.")
def decode(
    file: str,
    size: str | None,
    as_json: bool,
    image: Path | None,
    overlay: Path | None,
    prompt: str | None,
    box_order: str | None,
    unit: str | None,
    point_order: str | None,
    frame: str | None,
    max_side_px: int | None,
    finish_reason: str | None,
    **decode: Any,
) -> None:
    """Say what one saved answer holds: FILE is its text or the whole API body, `-` standard input.

    The exit code is 0 whatever the verdict: a failure of the answer is no error of this command.
    """
    from evalkit.cli.decode import decode_command

    decode_command(
        file,
        size=size,
        image=image,
        overlay=overlay,
        prompt=prompt,
        stated={
            "box_order": box_order,
            "unit": unit,
            "point_order": point_order,
            "frame": frame,
            "max_side_px": max_side_px,
        },
        finish_reason=finish_reason,
        decode=decode,
        as_json=as_json,
    )


@main.command()
@click.argument("dataset")
@click.option("--split", help="Another split than the card's own.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples with a target.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def ceiling(dataset: str, split: str | None, limit: int | None, as_json: bool) -> None:
    """Measure the best IoU each wire format can carry on DATASET (a card): no model, no calls."""
    from evalkit.cli.ceiling import ceiling_command

    ceiling_command(dataset, split=split, limit=limit, as_json=as_json)


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 = any free one."
)
@click.option(
    "--faults", help="YAML or JSON list of scripted faults, such as {kind: unavailable, every: 10}."
)
@click.option(
    "--config", help="Answer about the datasets of this config; the bundled everyday one where not given."
)
@click.option("--seed", type=int, help="Seed of the answers' errors; the config's where not given.")
@click.option(
    "--latency", "latency_s", type=float, default=0.5, show_default=True, help="Median answer time, seconds."
)
def simulate(port: int, faults: str | None, config: str | None, seed: int | None, latency_s: float) -> None:
    """Start a local Gemini that answers from the ground truth, to rehearse a config without quota.

    Personas, the kinds of faults and their settings are listed in docs/simulator.md; a fault file is a list
    such as `- {kind: unavailable, probability: 0.1}`. An unknown kind or key names the known ones.
    """
    from evalkit.cli.simulate import simulate_command

    simulate_command(port=port, faults=faults, config=config, seed=seed, latency_s=latency_s, show=click.echo)


REPORTS_OPTION = click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder whose baselines/ is used.",
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@main.command()
@click.argument("runs", metavar="RUN [RUN]", nargs=-1, required=True)
@click.option("--models", "names", nargs=2, help="The two models; with two runs, one of each.")
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=NOT_WORSE_MARGIN,
    show_default=True,
    help="Also test 'not worse by more than this'.",
)
@JSON_OPTION
def compare(runs: tuple[str, ...], names: tuple[str, str] | None, margin: float, as_json: bool) -> None:
    """Compare the models of a RUN, or an old RUN with a new one, on their common samples.

    Differences are second minus first, paired, with 95 % intervals over images, p-values adjusted for all
    that is shown, and a verdict in words.
    """
    from evalkit.cli.comparison import compare_command

    compare_command(runs, names, margin=margin, as_json=as_json)


@main.command()
@click.argument("run_path", metavar="RUN")
@click.option("--baseline", help="A run folder, or a NAME (NAME@VERSION) blessed by `evalkit baseline set`.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML, one test case per rule.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write Markdown, for a CI job summary.")
@REPORTS_OPTION
@JSON_OPTION
@click.pass_context
def gate(
    context: click.Context,
    run_path: str,
    baseline: str | None,
    junit: Path | None,
    markdown: Path | None,
    reports: Path,
    as_json: bool,
) -> None:
    """Pass or fail RUN by the `gate:` rules of its config, for schedulers.

    Exit code 0: no regression; 1: a regression; 2: something cannot be compared; 3: the run is incomplete.
    """
    from evalkit.cli.comparison import gate_command

    context.exit(
        gate_command(
            run_path, baseline=baseline, junit=junit, markdown=markdown, reports=reports, as_json=as_json
        )
    )


@main.group()
def baseline() -> None:
    """Named baselines: blessed runs, changed by `evalkit baseline set` alone."""


@baseline.command("set")
@click.argument("name")
@click.argument("run_path", metavar="RUN")
@REPORTS_OPTION
def baseline_set(name: str, run_path: str, reports: Path) -> None:
    """Bless RUN as the next version of baseline NAME."""
    from evalkit.cli.comparison import baseline_set_command

    baseline_set_command(name, run_path, reports=reports)


@baseline.command("list")
@REPORTS_OPTION
@JSON_OPTION
def baseline_list(reports: Path, as_json: bool) -> None:
    """Show every version of every baseline."""
    from evalkit.cli.comparison import baseline_list_command

    baseline_list_command(reports=reports, as_json=as_json)


@main.command()
@click.argument("run_paths", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the report; RUN/report where not given."
)
@click.option(
    "--conventions",
    is_flag=True,
    help="Also measure what decoding conventions and wire formats cost; slower.",
)
def report(run_paths: tuple[str, ...], out: Path | None, conventions: bool) -> None:
    """Rebuild the HTML report of RUN from its scores and stored answers; calls nothing.

    Several runs make one report that compares them, beside the first one; the first is what the
    others are compared with.
    """
    from evalkit.report import build_report

    click.echo(f"report: {build_report(run_paths, out, conventions=conventions)}")


@main.group()
def datasets() -> None:
    """Cards of the known datasets; the integrity of one on disk; a contact sheet."""


ROOT_OPTION = click.option("--root", help="Folder of the dataset in the field's layout.")
SPLIT_OPTION = click.option("--split", help="Only this split.")
IMAGES_OPTION = click.option("--images", help="Folder of the photographs, where not the usual one.")


@datasets.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def datasets_list(as_json: bool) -> None:
    """Show every dataset card: what it is, its splits with known counts, its licence."""
    from evalkit.cli.datasets import list_command

    list_command(as_json=as_json)


@datasets.command("check")
@click.argument("target", metavar="NAME|CONFIG|FILE")
@ROOT_OPTION
@SPLIT_OPTION
@IMAGES_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--strict", is_flag=True, help="Take counts that differ from the published ones for an error.")
def datasets_check(
    target: str, root: str | None, split: str | None, images: str | None, as_json: bool, strict: bool
) -> None:
    """Check a dataset on disk: counts against the known ones, photographs, sizes, empty masks, repeats.

    Exit code 2 where files, photographs or masks are missing or broken; the list says what, how often and
    where first.
    """
    from evalkit.cli.datasets import check_command

    check_command(target, root=root, split=split, images=images, as_json=as_json, strict=strict)


@datasets.command("show")
@click.argument("target", metavar="NAME|CONFIG|FILE")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG file to write.")
@click.option(
    "--limit", type=click.IntRange(1, 400), default=60, show_default=True, help="At most N samples."
)
@ROOT_OPTION
@SPLIT_OPTION
@IMAGES_OPTION
def datasets_show(
    target: str, out: Path, limit: int, root: str | None, split: str | None, images: str | None
) -> None:
    """Draw a contact sheet: photographs, ground truth outlined, expressions as captions."""
    from evalkit.cli.datasets import show_command

    show_command(target, out=out, limit=limit, root=root, split=split, images=images)


@main.command()
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("reports"))
@click.option("--page", type=click.Path(path_type=Path), help="Where to write the page; DIR/history.html.")
@JSON_OPTION
def history(directory: Path, page: Path | None, as_json: bool) -> None:
    """Show every run under DIR (reports) over time, per model, with detected shifts.

    Prints a table and writes DIR/history.html; with --json prints JSON and writes a page only with --page. A run that is
    damaged, or whose scores are not of its answers, is left out and named; exit code 2 tells that.
    """
    from evalkit.cli.comparison import history_command

    sys.exit(history_command(directory, page=page, as_json=as_json))


@main.command()
@click.argument("image")
@click.argument("expression")
@click.option("--config", help="Ask the models of this config; Gemini ids can be named without one.")
@click.option("--models", help="Names in the config, or Gemini ids, separated by commas.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG with the overlays; ask.png.")
def ask(image: str, expression: str, config: str | None, models: str | None, out: Path | None) -> None:
    """Ask models about one picture: the quickest way to see what a model does today.

    Prints each model's verdict, cost and raw answer; writes the overlays side by side.
    """
    from evalkit.cli.ask import ask_command

    chosen = None if models is None else [name.strip() for name in models.split(",")]
    click.echo(ask_command(image, expression, config_path=config, models=chosen, out=out))


@main.command()
@click.argument("config", required=False)
def doctor(config: str | None) -> None:
    """Check what is installed, keys, disk and, with a CONFIG, its endpoints, models and the clock.

    Exit code 2 where something would stop a run.
    """
    from evalkit.cli.doctor import doctor as examine

    findings = examine(config)
    for finding in findings:
        click.echo(finding.text())
    if any(finding.level == "problem" for finding in findings):
        sys.exit(2)


@main.command()
@click.argument("run_path", metavar="RUN")
@click.option("--to", required=True, help="coco, csv or parquet.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write to; RUN/export where not given."
)
def export(run_path: str, to: str, out: Path | None) -> None:
    """Write the rows and masks of RUN for other tools: FiftyOne, supervision, DuckDB, a spreadsheet."""
    from evalkit.report.export import export_run
    from evalkit.storage.run_folder import RunFolder

    for path in export_run(RunFolder(run_path), to, out):
        click.echo(path)


if __name__ == "__main__":
    sys.exit(main())
