"""The published rule, on scripted sequences of metrics."""

from training.plateau import Plateau


def judge(values: list[float], patience: int = 2) -> tuple[list[bool], int]:
    """Gains of each epoch until the plateau is exhausted, and the best epoch."""
    plateau = Plateau(patience)
    gains = []
    for epoch, value in enumerate(values, 1):
        gains.append(plateau.update(epoch, value))
        if plateau.exhausted:
            break
    return gains, plateau.best_epoch


def test_two_epochs_in_a_row_without_gain_end_training() -> None:
    assert judge([0.5, 0.6, 0.55, 0.58, 0.9]) == ([True, True, False, False], 2)


def test_a_gain_in_between_starts_the_count_again() -> None:
    assert judge([0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.6]) == ([True, False, True, False, True, False, False], 5)


def test_a_rise_of_a_millionth_is_no_gain() -> None:
    assert judge([0.5, 0.5 + 1e-6, 0.5 + 2.1e-6])[0] == [True, False, True]


def test_patience_counts() -> None:
    assert judge([0.5, 0.4, 0.4, 0.4], patience=3)[0] == [True, False, False, False]
    assert judge([0.5, 0.4], patience=1) == ([True, False], 1)
