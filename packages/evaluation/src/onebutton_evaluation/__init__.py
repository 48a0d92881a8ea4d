"""How good a model is, overall and for each part of the data, and the team's report of it."""
