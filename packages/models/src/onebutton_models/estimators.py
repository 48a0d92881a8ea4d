"""Which estimators become ONNX, and what to take instead of those that do not.

The tests train and convert every row of `CONVERTS`, and show that every row of `REPLACEMENTS` is still refused, so both
tables are what was seen to work with the locked versions, not what documentation promises.

The proof refuses what does convert and answers otherwise: a scaler before trees, because ONNX rounds it otherwise and rows change
sides; nearest neighbours where distances are all but equal. Missing numbers in trees of scikit-learn close the column, because
their converters forget where these go (those of LightGBM and XGBoost do not).
"""

from __future__ import annotations

CONVERTS = (
    # preprocessing
    "sklearn.preprocessing.OrdinalEncoder",
    "sklearn.preprocessing.OneHotEncoder",
    "sklearn.preprocessing.TargetEncoder",
    "sklearn.preprocessing.StandardScaler",
    "sklearn.preprocessing.MinMaxScaler",
    "sklearn.preprocessing.RobustScaler",
    "sklearn.preprocessing.KBinsDiscretizer",
    "sklearn.preprocessing.PolynomialFeatures",
    "sklearn.impute.SimpleImputer",
    "sklearn.decomposition.PCA",
    "sklearn.feature_extraction.text.CountVectorizer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
    # classifiers
    "sklearn.linear_model.LogisticRegression",
    "sklearn.tree.DecisionTreeClassifier",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.ExtraTreesClassifier",
    "sklearn.ensemble.GradientBoostingClassifier",
    "sklearn.ensemble.StackingClassifier",
    "sklearn.calibration.CalibratedClassifierCV",
    "sklearn.naive_bayes.GaussianNB",
    "sklearn.neural_network.MLPClassifier",
    "lightgbm.LGBMClassifier",
    # regressors
    "sklearn.linear_model.LinearRegression",
    "sklearn.linear_model.Ridge",
    "sklearn.linear_model.PoissonRegressor",
    "sklearn.svm.SVR",
    "sklearn.ensemble.RandomForestRegressor",
    "sklearn.ensemble.GradientBoostingRegressor",
    "sklearn.ensemble.StackingRegressor",
    "sklearn.ensemble.VotingRegressor",
    "lightgbm.LGBMRegressor",
)

CONVERTS_WITH_XGBOOST = ("xgboost.XGBClassifier", "xgboost.XGBRegressor")

REPLACEMENTS = {
    "HistGradientBoostingClassifier": "lightgbm.LGBMClassifier, the same method",
    "HistGradientBoostingRegressor": "lightgbm.LGBMRegressor, the same method",
    "FunctionTransformer": "the same function in the stage that builds the features",
    "SplineTransformer": "KBinsDiscretizer or PolynomialFeatures",
    "VotingClassifier": "StackingClassifier, or the same with voting='soft' and flatten_transform=False",
}
