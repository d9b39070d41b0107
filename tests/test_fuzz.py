"""The first of the random calls that ``tox -e fuzz`` makes."""

import fuzz


def test_random_calls_end_in_answers_or_in_errors_of_the_library():
    outcomes = [(number, *fuzz.judged(number)) for number in range(200)]
    assert [each for each in outcomes if each[2].startswith("DEFECT")] == []
    assert sum(each[2] == "answer" for each in outcomes) > 60


def test_every_public_function_is_called():
    assert {"estimate_kl", "kl_divergence", "latent_report", "divergence_matrix", "Normal", "KNNDivergence"} <= set(
        fuzz.TARGETS
    )
