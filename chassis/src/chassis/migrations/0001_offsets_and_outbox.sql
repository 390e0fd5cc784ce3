-- migrate:up

-- The offset that each consumer group applies next, written in the transaction of the effects.
create table consumer_offsets (
    consumer_group text not null,
    topic text not null,
    partition integer not null check (partition >= 0),
    next_offset bigint not null check (next_offset >= 0),
    primary key (consumer_group, topic, partition)
);

-- Messages committed but not yet published; the relay deletes them when Kafka has them. The names of
-- the columns up to payload are those that Debezium's outbox event router expects.
create table outbox (
    id bigint generated always as identity primary key,
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    payload bytea,
    message_key bytea,
    ce_id uuid not null,
    ce_time timestamptz not null,
    traceparent text,
    header_names text[],
    header_values bytea[],
    check (coalesce(cardinality(header_names), 0) = coalesce(cardinality(header_values), 0))
) with (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- migrate:down
-- Forward only.
