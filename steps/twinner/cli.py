"""The command line of a step: options from the function's signature, one line for a failure, an exit status."""

import gc
import inspect
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from twinner.errors import BadInput
from twinner.parameters import PARAMETERS
from twinner.tracking import write as tracking

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
SHORT = {"drop_rate": "-d", "epochs": "-i"}  # as the blog's script has them


def run(step: Callable[..., object]) -> None:
    """Run a step with the process's arguments and leave the process with its exit status."""
    _be_quiet()
    # A scheduler's SIGTERM ends a run as Ctrl-C does: KILLED, with nothing left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = status_of(step, sys.argv[1:])
    sys.stdout.flush()
    gc.freeze()  # or Python takes a second to look through all that was imported for what can be freed
    sys.exit(status)


def status_of(step: Callable[..., object], arguments: Sequence[str]) -> int:
    """Run a step with these arguments; return its exit status, after one line on stderr if it failed.

    A failure before the step has opened its run is written to the run that `mlflow run` started it in.
    """
    try:
        command(step).main(list(arguments), prog_name=f"{step.__name__}.py", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return int(leave.exit_code)
    except (click.ClickException, BadInput) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        message = " ".join(message.split())
        if isinstance(error, click.ClickException):
            message += f" See: python steps/{step.__name__}.py --help"
        tracking.fail_joined_run(message)
        print(f"error: {message}", file=sys.stderr)
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        tracking.fail_joined_run("interrupted", status="KILLED")
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except tracking.ChildFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except Exception as error:
        tracking.fail_joined_run(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        return FAILED
    return DONE


def command(step: Callable[..., object]) -> click.Command:
    """The command of a step: an option for each of its parameters, `--drop-rate` or `--drop_rate`."""
    options: list[click.Parameter] = []
    for name, parameter in inspect.signature(step).parameters.items():
        flags = [f"--{name.replace('_', '-')}", *([SHORT[name]] if name in SHORT else [])]
        type_ = _click_type(parameter.annotation)
        options.append(
            click.Option(
                [*flags, name], type=type_, default=parameter.default, show_default=True, help=PARAMETERS[name].help
            )
        )
    return click.Command(
        step.__name__,
        callback=step,
        params=options,
        help=(inspect.getdoc(step) or "").split("\n\n")[0],
        context_settings={
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": lambda token: token.replace("_", "-"),
        },
    )


def _click_type(annotation: Any) -> Any:
    return click.Choice(get_args(annotation)) if get_origin(annotation) is Literal else annotation


def _be_quiet() -> None:
    """Let what the user should see be seen: each warning once, in a line, and no chatter of the libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: object) -> None:
        # Ours are about the input; those of a library speak to its developers.
        if Path(filename).is_relative_to(Path(__file__).parent) and str(message) not in seen:
            seen.add(str(message))
            print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)

    warnings.showwarning = show  # type: ignore[assignment]
    for name in ("mlflow", "alembic", "py4j", "pyspark", "spacy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # What breaks a call of Java is told by the error that it raises; py4j also reports it, as nobody, with a traceback.
    logging.root.addFilter(lambda record: record.module != "java_gateway")
