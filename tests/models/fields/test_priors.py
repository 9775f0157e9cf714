"""Features of covariances over hours and over time."""

import numpy as np

from models.fields.priors import (
    HourSettings,
    drift_covariance,
    hour_covariance,
    leading_features,
    with_nuisance,
)
from models.units import N_WINDOWS


def test_features_reproduce_their_covariance():
    covariance = hour_covariance(2.0, 0.9, 0.7)
    features = leading_features(covariance, N_WINDOWS)
    np.testing.assert_allclose(features @ features.T, covariance, atol=1e-9)
    np.testing.assert_allclose(covariance.sum(axis=0), 0.0, atol=1e-9)
    assert covariance[0, 1] > covariance[0, 6]  # neighbouring hours are alike
    assert covariance[10, 34] > covariance[10, 130]  # like days are
    ages = np.array([0.0, 10.0, 100.0])
    drift = drift_covariance(ages, [(100.0, 0.3), (1500.0, 1.0)])
    np.testing.assert_allclose(np.diag(drift), 1.3)
    assert drift[0, 1] > drift[0, 2]


def test_features_follow_from_the_covariance_and_not_from_the_library():
    """Equal eigenvalues: 1e-14 of noise turns their eigenvectors anyhow, and must not turn these."""
    covariance = hour_covariance(2.0, 0.9, 0.7)
    noise = 1e-14 * np.random.default_rng(4).standard_normal(covariance.shape)
    for rank in (1, 9, 20, 30):
        features = leading_features(covariance, rank)
        assert rank <= features.shape[1] <= rank + 8
        again = leading_features(covariance + noise + noise.T, rank)
        np.testing.assert_allclose(again, features, atol=1e-10)


def test_what_is_common_to_all_hours_has_a_column_of_its_own():
    features = HourSettings().features()
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-9)
    wide = with_nuisance(features)
    np.testing.assert_array_equal(wide[:, :-1], features)
    assert set(wide[:, -1]) == {1.0}
