"""The command line of a step: options from the signature of its function, one line for a failure, an exit status."""

import gc
import inspect
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from twinner.cores import take_free_share
from twinner.errors import BadInput, Failure
from twinner.parameters import PARAMETERS
from twinner.portable import restart_portably
from twinner.secrets import mask_output, mask_secrets, refuse_secrets
from twinner.terminal import one_line, replace_unencodable_output

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
SHORT_OPTIONS = {"drop_rate": "-d", "epochs": "-i"}  # those of the script of the blog post


def run(step: Callable[..., object]) -> None:
    """Run a step with the arguments of this process, and exit with its status."""
    prepare_process()
    # A scheduler's SIGTERM ends a run as Ctrl-C does: KILLED, with nothing left behind.
    interrupt = _Interrupt()
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as after `&` in a shell script
        signal.signal(signal.SIGINT, interrupt)
    status = exit_status(step, sys.argv[1:], owns_process=True)
    sys.stdout.flush()
    if status == INTERRUPTED:  # at its end Python gives up its handlers, and another Ctrl-C would change the status
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.freeze()  # otherwise Python spends a second on a last search for garbage among all imported modules
    sys.exit(status)


def prepare_process() -> None:
    """Set up a process for a step: what it prints can be printed, holds no secret, and comes from us."""
    replace_unencodable_output()
    mask_output()
    _silence_libraries()


def exit_status(step: Callable[..., object], arguments: Sequence[str], owns_process: bool = False) -> int:
    """Run a step with these arguments and return its exit status; a failure prints one line to stderr.

    owns_process: whether nothing but this step runs in this process, which may then be started anew.
    If the step failed before it opened its run, the run that `mlflow run` started this process in is marked FAILED.
    """
    try:
        command(step, owns_process).main(list(arguments), prog_name=f"{step.__name__}.py", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return int(leave.exit_code)
    except (click.ClickException, BadInput) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        message = " ".join(message.split())
        if isinstance(error, click.ClickException):
            message += f" See: python steps/{step.__name__}.py --help"
        _fail_joined_run(message, error)
        _print_error(message, error)
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort) as error:
        _fail_joined_run("interrupted", error, status="KILLED")
        interrupt = error.__cause__ or error  # click raises Abort from it, which lacks its notes
        print("; ".join(["interrupted", *getattr(interrupt, "__notes__", [])]), file=sys.stderr)
        return INTERRUPTED
    except Failure as error:
        _fail_joined_run(str(error), error)
        _print_error(str(error), error)
        return FAILED
    except Exception as error:
        _fail_joined_run(f"{type(error).__name__}: {error}", error)
        print(mask_secrets(traceback.format_exc()), end="", file=sys.stderr)
        return FAILED
    return DONE


def command(step: Callable[..., object], owns_process: bool = False) -> click.Command:
    """Build the command of a step, with an option for each of its parameters: `--drop-rate` or `--drop_rate`."""

    def run_step(**values: Any) -> None:
        refuse_secrets(values)
        if owns_process and values.get("portable") == "yes":
            restart_portably()
        take_free_share()  # before any library starts its threads
        step(**{name: value for name, value in values.items() if value is not None})

    options: list[click.Parameter] = []
    parameters = inspect.signature(step).parameters
    for name, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:  # passed on to another step
            others = [other for other in PARAMETERS if other not in parameters]
            options += [click.Option([f"--{other.replace('_', '-')}", other], hidden=True) for other in others]
            continue
        flags = [f"--{name.replace('_', '-')}", *([SHORT_OPTIONS[name]] if name in SHORT_OPTIONS else [])]
        options.append(
            click.Option(
                [*flags, name],
                type=_click_type(parameter.annotation),
                default=parameter.default,
                show_default=True,
                help=PARAMETERS[name].help,
            )
        )
    return click.Command(
        step.__name__,
        callback=run_step,
        params=options,
        help=(inspect.getdoc(step) or "").split("\n\n")[0],
        context_settings={
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": lambda token: token.replace("_", "-"),
        },
    )


def parse(step: Callable[..., object], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the typed values of all parameters of a step, where some are given as text.

    Raises click.UsageError for values of another type.
    """
    arguments = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    return dict(command(step).make_context(step.__name__, arguments).params)


class _Interrupt:
    """A signal handler: the first interrupts the step, the second asks for patience, the third ends the process."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, *_: object) -> None:
        self._count += 1
        if self._count == 1:
            raise KeyboardInterrupt
        if self._count == 2:
            os.write(2, b"\nending the run; once more leaves at once\n")  # `print` may be what was interrupted
        else:
            os._exit(INTERRUPTED)


class _Number(click.ParamType[Any]):
    """An `int` or a `float` without the underscores that Python allows: `1_000` is rather a typing error."""

    def __init__(self, plain: click.ParamType[Any]) -> None:
        self.name = plain.name
        self._plain = plain

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "_" in value:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return self._plain.convert(value, param, ctx)


def _click_type(annotation: Any) -> Any:
    if annotation in (int, float):
        return _Number(click.types.convert_type(annotation))
    return click.Choice(get_args(annotation)) if get_origin(annotation) is Literal else annotation


def _fail_joined_run(message: str, error: BaseException, status: str = "FAILED") -> None:
    """End the run that `mlflow run` made for this process, if it is still open and the store answers."""
    if "MLFLOW_RUN_ID" not in os.environ:
        return
    from twinner.tracking.reasons import StoreUnusable  # imports MLflow, which takes seconds
    from twinner.tracking.write import fail_joined_run

    if not isinstance(error, StoreUnusable):
        fail_joined_run(message, status=status)


def _print_error(message: str, error: Exception) -> None:
    print(one_line(mask_secrets("; ".join([f"error: {message}", *getattr(error, "__notes__", [])]))), file=sys.stderr)


def _silence_libraries() -> None:
    """Show our warnings once, in one line each, and silence the libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # read when MLflow is imported, which is later
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a step prints where to look itself
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: object) -> None:
        if Path(filename).is_relative_to(Path(__file__).parent) and str(message) not in shown:
            shown.add(str(message))
            print(one_line(f"warning: {message}"), file=sys.stderr)

    warnings.showwarning = show  # type: ignore[assignment]
    for name in ("alembic", "py4j", "pyspark", "spacy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs errors with a traceback, then raises
    # py4j logs each broken call of Java with a traceback, besides raising it.
    logging.root.addFilter(lambda record: record.module != "java_gateway")
