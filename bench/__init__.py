"""What is measured, and against what. Figures and the commands that made them: docs/reference/figures.md."""
