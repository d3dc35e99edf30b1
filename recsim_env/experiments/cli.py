"""The command `recsim-env`: environments, experiments, logs, audits and films."""

import argparse
import errno
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from recsim_env import __version__
from recsim_env.errors import InputError, require, unknown_name
from recsim_env.experiments.audit_command import add_audit_command
from recsim_env.experiments.board_command import add_board_command
from recsim_env.experiments.calibrate_command import add_calibrate_command
from recsim_env.experiments.check_command import add_check_command
from recsim_env.experiments.data_command import add_data_command
from recsim_env.experiments.film import add_film_command
from recsim_env.experiments.log_command import add_log_command
from recsim_env.experiments.report_command import add_report_command
from recsim_env.experiments.settings import add_options, from_options, from_run
from recsim_env.experiments.train_command import add_train_command, libraries
from recsim_env.experiments.workers import Workers, add_workers, workers_of

REMEDIES = {
    errno.ENOSPC: "free some room",
    errno.EFBIG: "free some room, or raise the limit on files",
    errno.EDQUOT: "free some room",
    errno.EACCES: "permit it or choose another place",
    errno.EPERM: "permit it or choose another place",
    errno.EROFS: "choose another place",
    errno.ENOTDIR: "choose another place",
    errno.ENOENT: "see that its directory exists",
}
"""What to do about a file or directory that could not be written or read."""


def experiments() -> dict[str, ModuleType]:
    """The experiments by name; imported only when one is asked for, so that `--help` is quick."""
    from recsim_env.experiments.suite import (
        attack_agents,
        attack_game,
        bandits,
        cascade_bandit,
        cascade_mdp,
        click_fraud,
        corrupted_bandits,
        decode_bench,
        deep_slates,
        finetune_compare,
        generative,
        off_policy_accuracy,
        offline_ranking,
        poisoned_preference,
        poisoning,
        query_efficiency,
        reasoning_depth,
        recipe_ablation,
        repeat_sessions,
        reward_model_gap,
        sequential_benchmark,
        sequential_search,
        simulator_agreement,
        slate_exploration,
        text_attack,
        tokeniser_ablation,
    )

    modules = (
        cascade_mdp,
        cascade_bandit,
        bandits,
        corrupted_bandits,
        click_fraud,
        offline_ranking,
        repeat_sessions,
        off_policy_accuracy,
        simulator_agreement,
        slate_exploration,
        decode_bench,
        deep_slates,
        sequential_benchmark,
        sequential_search,
        finetune_compare,
        generative,
        reward_model_gap,
        query_efficiency,
        reasoning_depth,
        recipe_ablation,
        tokeniser_ablation,
        poisoning,
        poisoned_preference,
        attack_agents,
        attack_game,
        text_attack,
    )
    return {module.NAME: module for module in modules}


def _all_runs() -> dict[str, ModuleType]:
    """Whatever writes a run: the experiments, and the libraries that train."""
    return {**experiments(), **libraries()}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    It is 0, or 2 for bad input and for what the machine cannot do; 128 + the number of the signal, as shells
    have it, where Ctrl-C (130) or the end of the pipe that is written to (141) stopped it.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if (
        str(Path.cwd()) not in sys.path
    ):  # where the user's own worlds are; last, so that nothing is hidden by it
        sys.path.append(str(Path.cwd()))
    options = argparse.Namespace()
    try:
        try:
            _, unknown = parser(arguments).parse_known_args(arguments, options)
            if unknown:
                raise InputError(f"unrecognized arguments: {' '.join(unknown)} (see {_verb(options)} --help)")
            options.do(options)
        finally:
            sys.stdout.flush()  # here, and not at the exit of Python, which would print a traceback
    except InputError as error:
        return _complain(str(error))
    except BrokenPipeError:  # such as `recsim-env describe ID | head`: the reader has seen enough
        _drop_output()
        return 141
    except OSError as error:  # a disk that is full, a file that may not be read
        _drop_output()
        place = error.filename or getattr(options, "out", None) or "standard output"
        remedy = REMEDIES.get(error.errno or 0, "see that it can be written")
        return _complain(f"{place}: {error.strerror or error}: {remedy}, then {_again(options)}")
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        return _complain(f"the memory does not suffice{reason}: ask for fewer users, items or steps")
    except (KeyboardInterrupt, SystemError) as error:
        if not _was_interrupted(error):
            raise
        return _complain(f"interrupted: {_again(options)}", 130)
    return 0


def _verb(options: argparse.Namespace) -> str:
    """The command whose options these are."""
    module = getattr(options, "experiment", None)
    return f"recsim-env {options.command}" + (f" {module.NAME}" if module else "")


def _again(options: argparse.Namespace) -> str:
    """What to do after a command was stopped: a run that has begun goes on, all else begins anew."""
    out = getattr(options, "out", None)
    verb = options.command
    begun = out is not None and verb in ("run", "train") and os.access(out / "run.json", os.R_OK)
    return f"go on with: recsim-env {verb} --resume {shlex.quote(str(out))}" if begun else "run it again"


def _drop_output() -> None:
    """Throw away what standard output cannot take, so that Python does not try again when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is the cause: where it arrives in compiled code, that makes a SystemError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _complain(message: str, code: int = 2) -> int:
    sys.stderr.write("recsim-env: " + " ".join(message.split()) + "\n")
    return code


def parser(arguments: Sequence[str]) -> Parser:
    """The whole command; the options of an experiment are built only for `run`."""
    command = Parser(
        prog="recsim-env",
        description="Simulated users, agents that face them, and measurements that can be trusted.",
        epilog="Begin with: recsim-env run cascade_mdp --episodes 2000 --replicates 10 --out runs/first",
    )
    command.add_argument("--version", action="version", version=f"recsim-env {__version__}")
    verbs = command.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    verb = verbs.add_parser("list", help="the environments, agents and experiments there are")
    verb.set_defaults(do=_list)

    verb = verbs.add_parser("describe", help="the page of an environment, with its live spaces")
    verb.add_argument("id", metavar="ID", help="such as CascadeRec-v0")
    verb.set_defaults(do=_describe)

    verb = verbs.add_parser(
        "run",
        help="run an experiment, or go on with one",
        description="Run an experiment: recsim-env run EXPERIMENT --help lists its options.",
    )
    verb.add_argument(
        "--resume", dest="resume_dir", metavar="DIR", help="go on with the run in this directory"
    )
    add_workers(verb)
    verb.set_defaults(do=_resume)
    if "run" in arguments[:1]:
        names = verb.add_subparsers(title="experiments", metavar="EXPERIMENT", parser_class=Parser)
        for name, module in experiments().items():
            first_line, _, rest = (module.__doc__ or "").partition("\n")
            experiment = names.add_parser(name, help=first_line, description=f"{first_line}\n{rest}")
            experiment.formatter_class = _Help
            add_options(experiment, module.Settings)
            experiment.add_argument(
                "--out",
                type=Path,
                metavar="DIR",
                help="directory for results.csv, figure.png, run.json and TensorBoard events "
                "(default: runs/EXPERIMENT-DATE-TIME)",
            )
            experiment.add_argument("--resume", action="store_true", help="go on with the run in --out")
            add_workers(experiment)
            experiment.set_defaults(do=_run, experiment=module)

    add_log_command(verbs)
    add_data_command(verbs)
    add_film_command(verbs)
    add_calibrate_command(verbs)
    add_audit_command(verbs)
    add_check_command(verbs)
    add_train_command(verbs, arguments)

    verb = verbs.add_parser("compare", help="draw several runs together, and rank bandits")
    verb.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="directories of finished runs")
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("runs/compare"),
        metavar="PATH",
        help="directory, or a .png for the picture alone (default: runs/compare)",
    )
    verb.set_defaults(do=_compare)
    add_report_command(verbs, _all_runs)
    add_board_command(verbs)
    return command


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the paragraphs of a description."""


def _list(_: argparse.Namespace) -> None:
    from recsim_env.envs.describe import builder, registered_ids, summary
    from recsim_env.experiments.agents import AGENTS
    from recsim_env.experiments.bandits_by_world import algorithms_by_world
    from recsim_env.experiments.deep_agents import DEEP_AGENTS
    from recsim_env.experiments.log_agents import IN_ANY, IN_CASCADES, WHERE_ITEMS_ATTRACT
    from recsim_env.simulators.worlds.cascade import CascadeWorld

    makes = {env_id: signature(builder(env_id)).return_annotation for env_id in registered_ids()}
    cascading = ", ".join(env_id for env_id, world in makes.items() if issubclass(world, CascadeWorld))
    sys.stdout.write("environments (recsim-env describe ID):\n")
    for env_id in makes:
        sys.stdout.write(f"  {env_id:26}{summary(env_id)}\n")
    sys.stdout.write("experiments (recsim-env run EXPERIMENT --help):\n")
    for name, module in experiments().items():
        sys.stdout.write(f"  {name:26}{(module.__doc__ or '').splitlines()[0]}\n")
    sys.stdout.write("libraries that train (recsim-env train --library LIBRARY --help):\n")
    for name, module in libraries().items():
        sys.stdout.write(f"  {name:26}{(module.__doc__ or '').splitlines()[0]}\n")
    sys.stdout.write(
        f"agents of recsim-env run (--agents a,b,c), in cascading worlds:\n  {', '.join(AGENTS)}\n"
        f"agents of recsim-env run deep_slates, in worlds without candidates:\n  {', '.join(DEEP_AGENTS)}\n"
        "agents of recsim-env log (--agent NAME):\n"
        f"  in any world: {', '.join(IN_ANY)}\n"
        f"  in all but RepeatListen-v0 and bandits with arms: {', '.join(WHERE_ITEMS_ATTRACT)}\n"
        f"  in cascading worlds: {', '.join(IN_CASCADES)}\n"
        f"cascading worlds: {cascading}\n"
        "algorithms of recsim-env run bandits (--agents a,b,c), by world:\n"
    )
    for env_id, algorithms in algorithms_by_world().items():
        words = textwrap.fill(", ".join(algorithms), 110, initial_indent=" " * 28, subsequent_indent=" " * 28)
        sys.stdout.write(f"  {env_id:26}{words.lstrip()}\n")


def _describe(options: argparse.Namespace) -> None:
    from recsim_env.envs.describe import describe

    sys.stdout.write(describe(options.id) + "\n")


def _run(options: argparse.Namespace) -> None:
    module = options.experiment
    if options.out is None and options.resume:
        raise InputError("--resume needs the directory of the run: give it as --out DIR")
    if options.out is None:
        options.out = Path("runs") / f"{module.NAME}-{time.strftime('%Y%m%d-%H%M%S')}"
    workers = _workers(options)
    module.run(from_options(module.Settings, options), options.out, options.resume, workers)


def _resume(options: argparse.Namespace) -> None:
    from recsim_env.experiments.run_directory import read_run

    if options.resume_dir is None:
        known = ", ".join(experiments())
        raise InputError(f"run needs the name of an experiment ({known}), or --resume DIR")
    options.out = Path(options.resume_dir)
    document = read_run(options.out)
    if document["experiment"] in libraries():
        raise InputError(f"{options.out} was trained: go on with recsim-env train --resume {options.out}")
    if document["experiment"] not in experiments():
        raise unknown_name("experiment", document["experiment"], experiments())
    module = experiments()[document["experiment"]]
    settings = from_run(module.Settings, document["settings"])
    module.run(settings, options.out, True, _workers(options))


def _workers(options: argparse.Namespace) -> Workers | None:
    """Who shares the work; None = this process does all of it."""
    workers = workers_of(options)
    if workers is not None:
        require("ray", "ray")  # before the directory is made
    return workers


def _compare(options: argparse.Namespace) -> None:
    from recsim_env.experiments.compare import compare

    compare(options.directories, _all_runs(), options.out)


if __name__ == "__main__":
    sys.exit(main())
