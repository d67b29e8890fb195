"""A run: the stages in order, each skipped when nothing it depends on has changed.

A stage's fingerprint is a hash of named parts: the content of its input files, its part of the
configuration, the code and the libraries that it uses, and the fingerprints of the stages it needs.
`.stages/NAME.json` of the run folder holds the fingerprint and the parts of a stage's last finished
run, so that the runner can say which part has changed.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spatioformer.common.errors import ConfigError, OutputError, SpatioformerError
from spatioformer.common.files import (
    as_output_error,
    hash_value,
    remove,
    set_aside,
    write_json,
    write_text,
)
from spatioformer.common.lock import Finished, Held, lock
from spatioformer.common.parts import sweep
from spatioformer.common.progress import Console
from spatioformer.common.related import related_files
from spatioformer.config.file import load_config, to_yaml, with_out
from spatioformer.config.schema import RunConfig
from spatioformer.run.assembled import attach_licence, attach_uncertainty, write_rejected
from spatioformer.run.check import check_run
from spatioformer.run.context import RunContext
from spatioformer.run.fingerprint import changes, dependencies, flat, portable
from spatioformer.run.hashes import Hashes
from spatioformer.run.log import RunLog
from spatioformer.run.preload import start_workers
from spatioformer.run.provenance import write_provenance
from spatioformer.run.records import Outputs, Record, differing, read_record
from spatioformer.run.source_stages import SEARCH, check_scheduler, refuse_stage
from spatioformer.run.stage import Stage
from spatioformer.run.stages import STAGES, stages_of
from spatioformer.training import distributed


class Run:
    """A run folder and what is to be done in it.

    Args:
        config: a configuration, or the path of its YAML file.
        changes: `a.b=c` assignments laid over a YAML file.
        resume: continue an interrupted training from its checkpoint.
        offline: read nothing from the network: catalogues and imagery come from the cache.
        refresh: search the catalogues again although nothing changed.
        out: the run folder; None: that of the configuration.
        scheduler: where composites of archives are computed: None or "threads", "processes", or
            the address of a Dask scheduler. Results do not depend on it.

    Raises:
        ConfigError: the configuration cannot be used, or `scheduler` is given and it has no
            sources.
        ImageryError: the scheduler is unknown.
        OutputError: the run folder cannot be made.
    """

    def __init__(
        self,
        config: RunConfig | str | Path,
        changes: tuple[str, ...] | list[str] = (),
        *,
        console: Console | None = None,
        resume: bool = True,
        offline: bool = False,
        refresh: bool = False,
        out: str | Path | None = None,
        scheduler: str | None = None,
    ):
        self.config = config if isinstance(config, RunConfig) else load_config(config, changes)
        if out is not None:
            self.config = with_out(self.config, out)
        self._source = "the configuration" if isinstance(config, RunConfig) else str(config)
        if scheduler is not None:
            check_scheduler(self.config, scheduler)
        self.folder = Path(self.config.out)
        self.stages = stages_of(self.config)
        self.console = console or Console()
        self.log = RunLog(self.folder, self.console.say)
        # Of processes that train together only the leader prints and writes the log.
        leads = distributed.leads()
        self.console = self.console.logged(self.log.write) if leads else Console(quiet=True)
        self._context = RunContext(
            self.config, self.folder, self.console, resume, self.fingerprint, offline, scheduler,
            self._to_run)  # fmt: skip
        self._later: dict[str, bool] = {}  # a stage to come -> whether it runs in any case
        self._refresh = (SEARCH,) if refresh else ()
        for name in self._refresh:
            self._check_stage(name)
        self._parts: dict[tuple, dict[str, dict[str, Any]]] = {}
        try:
            (self.folder / ".stages").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise as_output_error(error, self.folder) from error
        self._hashes = Hashes(self.folder / ".stages" / "hashes.json")

    def until(self, last: str = "report", force: tuple[str, ...] | list[str] = ()) -> Path:
        """Run the stages up to and including `last`; returns the run folder.

        Args:
            force: stages to run even when nothing changed.

        Raises:
            SpatioformerError: a mistake that the user can correct.
        """
        for name in (last, *force):
            self._check_stage(name)
        names = list(self.stages)
        return self._execute(names[: names.index(last) + 1], force)

    def stage(self, name: str, force: bool = False) -> Path:
        """Run one stage, and before it the stages it needs where they are out of date."""
        self._check_stage(name)
        needed = _needed(name, self.stages)
        return self._execute([n for n in self.stages if n in needed], (name,) if force else ())

    def _check_stage(self, name: str) -> None:
        if name not in self.stages and name not in STAGES:
            refuse_stage(name, self.stages)
        if name not in self.stages:
            raise ConfigError(
                f"the run has no `imagery`, and so no stage {name!r}; give `imagery`, or predict "
                f"a table of places with spatioformer predict {self.folder} TABLE"
            )

    def _execute(self, names: list[str], force: tuple[str, ...] | list[str]) -> Path:
        with distributed.group():
            if distributed.leads():
                with self.log.recording(), self._locked():
                    self._lead(names, force)
            else:  # started by torchrun: computes its share of each batch, writes nothing
                from spatioformer.run.map_model import join_training

                for checkpoint in distributed.called():
                    join_training(self._context, Path(checkpoint), self.folder)
        return self.folder

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the run folder for this process.

        Raises:
            OutputError: another run works in it, or it cannot be written.
        """
        path = self.folder / ".stages" / "lock"
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(lock(path))
                    break
                except Finished:
                    continue
                except Held as error:
                    raise OutputError(
                        f"another run works in {self.folder} ({error.holder}); wait for it to end, "
                        "or choose another folder with --set out=FOLDER"
                    ) from None
                except OSError as error:
                    raise as_output_error(error, self.folder) from error
            yield

    def _lead(self, names: list[str], force: tuple[str, ...] | list[str]) -> None:
        self.log.begin()
        self._parts.clear()  # inputs may have changed since the last call
        sweep(self.folder)  # what killed runs were writing
        self._set_aside_bookkeeping()
        write_text(self.folder / "config.resolved.yaml", to_yaml(self.config))
        self._write_provenance()  # the report reads it
        self._assemble()
        redone: set[str] = set()
        force = (*force, *self._refresh)
        for name in names:
            # The stages that need a forced stage run again with it.
            again = [n for n in self.stages[name].needs if n in redone]
            forced = name in force or bool(again)
            damaged = {} if name in force else self._damaged(name)
            reason = "forced" if name in force else self._reason(name, damaged)
            if reason is None and again:
                reason = f"{again[0]} ran again"
            if reason is None:
                self.console.say(f"{name:<9} unchanged, kept")
                continue
            if not redone:  # the first stage to run; later ones may meet the same problems
                check_run(self.config, self._source, names[names.index(name) :], self.folder)
                if "evaluate" in names:
                    self.prepare_evaluation(names[-1])
            if forced and self._record(name).exists():  # else an interrupted call is repeated
                self._forget(name)
            self.console.say(f"{name:<9} {reason} ..." if reason else f"{name:<9} ...")
            self._set_aside(damaged)
            redone.add(name)
            later = names[names.index(name) + 1 :]
            self._later = {n: n in force or bool({*self.stages[n].needs} & redone) for n in later}
            self._run_stage(name)

    def _to_run(self, name: str) -> str | None:
        """Fingerprint of a stage after the present one, if it has to run; None: it has not."""
        self._parts.clear()  # the present stage may have written what it reads
        if name in self._later and (self._later[name] or not self.is_current(name)):
            return self.fingerprint(name)
        return None

    def prepare_evaluation(self, last: str = "report") -> None:
        """Let worker processes import libraries if the evaluation, before `last`, needs several."""
        if self.config.evaluate.processes > 1 and not self.is_current("evaluate"):
            start_workers(report=last == "report")

    def _forget(self, name: str) -> None:
        """Remove a stage's intermediate results."""
        for pattern in self.stages[name].kept:
            for old in self.folder.glob(pattern):
                remove(old)

    def _set_aside_bookkeeping(self) -> None:
        """Rename records that cannot be read, so that their stages run again."""
        damaged = [self._record(n) for n in self.stages if self._read(n) is None]
        if self._hashes.damaged:
            damaged.append(self._hashes.path)
            self._hashes.damaged = False
        for path in damaged:
            if path.exists():
                self._say_damaged(path, set_aside(path))

    def _set_aside(self, damaged: dict[str, str]) -> None:
        """Keep results that are not what their stage wrote, for the user to look at."""
        for name, state in damaged.items():
            if state != "is missing":
                path = self.folder / name
                inside = name.startswith(("chips/", "model/"))  # folders that are replaced whole
                kept = self.folder / f"{path.name}.damaged" if inside else None
                self._say_damaged(path, set_aside(path, kept))

    def _say_damaged(self, path: Path, kept: Path) -> None:
        self.console.say(f"  {path} is damaged or was changed; kept as {kept}, and made again")

    def _run_stage(self, name: str) -> None:
        stage = self.stages[name]
        record = self._record(name)
        record.unlink(missing_ok=True)  # until it is finished again, it is not finished
        fingerprint, parts = self.fingerprint(name), self._parts_of(name)
        started = time.perf_counter()
        try:
            message = stage.run(self._context)
        except SpatioformerError:
            with contextlib.suppress(OutputError):
                self._assemble(name)  # a stage that refuses the plots says which
            raise
        if any(set(stage.outputs) & set(other.reads) for other in self.stages.values()):
            self._parts.clear()  # they depend on what was just written
        self._assemble(name)
        seconds = time.perf_counter() - started
        value = {
            "fingerprint": fingerprint,
            "parts": parts,
            "seconds": round(seconds, 2),
            "outputs": self._outputs(name),
        }
        self._hashes.save()
        write_json(record, value)
        self._write_provenance()
        self.console.say(f"{name:<9} {message} ({seconds:.1f} s)")

    def _assemble(self, name: str | None = None) -> None:
        """Bring the files up to date that hold results of several stages.

        Args:
            name: the stage that ran just now, whose record is not written yet.
        """
        done = [
            n for n in ("plots", "chips", "train", "evaluate") if n == name or self.is_current(n)
        ]
        rejected = [p for n in done if (p := self._context.rejected(n)).is_file()]
        if "plots" in done and rejected:
            write_rejected(rejected, self.folder / "rejected.csv")
        if "train" in done:
            attach_licence(self.config.licence, self.folder / "model")
        if {"train", "evaluate"} <= set(done):
            attach_uncertainty(self.folder / "evaluation", self.folder / "model")

    def is_current(self, name: str) -> bool:
        """Whether the stage's last result still follows from its inputs and lies there whole."""
        return self.reason(name) is None

    def reason(self, name: str) -> str | None:
        """Why a stage has to run, in a few words; None: it has not; '': it never finished."""
        return self._reason(name, self._damaged(name))

    def _reason(self, name: str, damaged: dict[str, str]) -> str | None:
        record = self._read(name)
        if record is None:
            return ""
        same = record.fingerprint == self.fingerprint(name)
        if record.outputs is None or (record.parts is None and not same):
            return "made by an older version of spatioformer"
        if not same:
            return changes(record.parts or {}, self._parts_of(name)) or "another fingerprint"
        if damaged:
            return "; ".join(f"{output} {state}" for output, state in damaged.items())
        return None

    def _damaged(self, name: str) -> dict[str, str]:
        """File -> "is missing" or "is damaged or was changed", of a stage that is up to date."""
        record = self._read(name)
        if record is None or record.outputs is None:
            return {}
        if record.fingerprint != self.fingerprint(name):
            return {}
        damaged = differing(record.outputs, self._outputs(name))
        self._hashes.save()
        return damaged

    def _outputs(self, name: str) -> Outputs:
        """SHA-256 of a stage's results: of a file, of each file of a folder; None if absent."""
        outputs: Outputs = {}
        for output in self.stages[name].outputs:
            path = self.folder / output
            outputs[output] = (
                self._hashes.inside(path, output)
                if path.is_dir()
                else self._hashes.of(path, output)
            )
        return outputs

    def fingerprint(self, name: str, sections: tuple[str, ...] | None = None) -> str:
        """Hash of everything the stage's result depends on.

        Args:
            sections: count only these sections of the configuration, for an intermediate result.
        """
        return hash_value(self._parts_of(name, sections))

    def _parts_of(
        self, name: str, sections: tuple[str, ...] | None = None
    ) -> dict[str, dict[str, Any]]:
        """What the stage's result depends on, by kind and name."""
        key = (name, sections)
        if key not in self._parts:
            stage = self.stages[name]
            chosen = stage.sections if sections is None else sections
            used = dependencies(stage.run)
            config: dict[str, Any] = {}
            for section in chosen:
                config |= flat(portable(self.config.plain(section)), section)
            self._parts[key] = {
                "inputs": self._input_hashes(stage.inputs(self.config)) | self._read_by(stage),
                "config": config,
                "code": used.code,
                "libraries": used.libraries,
                "needs": {n: self.fingerprint(n) for n in stage.needs},
            }
        return self._parts[key]

    def _input_hashes(self, paths: list[str]) -> dict[str, str | None]:
        """File name -> hash of its content, in order; a run that is moved stays a run.

        The files that an input refers to count too.
        """
        hashes: dict[str, str | None] = {}
        files = [(file, path) for path in paths for file in (Path(path), *related_files(path))]
        for number, (file, path) in enumerate(dict.fromkeys(files), 1):
            name = file.name if str(file) == path else f"{file.name} (of {Path(path).name})"
            hashes[f"{name} (input {number})" if name in hashes else name] = self._hashes.of(file)
        self._hashes.save()
        return hashes

    def _read_by(self, stage: Stage) -> dict[str, str | None]:
        """Output -> hash of its content, of the stages that a stage reads."""
        return {path: self._hashes.of(self.folder / path, path) for path in stage.reads}

    def _record(self, name: str) -> Path:
        return self.folder / ".stages" / f"{name}.json"

    def _read(self, name: str) -> Record | None:
        return read_record(self._record(name))

    def _write_provenance(self) -> None:
        records = {n: r for n in self.stages if (r := self._read(n)) is not None}
        paths = [path for s in self.stages.values() for path in s.inputs(self.config)]
        inputs = {path: self._hashes.of(Path(path)) for path in paths}
        self._hashes.save()
        write_provenance(self.folder, self.config.seed, inputs, records)


def _needed(name: str, stages: Mapping[str, Stage]) -> set[str]:
    stage = stages[name]
    makers = [n for n, other in stages.items() if set(other.outputs) & set(stage.reads)]
    return {name}.union(*(_needed(n, stages) for n in (*stage.needs, *makers)))
