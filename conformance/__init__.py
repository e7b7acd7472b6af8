"""What every backend must get right: a table of op cases, the checks run on each row, and a report."""
