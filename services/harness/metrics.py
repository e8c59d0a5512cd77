"""The metrics that every process has. What only one process counts stands beside what it counts."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("khulasa_calls_total", "Calls answered, by method and status.", ["method", "code"])
CALL_SECONDS = Histogram(
    "khulasa_call_seconds",
    "Time from request to last answer, by method.",
    ["method"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
CALLS_IN_PROGRESS = Gauge("khulasa_calls_in_progress", "Calls being worked on, by method.", ["method"])
