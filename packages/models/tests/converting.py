"""The estimators that docs/models.md lists as those that convert."""

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
