"""Every metric that the services publish, by name, in one place."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS_CONSUMED = Counter(
    "records_consumed", "Records taken from Kafka, redeliveries included.", ["topic"]
)
RECORDS_APPLIED = Counter("records_applied", "Records whose effects were committed.", ["topic"])
RECORDS_REPEATED = Counter(
    "records_repeated", "Records dropped because their offset was applied already.", ["topic"]
)
RECORDS_DEAD_LETTERED = Counter(
    "records_dead_lettered", "Records put into a dead-letter topic.", ["topic", "reason"]
)
COMMANDS_REJECTED = Counter("commands_rejected", "Commands answered with a rejection.", ["topic"])
BATCH_SECONDS = Histogram(
    "batch_seconds",
    "Time from a batch's arrival to its commit.",
    ["topic"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
BATCH_RETRIES = Counter("batch_retries", "Batches tried again after a passing fault.", ["topic"])
OUTBOX_PUBLISHED = Counter("outbox_published", "Messages published from the outbox.", ["topic"])
OUTBOX_FAILURES = Counter("outbox_failures", "Rounds of the relay that failed and were repeated.")
CONSUMER_LAG = Gauge("consumer_lag", "Records between the applied offset and the topic's end.")
