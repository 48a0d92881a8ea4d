"""Which prompt makes a language model read sentiment best? A module for each stage of its own in `dvc.yaml`."""
