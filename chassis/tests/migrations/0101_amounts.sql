-- migrate:up
create table amounts (place text primary key, amount numeric not null);

-- migrate:down
-- Forward only.
