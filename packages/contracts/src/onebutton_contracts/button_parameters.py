"""The sections of `params.yaml` that buttons read and no stage does: every pipeline may have them."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt  # noqa: TC002  pydantic reads the annotations at run time
from pydantic.dataclasses import dataclass

from onebutton_contracts.parameters import STRICT


@dataclass(frozen=True, config=STRICT)
class ReproduceParams:
    """How near results must be that are made again.

    Attributes:
        tolerance: largest difference of a number, as a share of its size where that is above 1.
    """

    tolerance: NonNegativeFloat = 0.0


@dataclass(frozen=True, config=STRICT)
class ButtonParams:
    """What `make reproduce`, `make gates` and `make retrain` read.

    Attributes:
        retrain: by dotted key the months from and to, counted back from UNTIL; `first` is the first month that stands there now.
    """

    reproduce: ReproduceParams = field(default_factory=ReproduceParams)
    retrain: dict[str, tuple[NonNegativeInt | Literal["first"], NonNegativeInt]] = field(default_factory=dict)
