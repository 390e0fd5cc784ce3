-- migrate:up

-- How many entries of its journal a service has written or applied: the place of its database in it.
create table journal_positions (
    consumer_group text primary key,
    next_sequence bigint not null check (next_sequence >= 0)
);

-- migrate:down
-- Forward only.
