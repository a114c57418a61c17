"""Samples of benchmarks and what is made of them: the same for bench/run and bench/compare."""

import statistics


def median(samples):
    return statistics.median(samples)


def spread(samples):
    """From the least to the greatest, as a share of the median."""
    middle = median(samples)
    return (max(samples) - min(samples)) / middle if middle else 0.0


def short(value):
    """1234567 -> 1.23 M: three digits that matter."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def table(rows):
    """Rows of texts as lines, the columns aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
