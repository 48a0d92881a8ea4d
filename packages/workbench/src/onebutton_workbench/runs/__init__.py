"""Run pipelines, tests and the workflow, and show what came of them."""
