"""Read what a pipeline declares in `gates.toml`: how it is judged, its slices, and its gates. An unknown key is refused by name.

docs/evaluation.md explains every key.
"""

from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from onebutton_contracts.parameters import STRICT, Parameters, load_parameters
from onebutton_evaluation.catalogue import MACRO, Task, known_metrics, own_metric
from onebutton_evaluation.influence import Better, Metric

Text = Annotated[str, Field(min_length=1)]
ONNX = ".onnx"  # how the file of a model ends
CONTRACT = "contracts/predictions.odcs.yaml"  # its primary key names a row
BASE_RATE, MOST_FREQUENT, MEDIAN, MEAN = "base-rate", "most-frequent", "median", "mean"
# What a baseline may always say, by task; another one is a model, and names its file.
CONSTANTS: dict[Task, tuple[str, ...]] = {
    "binary": (BASE_RATE, MOST_FREQUENT),
    "multiclass": (BASE_RATE, MOST_FREQUENT),
    "regression": (MEDIAN, MEAN),
}
UNSURE = (
    "its interval does not hold where a few errors are far larger than the others, so nothing may rest on it; take mae"
)


@dataclass(frozen=True, config=STRICT)
class Judging:
    """How rows are judged."""

    owner: Text
    answer: Text
    prediction: Text
    metrics: Annotated[tuple[Text, ...], Field(min_length=1)]
    champion: Text
    tolerance: PositiveFloat
    unit: str = ""
    answer_label: str = ""
    minimum_rows: PositiveInt = 200
    minimum_units: Annotated[int, Field(ge=20)] = 20
    task: Task = "binary"
    classes: tuple[Text, ...] = ()
    quantiles: dict[Annotated[float, Field(strict=False, gt=0, lt=1)], Text] = field(default_factory=dict)
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    own: dict[str, Better] = field(default_factory=dict)

    @model_validator(mode="after")
    def _can_judge(self) -> Self:
        count, known = len(self.classes), self.known()
        if count not in {"binary": (0, 2), "multiclass": range(3, 1000), "regression": (0,)}[self.task]:
            raise ValueError(f"a task {self.task} cannot have {count} classes")
        if MACRO in self.classes:
            raise ValueError(f"no class can be called {MACRO!r}: f1[{MACRO}] is the mean over classes")
        if unknown := [name for name in (*self.metrics, self.champion) if name not in known]:
            raise ValueError(f"no metric of a task {self.task} is called {unknown[0]}; there are {', '.join(known)}")
        champion = known[self.champion]
        if champion.better not in {"higher", "lower"} or not champion.decides:
            why = "neither more nor less is better" if champion.decides else UNSURE
            raise ValueError(f"champion is {self.champion}: {why}")
        return self

    def known(self) -> dict[str, Metric]:
        """List the metrics that there are for this task, by name."""
        standard = known_metrics(self.task, self.classes, tuple(sorted(self.quantiles)))
        return standard | {name: own_metric(name, better) for name, better in self.own.items()}

    def enough(self, rows: int, units: int) -> bool:
        """Say whether a slice has as much as is declared."""
        return rows >= self.minimum_rows and units >= self.minimum_units

    def predicted(self, prediction: str = "") -> list[str]:
        """Name the columns of a model's predictions, or of those that are called `prediction`; of several classes one each."""
        name = prediction or self.prediction
        return [f"{name}[{label}]" for label in self.classes] if self.task == "multiclass" else [name]


class SliceRule(Parameters):
    """A cut of the rows: `by` columns (one slice per combination of values), one column in `quantiles`, or `where` in SQL."""

    by: tuple[Text, ...] = ()
    quantiles: Annotated[int, Field(ge=2, le=20)] | None = None
    where: str = ""
    name: str = ""
    labels: dict[str, Text] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_cut(self) -> Self:
        if bool(self.by) == bool(self.where) or bool(self.where) != bool(self.name):
            raise ValueError("a slice needs either by, or name and where")
        if self.quantiles and len(self.by) != 1:
            raise ValueError("quantiles cut one column")
        return self


class Perturbation(Parameters):
    """A fault of the inputs that the model may meet: `columns` go missing, or carry noise, in a share of the rows."""

    name: Text
    columns: Annotated[tuple[Text, ...], Field(min_length=1)]
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    noise: NonNegativeFloat = 0.0


class _Gate(Parameters):
    """What every gate says: its id, and why it is there."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    why: Text


class LimitedGate(_Gate):
    """A gate with a lower limit, an upper one, or both."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"gate {self.id!r} has no limit, so it could not fail: say at_least or at_most")
        return self


class HoldoutGate(_Gate):
    """The rows judged are those that the contract pins: their number, their keys and their answers."""

    check: Literal["holdout"]
    contract: Text = CONTRACT


class LimitGate(LimitedGate):
    """A metric stays above or below a limit, on all rows (`slices = ["all"]`) or on named slices or groups of them.

    What counts is the end of the interval that is the worse for the model; a slice with too little data is NOT RUN.
    """

    check: Literal["limit"]
    metric: Text
    slices: Annotated[tuple[Text, ...], Field(min_length=1)]


class NumberGate(LimitedGate):
    """A number without an interval, by dotted name: of `metrics.json`, such as `model.calibration_error`, or of the server.

    The running server was measured at those of `service.json`, such as `p95_ms`.
    """

    check: Literal["number", "service"]
    number: Text


class NoWorseGate(_Gate):
    """Not worse than the champion, or than a baseline, by the declared tolerance, overall and where protected."""

    check: Literal["no-worse"]
    than: Text
    better: bool = False
    protected: tuple[Text, ...] = ()


class PerturbedGate(LimitedGate):
    """A metric keeps its limits with the inputs perturbed as `[[perturbations]]` says."""

    check: Literal["perturbed"]
    perturbation: Text
    metric: Text


Gate = Annotated[HoldoutGate | LimitGate | NumberGate | NoWorseGate | PerturbedGate, Field(discriminator="check")]


@dataclass(frozen=True, config=STRICT)
class Declarations:
    """The whole of `gates.toml`; a baseline is what it always says, or the ONNX file of a model."""

    judging: Judging
    gates: Annotated[tuple[Gate, ...], Field(min_length=1)]
    slices: tuple[SliceRule, ...] = ()
    perturbations: tuple[Perturbation, ...] = ()
    baselines: dict[str, Text] = field(default_factory=dict)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if faults := [*self._baseline_faults(), *self._gate_faults()]:
            raise ValueError("; ".join(faults))
        return self

    def _baseline_faults(self) -> Iterator[str]:
        constants = CONSTANTS[self.judging.task]
        for name, kind in self.baselines.items():
            if name in {"model", "champion", "training", self.judging.prediction} or name.startswith("by_"):
                yield f"no baseline can be called {name!r}: results call something else so"
            if kind not in constants and not kind.endswith(ONNX):
                yield f"baseline {name!r} is {kind!r}; it can be {', '.join(constants)} or an ONNX file of a model"

    def _gate_faults(self) -> Iterator[str]:
        ids, known = [gate.id for gate in self.gates], self.judging.known()
        yield from (f"two gates have the id {name!r}" for name in sorted({name for name in ids if ids.count(name) > 1}))
        for gate in self.gates:
            if isinstance(gate, PerturbedGate) and gate.perturbation not in {one.name for one in self.perturbations}:
                yield f"gate {gate.id!r} names the perturbation {gate.perturbation!r}, which is not declared"
            if isinstance(gate, LimitGate | PerturbedGate):
                if gate.metric not in self.judging.metrics:
                    yield f"gate {gate.id!r} is about {gate.metric}, which judging.metrics does not measure"
                elif not known[gate.metric].decides:
                    yield f"gate {gate.id!r} is about {gate.metric}: {UNSURE}"

    def compared(self) -> list[str]:
        """Name the baselines that the model is compared with; by a metric of ranks only models, as constants rank nothing."""
        ranks = self.judging.known()[self.judging.champion].kind in {"rank", "precision"}
        return [name for name, kind in self.baselines.items() if kind.endswith(ONNX) or not ranks]


def load_declarations(file: Path = Path("gates.toml")) -> Declarations:
    """Read `gates.toml`.

    Raises:
        InputError: it is missing, no TOML, or says something that no check would hold; every fault is named.
    """
    return load_parameters(Declarations, file)
