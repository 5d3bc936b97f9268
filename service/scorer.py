"""A scorer: one loaded artifact that answers requests."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ArtifactError, RequestError
from features.encoding.online import RequestEncoder
from service.bodies import ScoreRequest
from training.artifact import Artifact


class Scorer:
    """One variant's artifact, ready to score.

    Args:
        variant: The variant's name.
        artifact: Its artifact.
        foreign: Features that only other variants know, which requests may hold and this one passes over.
    """

    def __init__(self, variant: str, artifact: Artifact, *, foreign: Collection[str] = ()) -> None:
        self.variant = variant
        self.artifact = artifact
        self._encoder = RequestEncoder(artifact.fitted)
        self._foreign = frozenset(foreign)

    @property
    def model(self) -> str:
        """The model as answers name it: its name and the first 12 digits of its digest."""
        return f"{self.artifact.name}@{self.artifact.digest[:12]}"

    def warm_up(self) -> None:
        """Score a row of missing values, so that the first request does not pay for what is set up only once.

        Raises:
            ArtifactError: The score is not finite.
        """
        rows = self._encoder.encode({}, {}, [{}])
        if not np.isfinite(self.artifact.score(rows)).all():
            raise ArtifactError(
                f"variant {self.variant!r} gives no finite score to a row of missing values; train its model again"
            )

    def score(self, request: ScoreRequest) -> NDArray[np.float64]:
        """Click probabilities of a request's N candidates, float64 ``[N]``, all finite.

        Raises:
            RequestError: A feature is unknown or has a value its kind cannot take, or a score is not finite.
        """
        rows = self._encoder.encode(
            self._own(request.user),
            self._own(request.context),
            [self._own(candidate.features) for candidate in request.candidates],
            user_id=request.user_id,
            candidate_ids=[candidate.id for candidate in request.candidates],
        )
        scores = self.artifact.score(rows)
        finite = np.isfinite(scores)
        if not finite.all():
            # The weights are finite: only numbers near the end of float32 overflow on their way.
            raise RequestError(
                "the model gives this candidate no finite score; send numbers of a size it was trained on",
                where=f"candidates[{int(finite.argmin())}]",
            )
        return scores

    def _own(self, features: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self._foreign:
            return features
        return {name: value for name, value in features.items() if name not in self._foreign}
