-- migrate:up
create table rates (rate numeric not null);
create table conversions (place text primary key, amount numeric not null, at timestamptz not null);

-- migrate:down
-- Forward only.
